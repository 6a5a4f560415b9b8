"""``conductor function serve`` stops when it is told to, whoever reads and whatever starts."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.support.manager import free_port
from tests.integration.support.waiting import wait_until

DEADLINE = 20  # seconds


def service(directory: Path, preload: str | None) -> Path:
    script = directory / "hello.py"
    script.write_text("#!/usr/bin/env python3\nprint('Content-Type: text/plain\\n\\nhello')\n")
    script.chmod(0o755)
    function = {"name": "f", "format": "cgi", "exec": ["./hello.py"]}
    if preload is not None:
        function["preload"] = [preload]
    declaration = {"app_name": "stops", "instance_name": "test", "functions": [function]}
    (directory / "conductor-service.json").write_text(json.dumps(declaration))
    return directory


def serve(directory: Path, run_dir: Path, output: int) -> subprocess.Popen[bytes]:
    command = [os.path.join(os.path.dirname(sys.executable), "conductor"), "function", "serve"]
    options = [str(directory), "--run-dir", str(run_dir), "--listen", f"127.0.0.1:{free_port()}"]
    return subprocess.Popen(command + options, stdout=output, stderr=output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_manager_stops_although_nobody_reads_what_it_prints(
    tmp_path: Path, number: signal.Signals
) -> None:
    reader, writer = os.pipe()
    process = serve(service(tmp_path, None), tmp_path / "run", writer)
    os.close(writer)
    try:
        os.read(reader, 1)  # It has begun to print.
        os.close(reader)
        wait_until((tmp_path / "run" / "manager.sock").exists, "the manager")
        process.send_signal(number)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()


def test_a_manager_that_is_stopped_while_it_starts_does_not_serve_after_all(
    tmp_path: Path,
) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(3600)\n")
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = serve(service(tmp_path, "slow_to_import"), tmp_path / "run", file.fileno())
    try:
        wait_until((tmp_path / "run" / "manager.sock").exists, "the manager")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()
    assert b"Serving" not in output.read_bytes()
