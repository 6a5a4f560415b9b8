"""The ``conductor`` command as a person runs it, and services for it to serve."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.support.manager import free_port
from tests.integration.support.waiting import DEADLINE, wait_until

COMMAND = os.path.join(os.path.dirname(sys.executable), "conductor")
HELLO = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello from %s\\n' \"$CONDUCTOR_APP\"\n"


def conductor(
    *arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end and return what it said."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CONDUCTOR_")}
    return subprocess.run(
        [COMMAND, *arguments],
        env=environment | (env or {}),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def declare(directory: Path, program: str = HELLO, **function: Any) -> str:
    """Write a service ``NAME.test`` with one CGI function, ./program, and return its directory."""
    directory.mkdir(exist_ok=True)
    (directory / "program").write_text(program)
    (directory / "program").chmod(0o755)
    service = {
        "app_name": directory.name,
        "instance_name": "test",
        "functions": [{"format": "cgi", "exec": ["./program"], **function}],
    }
    (directory / "conductor-service.json").write_text(json.dumps(service))
    return str(directory)


@dataclass
class Serving:
    """``conductor function serve`` in a process of its own."""

    process: subprocess.Popen[str]
    run_dir: str
    port: int
    errors: Path  # what it writes to standard error, its log
    said: list[str] = field(default_factory=list)  # what it wrote to standard output

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a ``function`` command against this manager."""
        return conductor("function", *words, "--run-dir", self.run_dir)

    def end(self, kind: signal.Signals = signal.SIGINT) -> int:
        """Send ``kind`` and return the exit status."""
        self.process.send_signal(kind)
        return self.process.wait(30)


@contextmanager
def serving(run_dir: Path, *arguments: str) -> Iterator[Serving]:
    """Serve, and hand over when the command says that it does; end it in any case."""
    port, errors = free_port(), run_dir.with_suffix(".log")
    options = ["--run-dir", str(run_dir), "--listen", f"127.0.0.1:{port}"]
    with errors.open("w") as log:
        process = subprocess.Popen(
            [COMMAND, "function", "serve", *arguments, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    served = Serving(process, str(run_dir), port, errors)
    try:
        served.said = list(_until_ready(process, errors))
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _until_ready(process: subprocess.Popen[str], errors: Path) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if line.startswith("Stop with"):
            return
    raise AssertionError(f"it did not start: {errors.read_text()}")


def wait_in_file(path: Path, text: str) -> str:
    """Return what ``path`` holds once it holds ``text``."""
    return wait_until(
        lambda: content if text in (content := path.read_text()) else "",
        f"{text!r} in {path}",
        DEADLINE,
    )
