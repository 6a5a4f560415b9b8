"""What may stand in ``conductor-service.json``, and what each key must hold.

One strict base model: a key that is not declared here is an error, and no value
is turned into another type on the way, because a declaration that is read
differently from how it was meant starts the wrong program. What a key means
together with its neighbours, the file system and this version's abilities is
checked in ``functions``; this module looks at nothing but the values.

Each check raises ValueError with the end of a sentence that begins with the
file and the key: "must be ...".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from conductor.durations import parse_duration, parse_size
from conductor.fastfn.runtimes import RUNTIMES
from conductor.fastfn.spec import Format

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_OR_NONE = re.compile(r"[A-Za-z0-9_-]{0,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_HEADER_LINE = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t\x20-\x7e]*")
_POLICY = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.:-]+)?")
_LONGEST = 366 * 86400.0  # seconds
_EXACT = 2**53  # above it, JSON's numbers lose digits (RFC 8785 §3.2.2.3)

# Conductor frames the response: a second opinion about its length or its
# connection would be forwarded to clients (RFC 9112 §6.3, RFC 9110 §7.6.1).
_FRAMING = {"connection", "content-length", "keep-alive", "trailer", "transfer-encoding", "upgrade"}


class Later:
    """Marks a key that is documented and accepted, and that this version does not act on."""


def _matching(pattern: re.Pattern[str], problem: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if pattern.fullmatch(value) is None:
            raise ValueError(f"{problem}, not {value!r}")
        return value

    return check


def _written(parse: Callable[[str], float], example: str, most: float) -> Callable[[Any], Any]:
    """Return a check of a quantity written as text, such as a duration."""

    def check(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f'must be text such as "{example}", not {value!r}')  # noqa: TRY004  # pydantic reports ValueError
        if len(value) > 32:
            raise ValueError(f'must be short text such as "{example}"')
        number = parse(value)
        if number > most:
            raise ValueError(f"is more than Conductor takes: {value!r}")
        return number

    return check


def _header_line(line: str) -> str:
    match = _HEADER_LINE.fullmatch(line)
    if match is None:
        raise ValueError(f'must be a header line such as "Content-Type: text/plain", not {line!r}')
    if match[1].lower() in _FRAMING:
        raise ValueError(f"must not hold {match[1]}, which Conductor sets itself")
    return line


def _config_name(name: str) -> str:
    if _VARIABLE.fullmatch(name) is None:
        raise ValueError("is no name for a variable: letters, digits and _, no digit first")
    if name.startswith("CONDUCTOR_"):
        raise ValueError("is taken: names that start with CONDUCTOR_ are set by Conductor")
    return name


def _config_value(value: Any) -> Any:
    if not isinstance(value, str | int | float | None):
        raise ValueError("must be text, a number, true, false or null")  # noqa: TRY004  # pydantic reports ValueError
    if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) < _EXACT):
        raise ValueError("is a number that JSON does not keep exactly; write it as text")
    return value


def _one_of(*allowed: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}, not {value!r}")
        return value

    return check


def _program_first(words: list[str]) -> list[str]:
    if not words or not words[0]:
        raise ValueError('must begin with a program, such as ["./script.py", "--option"]')
    return words


Name = Annotated[str, AfterValidator(_matching(_NAME, "must be 1 to 64 letters, digits, - and _"))]
FunctionName = Annotated[
    str, AfterValidator(_matching(_NAME_OR_NONE, "must be at most 64 letters, digits, - and _"))
]
Runtime = Annotated[str, AfterValidator(_one_of("auto", *RUNTIMES))]
Module = Annotated[str, AfterValidator(_matching(_MODULE, 'must be a module such as "json"'))]
Policy = Annotated[str, AfterValidator(_matching(_POLICY, 'must be like "policy/authorization"'))]
Duration = Annotated[float, BeforeValidator(_written(parse_duration, "30s", _LONGEST))]
Size = Annotated[int, BeforeValidator(_written(parse_size, "16MiB", 2.0**60))]
HeaderLine = Annotated[str, AfterValidator(_header_line)]
ConfigName = Annotated[str, AfterValidator(_config_name)]
ConfigValue = Annotated[Any, AfterValidator(_config_value)]
Count = Annotated[int, Field(ge=0, le=65536)]


class Model(BaseModel):
    """The strict base of everything declared."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Processes(Model):
    """How many workers: ``functions[].processes``."""

    spare: Annotated[int, Field(ge=0, le=1024)] = 1
    max: Annotated[int, Field(ge=1, le=1024)] = 8
    idle_timeout: Duration = 60.0

    @model_validator(mode="after")
    def _spare_fits(self) -> Self:
        if self.spare > self.max:
            raise ValueError(f"must not keep more spare ({self.spare}) than max ({self.max})")
        return self


class Limits(Model):
    """What a request and a worker may use: ``functions[].limits``."""

    requests: Annotated[int, Field(ge=0, le=10**9)] = 1
    timeout: Duration = 60.0
    start_timeout: Duration = 30.0
    queue: Count = 128
    queue_timeout: Duration = 30.0
    body: Size = 0


class Function(Model):
    """One function: ``functions[]``."""

    name: FunctionName = ""
    format: Annotated[Format, Field(strict=False)]
    exec: Annotated[list[str], AfterValidator(_program_first)]
    runtime: Runtime = "auto"
    preload: list[Module] = []
    activation: Literal["manager", "systemd"] = "manager"
    processes: Processes = Processes()
    limits: Limits = Limits()
    stderr_as_stdout: bool = False
    response_headers: list[HeaderLine] = []
    no_response_headers: bool = False
    path_info_strip: Annotated[int, Field(ge=0, le=64)] = 0
    policies: list[Policy] = []
    service_directives: Annotated[list[str], Later] = []
    reverse_proxy: Annotated[list[Any], Later] = []
    default_reverse_proxy: Annotated[bool, Later] = True
    part_id_template: Annotated[str, Later] = ""
    exclude_vars: Annotated[list[str], Later] = []


class Service(Model):
    """A whole declaration, as far as functions need it."""

    app_name: Name
    instance_name: Name
    config: dict[ConfigName, ConfigValue] = {}
    functions: list[Function] = []
    inherit: Any = None
    pods: Annotated[Any, Later] = None
    proxy_config_template: Annotated[Any, Later] = None
    hooks: Annotated[Any, Later] = None
    commands: Annotated[Any, Later] = None
    display_service_config: Annotated[Any, Later] = None
    display_service_deployment_config: Annotated[Any, Later] = None
    display_deployment_config: Annotated[Any, Later] = None
    disable: Annotated[Any, Later] = False
    conditions: Annotated[Any, Later] = None
    auto_restart: Annotated[Any, Later] = None
    caddy_load_balancer: Annotated[Any, Later] = None
    policies: Annotated[Any, Later] = None


def keys_for_later(model: Model) -> list[str]:
    """Return the keys that ``model`` sets to something and that this version does not act on."""
    return [
        name
        for name, field in type(model).model_fields.items()
        if Later in field.metadata
        and (value := getattr(model, name)) != field.default
        and value not in (None, "", [], {})
    ]
