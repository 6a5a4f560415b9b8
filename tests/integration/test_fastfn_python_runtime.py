"""A Python script that was warm sees nothing that a cold start would not have shown it."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.integration.support.functions import PROGRAMS, function
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.waiting import wait_until

KINDS = ["python", "preload"]


def spec(name: str, kind: str, program: str = "battery.py", **settings: Any) -> Any:
    if kind == "exec":
        return function(f"{name}-{kind}", program, **settings)
    preload = ("json", "random", "tempfile", "uuid", "threading") if kind == "preload" else ()
    return function(f"{name}-{kind}", program, runtime="python", preload=preload, **settings)


@pytest.fixture(scope="module", params=KINDS)
def function_id(manager: ManagerProcess, request: pytest.FixtureRequest) -> str:
    return manager.add(spec("python", request.param))


def get(manager: ManagerProcess, function_id: str, target: str) -> str:
    with manager.connect(function_id) as client:
        return client.get(target).text


# The end of a script.


def test_what_is_printed_at_exit_is_a_part_of_the_answer(
    manager: ManagerProcess, function_id: str
) -> None:
    text = get(manager, function_id, "/at_exit")
    assert text == "before the end\nregistered last\nregistered first\n"


def test_threads_that_still_work_are_waited_for(manager: ManagerProcess, function_id: str) -> None:
    assert get(manager, function_id, "/thread") == "main thread\nother thread\n"


def test_files_left_open_are_written(
    manager: ManagerProcess, function_id: str, tmp_path: Path
) -> None:
    own, other = tmp_path / "file", tmp_path / "file.neighbour"
    assert get(manager, function_id, f"/unclosed?file={own}") == "unclosed\n"
    wait_until(lambda: own.read_text() == "written at exit\n", "the script's file")
    wait_until(lambda: other.read_text() == "written by the neighbour\n", "its module's file")


def test_destructors_run(manager: ManagerProcess, function_id: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert get(manager, function_id, f"/destructor?file={file}") == "destructor\n"
    wait_until(file.exists, "the destructor")
    wait_until(lambda: file.read_text() == "destroyed\n", "what the destructor writes")


def test_the_answer_does_not_wait_for_the_destructors(
    manager: ManagerProcess, function_id: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    assert get(manager, function_id, f"/slow_destructor?file={gate}") == "no waiting\n"
    assert gate.exists()
    gate.unlink()


# What is not shared between requests.


def test_random_numbers_differ_from_request_to_request(
    manager: ManagerProcess, function_id: str
) -> None:
    seen = [get(manager, function_id, "/randomness").split() for _ in range(6)]
    for values in zip(*seen, strict=True):
        assert len(set(values)) == 6


def test_what_a_request_changes_is_not_there_for_the_next(
    manager: ManagerProcess, function_id: str
) -> None:
    assert [get(manager, function_id, "/counter") for _ in range(3)] == ["1\n"] * 3


def test_a_module_that_asks_for_it_is_told_of_the_fork(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    (tmp_path / "with_hook.py").write_text(
        "import os\n"
        "PIDS = [os.getpid()]\n"
        "def conductor_after_fork():\n"
        "    PIDS.append(os.getpid())\n"
    )
    script = write_script(
        tmp_path,
        "import os, with_hook\n"
        "print('Content-Type: text/plain\\n')\n"
        "here = os.getpid()\n"
        "first, last = with_hook.PIDS\n"
        "print(first != here, last == here)\n",
    )
    function_id = manager.add(
        function("hook", str(script), runtime="python", preload=("with_hook",))
    )
    for _ in range(3):
        assert get(manager, function_id, "/") == "True True\n"


# What a script finds.


def test_modules_beside_the_script_see_the_request_when_they_are_imported(
    manager: ManagerProcess, function_id: str
) -> None:
    text = get(manager, function_id, "/imported?the=query")
    assert text == f"the=query {os.path.join(PROGRAMS, 'neighbour.py')}\n"


def test_an_edited_script_is_run_though_workers_wait(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    script = write_script(tmp_path, "print('Content-Type: text/plain\\n\\nfirst')\n")
    function_id = manager.add(function("edited", str(script), runtime="python", spare=3))
    manager.wait_workers(function_id, idle=3)
    assert get(manager, function_id, "/") == "first\n"
    for word in ("second", "third"):
        write_script(tmp_path, f"print('Content-Type: text/plain\\n\\n{word}')\n")
        assert [get(manager, function_id, "/") for _ in range(4)] == [f"{word}\n"] * 4


def test_an_edited_module_is_run_though_workers_wait(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    shutil.copy(os.path.join(PROGRAMS, "battery.py"), tmp_path)
    module = tmp_path / "neighbour.py"
    module.write_text("QUERY_AT_IMPORT = 'first'\n")
    function_id = manager.add(
        function("edited-module", str(tmp_path / "battery.py"), runtime="python", spare=3)
    )
    assert get(manager, function_id, "/imported").startswith("first ")
    module.write_text("QUERY_AT_IMPORT = 'the second'\n")
    assert get(manager, function_id, "/imported").startswith("the second ")


def test_a_script_that_was_mended_works_again(manager: ManagerProcess, tmp_path: Path) -> None:
    script = write_script(tmp_path, "print('Content-Type: text/plain\\n\\nfirst')\n")
    function_id = manager.add(function("mended", str(script), runtime="python"))
    write_script(tmp_path, "print('Content-Type: text/plain\n")
    with manager.connect(function_id) as client:
        for _ in range(3):
            assert client.get("/").status == 502
        manager.wait_logged("stderr", function_id, "SyntaxError")
        write_script(tmp_path, "print('Content-Type: text/plain\\n\\nmended')\n")
        assert client.get("/").text == "mended\n"


@pytest.mark.parametrize("kind", ["exec", *KINDS])
def test_a_syntax_error_is_logged_as_the_interpreter_shows_it(
    manager: ManagerProcess, tmp_path: Path, kind: str
) -> None:
    script = write_script(tmp_path, "import os\nprint('this is not closed\n")
    function_id = manager.add(spec("syntax", kind, str(script)))
    with manager.connect(function_id) as client:
        assert client.get("/").status == 502
    manager.wait_logged("stderr", function_id, "SyntaxError: unterminated string literal")
    lines = [entry["message"] for entry in manager.entries("stderr", function_id)]
    assert lines[:2] == [f'  File "{script}", line 3', "    print('this is not closed"]
    assert not any("Traceback" in line for line in lines)


def test_a_preload_that_cannot_be_imported_is_told(manager: ManagerProcess) -> None:
    with pytest.raises(Exception, match="No module named 'no_such_module'"):
        manager.add(
            function("no-preload", "battery.py", runtime="python", preload=("no_such_module",))
        )
    manager.call("remove", function="app.test.no-preload")


def write_script(directory: Path, text: str) -> Path:
    """Write a script as an editor does: beside the old one, and then in its place."""
    script = directory / "script.py"
    new = directory / "script.py.new"
    new.write_text("#!/usr/bin/env python3\n" + text)
    new.chmod(0o755)
    new.replace(script)
    return script
