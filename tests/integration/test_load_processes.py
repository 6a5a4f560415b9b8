"""Programs that a run starts are ended, with all they started themselves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conductor.errors import UserError
from tests.load.processes import ProcessError, Program
from tests.load.stage import installed

DEADLINE = 10.0  # seconds


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def lines_of(program: Program, log: Path, count: int) -> list[str]:
    program.wait_until(lambda: len(log.read_text().splitlines()) == count, "too few lines")
    return log.read_text().splitlines()


def test_a_program_is_ended_with_the_processes_of_its_group(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "sleep 1000 & echo $!; echo $$; wait"
    with Program(["/bin/sh", "-c", script], str(log), dict(os.environ)) as program:
        pids = [int(line) for line in lines_of(program, log, 2)]
        assert all(is_alive(pid) for pid in pids)
    assert not any(is_alive(pid) for pid in pids)


def test_a_program_that_ignores_being_asked_is_made_to_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "trap '' TERM; echo $$; while :; do sleep 0.05; done"
    program = Program(["/bin/sh", "-c", script], str(log), dict(os.environ), grace=0.2)
    with program:
        (pid,) = lines_of(program, log, 1)
    assert not is_alive(int(pid))


def test_a_program_that_ends_at_once_is_an_error_that_quotes_it(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo wrong port >&2; exit 3"]
    with (
        Program(command, str(tmp_path / "log"), dict(os.environ)) as program,
        pytest.raises(ProcessError, match=r"ended with status 3.*\n.*wrong port"),
    ):
        program.wait_until(lambda: False, "never")


def test_a_program_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="/no/such cannot be started: No such file"):
        Program(["/no/such"], str(tmp_path / "log"), {})


def test_a_program_that_is_not_installed_is_an_error_that_says_how_to_get_it() -> None:
    with pytest.raises(UserError, match="apt-get install"):
        installed("no-such-program")


def test_what_a_program_leaves_in_another_group_is_ended_and_named(tmp_path: Path) -> None:
    # In a process of its own: it becomes the subreaper of all that it starts.
    script = """if True:
        import os, sys
        from tests.load import processes
        processes.adopt_orphans()
        command = ["/bin/sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & wait"]
        with processes.Program(command, sys.argv[1], dict(os.environ)) as program:
            program.wait_until(lambda: os.path.getsize(sys.argv[1]) > 0, "no output")
        print(",".join(processes.end_descendants()), processes.end_descendants())
    """
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", script, str(log)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    assert done.stdout == "sleep []\n"
    assert not is_alive(int(log.read_text()))
