"""A program that could not be executed is refused before anything starts, with the cure."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from conductor.service.program import (
    Program,
    ProgramError,
    resolve_program,
    resolve_python_script,
)

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = "/usr/local/bin:/usr/bin:/bin"


def script(
    directory: Path, content: str | bytes, *, name: str = "script", mode: int = 0o755
) -> str:
    """Write an executable file and return the word that names it."""
    data = content.encode() if isinstance(content, str) else content
    (directory / name).write_bytes(data)
    (directory / name).chmod(mode)
    return f"./{name}"


def resolve(directory: Path, word: str, path: str = SYSTEM) -> Program:
    return resolve_program(word, str(directory), path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        ("echo hello\n", "begins with no interpreter line; make its first line like #!"),
        ("#!\n", "names no interpreter after #!"),
        ("#!   \necho", "names no interpreter after #!"),
        ("#!/no/such/python\n", "needs an interpreter that cannot start: /no/such/python does not"),
        ("#!/usr/lib\n", "needs an interpreter that cannot start: /usr/lib is a directory"),
        ("#!/etc/passwd\n", "interpreter that cannot start: /etc/passwd may not be executed"),
        ("#!/bin/sh\r\necho hello\r\n", "has Windows line ends, which make its interpreter"),
        ("#!/usr/bin/env python3\r\n", "has Windows line ends"),
        ("#!/usr/bin/env no-such-program\n", 'needs "no-such-program", which is not in PATH'),
        ("#!/usr/bin/env -S no-such-program -x\n", 'needs "no-such-program", which is not in'),
        ("#!/usr/bin/env python3 -u\n", "write #!/usr/bin/env -S python3 -u"),
        ("#!/usr/bin/env -S 'python3\n", "has a broken env -S line"),
        ("#!/bin/sh " + "x" * 300 + "\n", "has an interpreter line longer than 256 bytes"),
    ],
)
def test_a_program_that_cannot_start_says_why(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(ProgramError, match=re.escape(problem)) as raised:
        resolve(tmp_path, script(tmp_path, content))
    assert str(raised.value).startswith(str(tmp_path / "script"))
    assert "\n" not in str(raised.value)


def test_a_missing_program_a_directory_and_a_lost_run_bit_say_so(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="does not exist"):
        resolve(tmp_path, "./nothing")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ProgramError, match="is a directory"):
        resolve(tmp_path, "./folder")
    word = script(tmp_path, "#!/bin/sh\n", mode=0o644)
    with pytest.raises(ProgramError, match=rf"may not be executed; run: chmod \+x {tmp_path}/scr"):
        resolve(tmp_path, word)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ProgramError, match="is no regular file"):
        resolve(tmp_path, "./pipe")


def test_a_word_without_a_slash_is_looked_up_in_path(tmp_path: Path) -> None:
    assert resolve(tmp_path, "sh").path in ("/usr/bin/sh", "/bin/sh")
    script(tmp_path, "#!/bin/sh\n", name="mine")
    assert resolve(tmp_path, "mine", str(tmp_path)).path == str(tmp_path / "mine")
    with pytest.raises(ProgramError, match=r'"mine" is not in PATH; write "\./mine" for the file'):
        resolve(tmp_path, "mine")
    with pytest.raises(ProgramError, match=r'"no-such-thing" is not in PATH$'):
        resolve(tmp_path, "no-such-thing")


def test_a_word_with_a_slash_is_relative_to_the_declaration(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin", "#!/bin/sh\n", name="tool")
    assert resolve(tmp_path, "bin/tool").path == str(tmp_path / "bin/tool")
    assert resolve(tmp_path / "bin", "../bin/tool").path == str(tmp_path / "bin/tool")
    assert resolve(tmp_path, "/bin/sh").path == "/bin/sh"


def test_a_binary_needs_no_interpreter(tmp_path: Path) -> None:
    assert resolve(tmp_path, script(tmp_path, b"\x7fELF\0\0")) == Program(str(tmp_path / "script"))


@pytest.fixture
def python_path(tmp_path: Path) -> str:
    """Return a PATH whose python3 is a known file."""
    (tmp_path / "path").mkdir()
    script(tmp_path / "path", b"\x7fELF\0", name="python3")
    script(tmp_path / "path", b"\x7fELF\0", name="python3.11")
    return str(tmp_path / "path")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("#!/usr/bin/env python3", ["{path}/python3"]),
        ("#! /usr/bin/env python3.11", ["{path}/python3.11"]),
        ("#!/usr/bin/env -S python3 -u -S", ["{path}/python3", "-u", "-S"]),
        ("#!/usr/bin/env -S python3 -Wignore -Xutf8", ["{path}/python3", "-Wignore", "-Xutf8"]),
        ("#!{path}/python3", ["{path}/python3"]),
        ("#!{path}/python3 -Es", ["{path}/python3", "-Es"]),
        ("#!\t{path}/python3 \t", ["{path}/python3"]),
    ],
)
def test_a_python_script_is_known_by_its_interpreter_and_keeps_its_options(
    tmp_path: Path, python_path: str, line: str, command: list[str]
) -> None:
    word = script(tmp_path, line.format(path=python_path) + "\nprint()\n")
    program = resolve(tmp_path, word, python_path)
    assert program.is_python
    assert program.interpreter == tuple(part.format(path=python_path) for part in command)


@pytest.mark.parametrize(
    "line",
    [
        "#!/bin/sh",
        "#!{path}/python3 -m",
        "#!{path}/python3 -i",
        "#!{path}/python3 -u -S",  # one argument for the kernel, and none that python knows
        "#!/usr/bin/env -S LANG=C python3",
        "#!/usr/bin/env -i python3",
        "#!/usr/bin/env -S python3 -c pass",
    ],
)
def test_what_a_warm_python_could_not_do_alike_runs_as_it_is(
    tmp_path: Path, python_path: str, line: str
) -> None:
    word = script(tmp_path, line.format(path=python_path) + "\n")
    assert not resolve(tmp_path, word, python_path).is_python
    with pytest.raises(ProgramError, match="is no Python script for a warm interpreter"):
        resolve_python_script(word, str(tmp_path), python_path)


def test_a_py_file_without_an_interpreter_line_is_python_when_told_so(
    tmp_path: Path, python_path: str
) -> None:
    word = script(tmp_path, "print()\n", name="script.py")
    program = resolve_python_script(word, str(tmp_path), python_path)
    assert program.interpreter == (f"{python_path}/python3",)
    with pytest.raises(ProgramError, match="begins with no interpreter line"):
        resolve(tmp_path, word, python_path)
