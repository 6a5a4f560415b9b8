#!/usr/bin/env python3
"""Writes the reference pages that are made from the code: ``make docs``.

Keys, values, ranges and defaults of a declaration come from the pydantic models,
commands and options from click, so that a page cannot say something else than the
program does. What a key means no model can tell: that is the table ``MEANINGS``, and
a key that is missing there, or one that no model has any more, is an error.
``tests/unit/test_reference.py`` holds the pages to what this prints.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import click
from pydantic.fields import FieldInfo

from conductor.cli.app import conductor
from conductor.durations import format_duration
from conductor.fastfn.runtimes import RUNTIMES
from conductor.fastfn.spec import Format
from conductor.service import model
from conductor.service.model import Function, Later, Limits, Model, Processes, Service

DOCS = Path(__file__).resolve().parent.parent / "docs" / "reference"
_GENERATED = "<!-- Made by `make docs` from the code; edit tools/reference.py, not this page. -->"

# The annotations that say what a value looks like, in words.
WORDS = (
    (model.Name, "1 to 64 letters, digits, `-` and `_`"),
    (model.FunctionName, "at most 64 letters, digits, `-` and `_`"),
    (model.Runtime, " or ".join(f"`{name}`" for name in ("auto", *RUNTIMES))),
    (model.Module, "module names"),
    (model.Policy, "policy names"),
    (model.Duration, "a duration"),
    (model.Size, "a size"),
    (model.HeaderLine, "header lines"),
    (dict[model.ConfigName, model.ConfigValue], "an object"),
    (Format, ", ".join(f"`{name}`" for name in Format)),
    (Processes, "an object"),
    (Limits, "an object"),
    (Function, "functions"),
    (str, "text"),
    (bool, "`true` or `false`"),
    (int, "a whole number"),
    (Any, "anything"),
)

MEANINGS = {
    "Service.app_name": "Name of the application: the first part of every function's id.",
    "Service.instance_name": "Which instance of the application this is, such as `production`:"
    " the second part of every function's id.",
    "Service.config": "Variables for the programs, by name. Values are text, numbers, `true`,"
    " `false` or `null`; what is no text is passed as JSON. `null` takes a variable away. Names"
    " that start with `CONDUCTOR_` are taken.",
    "Service.functions": "The functions; see below.",
    "Function.name": "The last part of the function's id, `APP.INSTANCE.NAME`. When it is empty"
    " the id is `APP.INSTANCE`. Ids that differ only in upper and lower case count as the same.",
    "Function.format": "How the program speaks; see [the formats](#the-formats).",
    "Function.exec": "The program and its arguments. A program with a slash is relative to the"
    " service directory, one without is looked up in `PATH`. It must be executable, and a script"
    " must begin with an interpreter line.",
    "Function.runtime": "How a `cgi` program is kept warm. `python`: a warm interpreter, for"
    " scripts whose interpreter line names python with plain options, and for `*.py` without such"
    " a line. `exec`: everything is ready but the program itself; for any program. `auto`:"
    " `python` where the interpreter line allows it, else `exec`.",
    "Function.preload": "Modules that the warm interpreter imports once, for all its workers."
    " Python `cgi` scripts only.",
    "Function.activation": "Who listens. Only `manager` is supported yet; `systemd` is refused.",
    "Function.processes": "How many workers; see below.",
    "Function.limits": "What a request and a worker may use; see below.",
    "Function.stderr_as_stdout": "Take what a `cgi` program writes to standard error for output"
    " too.",
    "Function.response_headers": "Header lines put before the program's own, such as"
    ' `"Content-Type: text/plain"`. Format `cgi` only. A program\'s own Status, Location,'
    " Content-Type and Content-Length win. Headers about the connection or the body's length are"
    " refused.",
    "Function.no_response_headers": "The program prints no head: all it prints is the body. Format"
    " `cgi` only; goes together with `response_headers`.",
    "Function.path_info_strip": "How many leading path segments name the function: 2 for"
    " `/cgi/ID/...`. For `cgi` they are `SCRIPT_NAME` and the rest is `PATH_INFO`. The other"
    " formats get the path without them, and `X-Forwarded-Prefix` says what was taken off.",
    "Function.policies": "Who may call the function. The policy server does not exist yet, so a"
    " function that names policies is refused rather than served to everyone.",
    "Processes.spare": "Workers kept ready and idle. With 0 nothing runs until a request comes.",
    "Processes.max": "Workers at most, whatever they are doing.",
    "Processes.idle_timeout": "How long a worker that is not needed as a spare stays. With"
    " `spare` 0, also how long the spawner stays, and how long a daemon without connections.",
    "Limits.requests": "Requests that an `http-stdio` process answers, one after the other, before"
    " it is replaced (up to a tenth fewer, so that not all end together); 0: no limit. Must be 1"
    " for `cgi`; means nothing for `sdactivate`.",
    "Limits.timeout": 'Time for one exchange, counted from when a worker has it; `"0"`: no limit.'
    " Then 504, or the answer is broken off, and the worker is ended. A tunnel (`Upgrade`) has no"
    " limit. The body of a chunked request to a `cgi` program must come within the same time.",
    "Limits.start_timeout": 'Time until a started worker must stand ready; not `"0"`.',
    "Limits.queue": "Requests that may wait while all workers are busy. The next one gets 503.",
    "Limits.queue_timeout": "Time that a request may wait for a worker. Then 504.",
    "Limits.body": 'Longest body of a request; `"0"`: no limit. Longer ones get 413. A chunked'
    " body to a `cgi` program is kept until it is complete, above 1 MiB in a temporary file, and is"
    ' limited to 4 GiB where this is `"0"`.',
}

_INTRODUCTION = """\
# conductor-service.json

A service directory holds a file `conductor-service.json`. It is JSON in UTF-8, at most 1 MiB. \
Comments (`//` and `/* */`) and trailing commas are allowed.

Everything is checked before anything is started. A key that does not stand here is an error, \
and no value is turned into another type: `"8"` is no number. All mistakes are told at once, \
each with its file and key, and the exit status is 2.

A complete declaration:

```json
{example}```
"""

EXAMPLE = """\
{
    "app_name": "notes",
    "instance_name": "production",
    "config": {"NOTES_FILE": "/var/lib/notes/notes.db", "NOTES_PAGE": 50},
    "functions": [
        {
            "name": "web",
            "format": "cgi",
            "exec": ["./notes.py"],
            "preload": ["json", "sqlite3"],
            "processes": {"spare": 2, "max": 16},
            "limits": {"timeout": "15s", "body": "1MiB"},
            "path_info_strip": 2,
        },
        {
            "name": "api", // an HTTP server on stdin and stdout
            "format": "http-stdio",
            "exec": ["./api.py", "--verbose"],
            "limits": {"requests": 1000},
            "path_info_strip": 2,
        },
    ],
}
"""

_LEFT_ASIDE = """\
Accepted and left aside, with a warning, because this version does not act on them yet: {keys}."""

_VALUES = """\
## Durations, sizes and names

- A duration is text: `"250ms"`, `"30s"`, `"1m30s"`, `"2h"`, `"1d"`, `"0"`; at most 366 days.
- A size is text: `"4096"`, `"64KiB"`, `"16MiB"`, `"1.5G"`. K, M and G alone are binary, as in \
systemd; kB, MB and GB are decimal.
- Names become parts of paths and addresses, hence their few letters. The path of a function's \
socket, `RUN_DIR/functions/ID.sock`, may have 107 bytes.
"""

_FORMATS = """\
## The formats

| format | what the program does | processes |
|---|---|---|
| `cgi` | one request a process: variables in the environment, the body on stdin, the answer on \
stdout (RFC 3875) | started before the request comes |
| `http-stdio`, `limits.requests` 1 | reads one HTTP/1.1 request on stdin, answers on stdout; \
both are one socket, as with inetd | started before the request comes |
| `http-stdio`, `limits.requests` 0 or above 1 | the same, for many requests one after the other | \
started before the request comes, used again |
| `sdactivate` | accepts on the listening socket that it is given as descriptor 3 \
(`LISTEN_FDS`) | started before the first connection (`spare` 1 or more) or by it (`spare` 0) |

For `sdactivate` Conductor is not between client and program, so `limits` do not apply, except \
that `timeout` and `body` do on Conductor's own listener (`serve` without `--caddy`).
"""

_COMMANDS = """\
# Commands

`conductor f` is short for `conductor function`. Commands that ask a running manager look for \
its control socket in the run directory: `/run/conductor` for root, `$XDG_RUNTIME_DIR/conductor` \
for others, or what `--run-dir` names.

Exit statuses: 0 when it worked; 1 when it did not, such as no manager to ask; 2 when it cannot \
be done as asked, such as a wrong option or declaration; 130 when it was interrupted. What went \
wrong is one sentence on standard error.
"""


def pages() -> dict[str, str]:
    """Return the generated pages: file name and text."""
    return {"declaration.md": _declaration_page(), "commands.md": _commands_page()}


# The declaration.


def _declaration_page() -> str:
    described: set[str] = set()
    parts = [
        _GENERATED,
        _INTRODUCTION.format(example=EXAMPLE),
        "## The service\n",
        _table(Service, described),
        _LEFT_ASIDE.format(keys=_for_later(Service)) + " `inherit` is refused.\n",
        "## `functions[]`\n",
        _table(Function, described),
        _LEFT_ASIDE.format(keys=_for_later(Function)) + "\n",
        "## `functions[].processes`\n",
        _table(Processes, described),
        "`spare` must not be more than `max`.\n",
        "## `functions[].limits`\n",
        _table(Limits, described),
        _FORMATS,
        _VALUES,
    ]
    if unknown := MEANINGS.keys() - described:
        raise ValueError(f"MEANINGS describes what no model has: {', '.join(sorted(unknown))}")
    return "\n".join(parts)


def _table(kind: type[Model], described: set[str]) -> str:
    hints = get_type_hints(kind, include_extras=True)
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in kind.model_fields.items():
        key = f"{kind.__name__}.{name}"
        if Later in field.metadata or key == "Service.inherit":
            continue
        described.add(key)
        value = _value(hints[name]) + _range(field)
        default = "required" if field.is_required() else _default(hints[name], field.default)
        rows.append(f"| `{name}` | {value} | {default} | {MEANINGS[key]} |")
    return "\n".join((*rows, ""))


def _value(annotation: Any) -> str:
    for known, words in WORDS:
        if annotation == known:
            return words
    if get_origin(annotation) is Annotated:
        return _value(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is list:
        return f"a list of {_value(get_args(annotation)[0])}"
    raise ValueError(f"WORDS has none for {annotation}")


def _range(field: FieldInfo) -> str:
    bounds: dict[str, int] = {}
    for item in field.metadata:
        bounds |= {end: getattr(item, end) for end in ("ge", "le") if hasattr(item, end)}
    return f", {bounds['ge']} to {bounds['le']}" if bounds else ""


def _default(annotation: Any, value: Any) -> str:
    if annotation == model.Duration:
        return f'`"{format_duration(value)}"`'
    if annotation == model.Size:
        return f'`"{value}"`'
    if isinstance(value, Model):
        return "`{}`"
    return f"`{json.dumps(value)}`"


def _for_later(kind: type[Model]) -> str:
    names = [name for name, field in kind.model_fields.items() if Later in field.metadata]
    return ", ".join(f"`{name}`" for name in names)


# The commands.


def _commands_page() -> str:
    parts = [_GENERATED, _COMMANDS]
    for name, command in _commands("conductor", conductor):
        parts += _describe(name, command)
    parts.append(_adapter())
    return "\n".join(parts)


def _commands(path: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Yield all commands below ``group`` with their full names."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(f"{path} {name}", command)
        elif command is not None and not command.hidden:
            yield f"{path} {name}", command


def _describe(name: str, command: click.Command) -> Iterator[str]:
    arguments = [_argument(p) for p in command.params if isinstance(p, click.Argument)]
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    words = (name, *(["[OPTIONS]"] if options else []), *arguments)
    yield f"## `{name}`\n\n```\n{' '.join(words)}\n```\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    if options:
        yield "| option | default | meaning |\n|---|---|---|"
        yield from map(_row, options)
        yield ""
    if command.epilog:
        # The backspace keeps click from filling the lines; the first of them is "Examples:".
        lines = command.epilog.lstrip("\b\n").split("\n")[1:]
        yield "```sh\n" + "\n".join(line.strip() for line in lines) + "\n```\n"


def _row(option: click.Option) -> str:
    default = f"`{option.default}`" if option.show_default else ""
    return f"| {_spelling(option)} | {default} | {_help(option)} |"


def _argument(argument: click.Argument) -> str:
    name = argument.metavar or _choices(argument) or str(argument.name).upper()
    return name if argument.required else f"[{name}]"


def _spelling(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if option.is_flag:
        return names
    if isinstance(option.type, click.IntRange):
        return f"{names} N"
    value = option.metavar or _choices(option) or option.type.name.upper()
    return f"{names} {value}".replace("|", "\\|")


def _choices(parameter: click.Parameter) -> str:
    kind = parameter.type
    return "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else ""


def _help(option: click.Option) -> str:
    kind, text = option.type, option.help or ""
    if isinstance(kind, click.IntRange):
        text += f" From {kind.min} to {kind.max}."
    return f"{text} Variable: `{option.envvar}`." if option.envvar else text


def _adapter() -> str:
    command = [sys.executable, "-m", "conductor.cgi_adapter", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return f"## `python -m conductor.cgi_adapter`\n\n```\n{text}```\n"


def main() -> int:
    """Write the pages."""
    DOCS.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
        print(f"written: docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
