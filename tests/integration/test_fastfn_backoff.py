"""A program that dies at its start is tried again more and more slowly, and is told of."""

from pathlib import Path

import pytest

from conductor.errors import ConductorError
from tests.integration.support.functions import function
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.waiting import wait_until

BROKEN = "#!/bin/sh\necho 'no configuration found' >&2\nexit 3\n"
MENDED = """#!/bin/sh
read -r line
printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 7\\r\\n\\r\\nmended\\n'
"""


def write(path: Path, text: str) -> None:
    """Put a program in the place of another."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o755)
    new.replace(path)


@pytest.mark.parametrize("spare", [0, 1])
def test_a_program_that_dies_at_its_start_is_refused_until_it_is_mended(
    manager: ManagerProcess, tmp_path: Path, spare: int
) -> None:
    program = tmp_path / "program"
    write(program, BROKEN)
    spec = function(f"dies-{spare}", str(program), format="http-stdio", spare=spare)
    if spare:
        with pytest.raises(ConductorError, match=r"exited with status 3.*no configuration found"):
            manager.add(spec)
    else:
        manager.add(spec)
    with manager.connect(spec.id) as client:
        answer = client.get("/")
        assert answer.status in (502, 503)
        wait_until(lambda: client.get("/").status == 503, "the function to be given up for now")
        answer = client.get("/")
        assert int(answer.headers["retry-after"]) >= 1
        shown = manager.show(spec.id)
        assert shown["state"] == "backoff"
        assert 0 < shown["retry_in"] <= 30
        assert "no configuration found" in shown["last_error"]
        write(program, MENDED)
        wait_until(lambda: client.get("/").body == b"mended\n", "the mended program", poll=0.1)
    assert manager.show(spec.id)["state"] in ("ready", "starting", "idle")
    manager.call("remove", function=spec.id)


def test_a_program_that_cannot_be_run_is_told_by_name(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    spec = function("missing", str(tmp_path / "missing"), format="http-stdio")
    with pytest.raises(ConductorError, match="missing cannot be run: No such file"):
        manager.add(spec)
    with manager.connect(spec.id) as client:
        assert client.get("/").status == 503
    manager.call("remove", function=spec.id)


def test_a_missing_cgi_program_is_a_502_that_tells_why(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    function_id = manager.add(function("missing-cgi", str(tmp_path / "missing")))
    with manager.connect(function_id) as client:
        assert client.get("/").status == 502
    manager.wait_logged("stderr", function_id, "missing cannot be run: No such file")


def test_a_directory_that_is_gone_is_told(manager: ManagerProcess, tmp_path: Path) -> None:
    spec = function("no-directory", "worker.py", format="http-stdio", directory=f"{tmp_path}/no")
    with pytest.raises(ConductorError, match="No such file or directory"):
        manager.add(spec)
    manager.call("remove", function=spec.id)


def test_a_function_that_does_not_start_has_no_path_of_its_own(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    spec = function("no-path", str(tmp_path / "missing"), format="http-stdio")
    with pytest.raises(ConductorError):
        manager.add(spec)
    with manager.connect_tcp() as client:
        assert client.get("/cgi//").status == 404
        assert client.get("/cgi/app.test.no-path/").status == 503
    manager.call("remove", function=spec.id)


def test_a_worker_that_dies_once_does_not_hold_up_the_next(manager: ManagerProcess) -> None:
    function_id = manager.add_http("once", limits={"requests": 0})
    with manager.connect(function_id) as client:
        for _ in range(5):
            assert client.get("/die").status == 502
            assert client.get("/hello").status == 200
