"""What the manager is told of a function: everything it needs, and nothing it must look up.

A FunctionSpec is made from a declaration (``conductor.service``), travels as
JSON over the control socket and to the spawner, and never changes: an update
is another spec. It is plain data, so that the manager and the spawner need no
validation library in their memory; ``from_json`` checks every field all the
same, because the control socket is an input from outside.
"""

from __future__ import annotations

import dataclasses
import enum
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from conductor.cgi_adapter import parse_header_lines
from conductor.fastfn.runtimes import RUNTIMES

_T = TypeVar("_T")
_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")
_MOST = 1024  # workers of one function
_LARGEST = 2**53  # of any number: what JSON's readers agree on (RFC 8259 §6)


class Format(enum.StrEnum):
    """How a function's program speaks."""

    CGI = "cgi"
    HTTP_STDIO = "http-stdio"
    SDACTIVATE = "sdactivate"


class SpecError(ValueError):
    """A spec that came as JSON is not one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """How many workers a function has (named as NGINX Unit names them)."""

    spare: int = 1  # workers kept ready and idle
    max: int = 8  # workers at most, whatever their state
    idle_timeout: float = 60.0  # seconds until an idle worker above `spare` is ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request and a worker may use; 0 means no limit where that makes sense."""

    requests: int = 1  # requests a worker answers before it is recycled; 0: no limit
    timeout: float = 60.0  # seconds for one exchange, 0: no limit
    start_timeout: float = 30.0  # seconds until a worker must stand ready
    queue: int = 128  # requests that may wait while all workers are busy
    queue_timeout: float = 30.0  # seconds that a request may wait
    body: int = 0  # bytes of a request's body, 0: no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """One deployed function."""

    id: str  # APP.INSTANCE.NAME: what its socket and its route are named after
    format: Format
    program: str  # absolute path
    arguments: tuple[str, ...] = ()
    directory: str  # the service directory: the workers' working directory
    socket: str  # the listening socket's path
    part_id: str = ""
    deployment: str = ""
    runtime: str = "exec"  # which harness warms a cgi program: a key of fastfn.runtimes.RUNTIMES
    interpreter: tuple[str, ...] = ()  # the command of the script's shebang, for the harness
    preload: tuple[str, ...] = ()  # modules that the zygote imports
    environment: dict[str, str] = field(default_factory=dict)
    processes: Processes = field(default_factory=Processes)
    limits: Limits = field(default_factory=Limits)
    stderr_as_stdout: bool = False
    response_headers: tuple[str, ...] = ()  # header lines put before the program's output
    no_response_headers: bool = False  # the program prints no head: all it prints is the body
    path_info_strip: int = 0  # leading path segments that are SCRIPT_NAME

    @property
    def name(self) -> str:
        """The last part of the id: how people call it."""
        return self.id.rpartition(".")[2] or self.id

    def to_json(self) -> dict[str, Any]:
        """Return the spec as what ``json.dumps`` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> FunctionSpec:
        """Return the spec that ``data`` (from ``json.loads``) describes, or raise SpecError."""
        fields = dict(_mapping(data, "spec"))
        for key, nested in (("processes", Processes), ("limits", Limits)):
            if key in fields:
                fields[key] = _build(nested, _mapping(fields[key], key), f"{key}.")
        if "format" in fields:
            try:
                fields["format"] = Format(fields["format"])
            except ValueError:
                allowed = ", ".join(Format)
                raise SpecError(f"format must be one of {allowed}") from None
        spec = _build(cls, fields, "")
        for where, problem in _problems(spec):
            raise SpecError(f"{where} {problem}")
        return spec


def _mapping(data: object, where: str) -> dict[str, Any]:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise SpecError(f"{where} must be an object")
    return data


def _problems(spec: FunctionSpec) -> Iterator[tuple[str, str]]:
    """Yield each field that is of the right type and wrong all the same, and why."""
    if not _ID.fullmatch(spec.id):
        yield "id", "must be 1 to 200 letters, digits, dots, - and _"
    for where in ("program", "directory", "socket"):
        if not os.path.isabs(getattr(spec, where)):
            yield where, "must be an absolute path"
    if spec.runtime not in RUNTIMES:
        yield "runtime", f"must be one of {', '.join(RUNTIMES)}"
    if spec.runtime == "python" and not spec.interpreter:
        yield "interpreter", "must be given for the runtime python"
    if not 1 <= spec.processes.max <= _MOST:
        yield "processes.max", f"must be 1 to {_MOST}"
    if spec.processes.spare > spec.processes.max:
        yield "processes.spare", "must not be more than processes.max"
    if not all(name and "=" not in name for name in spec.environment):
        yield "environment", "must have names without = in them"
    try:
        parse_header_lines(spec.response_headers)
    except ValueError as error:
        yield "response_headers", str(error)


def _build(cls: type[_T], values: dict[str, Any], prefix: str) -> _T:
    """Make a ``cls`` from ``values``, each checked against the field's declared type."""
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # only called with dataclasses
    for key in values.keys() - known.keys():
        raise SpecError(f"{prefix}{key} is unknown")
    for key, known_field in known.items():
        if key not in values and not _has_default(known_field):
            raise SpecError(f"{prefix}{key} is missing")
    return cls(**{key: _check(values[key], str(known[key].type), prefix + key) for key in values})


def _has_default(known: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return known.default is not missing or known.default_factory is not missing


def _check(value: Any, kind: str, where: str) -> Any:
    match kind:
        case "str" if isinstance(value, str) and _can_be_passed_on(value):
            return value
        case "int" if type(value) is int and 0 <= value <= _LARGEST:
            return value
        case "float" if type(value) in (int, float) and 0 <= value <= _LARGEST:
            return float(value)
        case "bool" if isinstance(value, bool):
            return value
        case "tuple[str, ...]" if isinstance(value, list | tuple):
            return tuple(_check(item, "str", where) for item in value)
        case "dict[str, str]":
            items = _mapping(value, where).items()
            return {_check(k, "str", where): _check(v, "str", where) for k, v in items}
        case "Format" | "Processes" | "Limits":
            return value
    raise SpecError(f"{where} must be {kind}")


def _can_be_passed_on(text: str) -> bool:
    """Whether ``text`` can be an argument, a path or a variable of a process."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can write
        return False
