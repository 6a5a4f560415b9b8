"""From the words of ``exec`` to a program that will start, or a sentence why it would not.

A program that cannot be executed fails in a worker, later, again and again, and
with a bare errno; so everything ``execve(2)`` would refuse is looked for here,
where a person still reads. The interpreter line is read as the kernel reads it:
one absolute path, then at most one argument, which is the whole rest of the
line, within the first 256 bytes.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import dataclass

_KERNEL_READS = 256  # bytes of a program (BINPRM_BUF_SIZE)
_PYTHON = re.compile(r"python(\d+(\.\d+)*)?")
# Options of python(1) that change how it runs and not what: they stay true of a warm one.
_PYTHON_OPTION = re.compile(r"-[bBdEIOPqsSuv]+|-[WX].+")


class ProgramError(Exception):
    """Why a program would not start: the end of a sentence that begins with its path."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that can be executed."""

    path: str  # absolute
    interpreter: tuple[str, ...] = ()  # the command of its interpreter line; () for a binary
    is_python: bool = False  # the interpreter is a python, and its options suit a warm one


def resolve_program(word: str, directory: str, path: str) -> Program:
    """Return the program that ``word`` names.

    With a slash it is relative to ``directory`` (absolute), without one it is
    looked up in ``path``, as a shell does. Raises ProgramError.
    """
    found = _find(word, directory, path)
    start = _read_start(found)
    if not start.startswith(b"#!"):
        if b"\0" not in start:
            raise ProgramError(
                f"{found} begins with no interpreter line; make its first line like"
                " #!/usr/bin/env python3"
            )
        return Program(found)
    command = _interpreter_line(found, start)
    return _interpreted(found, command, directory, path)


def resolve_python_script(word: str, directory: str, path: str) -> Program:
    """Return the Python program that ``word`` names: by its interpreter line or as ``*.py``.

    Raises ProgramError for anything else.
    """
    found = _find(word, directory, path)
    if found.endswith(".py") and not _read_start(found).startswith(b"#!"):
        return Program(found, (_look_up(found, "python3", path),), is_python=True)
    program = resolve_program(word, directory, path)
    if not program.is_python:
        raise ProgramError(
            f"{found} is no Python script for a warm interpreter: its first line must name"
            " python3, with plain options only"
        )
    return program


def _find(word: str, directory: str, path: str) -> str:
    if "/" in word:
        found = os.path.normpath(os.path.join(directory, word))
    else:
        found = shutil.which(word, path=path) or ""
        if not found:
            here = os.path.isfile(os.path.join(directory, word))
            hint = f'; write "./{word}" for the file beside the declaration' if here else ""
            raise ProgramError(f'"{word}" is not in PATH{hint}')
    _check_executable(os.path.abspath(found))
    return os.path.abspath(found)


def _check_executable(path: str) -> None:
    if os.path.isdir(path):
        raise ProgramError(f"{path} is a directory; name a program in it")
    if not os.path.exists(path):
        raise ProgramError(f"{path} does not exist")
    if not os.path.isfile(path):
        raise ProgramError(f"{path} is no regular file")
    if os.path.getsize(path) == 0:
        raise ProgramError(f"{path} is empty")
    if not os.access(path, os.X_OK):
        raise ProgramError(f"{path} may not be executed; run: chmod +x {shlex.quote(path)}")


def _read_start(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(_KERNEL_READS)
    except PermissionError:
        return b"\0"  # may be executed and not read: a binary that keeps to itself
    except OSError as error:
        raise ProgramError(f"{path} cannot be read: {error.strerror}") from None


def _interpreter_line(path: str, start: bytes) -> list[str]:
    """Return the interpreter and its argument, if it has one, as the kernel splits them."""
    line, newline, _ = start[2:].partition(b"\n")
    if not newline and len(start) == _KERNEL_READS:
        raise ProgramError(
            f"{path} has an interpreter line longer than {_KERNEL_READS} bytes,"
            " which the kernel cuts off"
        )
    if line.endswith(b"\r"):
        raise ProgramError(
            f"{path} has Windows line ends, which make its interpreter unfindable; run:"
            f" sed -i 's/\\r$//' {shlex.quote(path)}"
        )
    words = os.fsdecode(line).strip(" \t").split(None, 1)
    if not words:
        raise ProgramError(f"{path} names no interpreter after #!")
    return words


def _interpreted(path: str, command: list[str], directory: str, search: str) -> Program:
    interpreter = os.path.join(directory, command[0])
    try:
        _check_executable(interpreter)
    except ProgramError as error:
        raise ProgramError(f"{path} needs an interpreter that cannot start: {error}") from None
    words = [interpreter, *command[1:]]
    if os.path.basename(interpreter) == "env" and len(command) > 1:
        words = _through_env(path, interpreter, command[1], search)
    name = os.path.basename(words[0])
    suits = all(_PYTHON_OPTION.fullmatch(word) for word in words[1:])
    return Program(path, tuple(words), is_python=bool(_PYTHON.fullmatch(name)) and suits)


def _through_env(path: str, env: str, argument: str, search: str) -> list[str]:
    """Return the command that ``env`` runs, its program looked up; else env itself."""
    if not argument.startswith("-"):
        if " " in argument:
            raise ProgramError(
                f"{path} gives env more than one word, which it takes for one name; write"
                f" #!{env} -S {argument}"
            )
        return [_look_up(path, argument, search)]
    split = re.fullmatch(r"(?:-S|--split-string[= ])\s*(.*)", argument)
    words = _split(path, split[1]) if split else []
    if not words or words[0].startswith("-") or "=" in words[0]:
        return [env, argument]
    return [_look_up(path, words[0], search), *words[1:]]


def _split(path: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ProgramError(f"{path} has a broken env -S line: {error}") from None


def _look_up(path: str, name: str, search: str) -> str:
    found = shutil.which(name, path=search)
    if found is None:
        raise ProgramError(f'{path} needs "{name}", which is not in PATH; install it')
    return os.path.abspath(found)
