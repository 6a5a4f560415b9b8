"""From declarations to FunctionSpecs: what ``conductor.service`` is for.

``load_functions`` reads every directory, checks everything that can be checked
before anything is started, and tells all mistakes at once. What it returns
needs no looking up any more: absolute paths, a whole environment, ids.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from conductor import dirs
from conductor.errors import DeclarationError, UserError
from conductor.fastfn.spec import Format, FunctionSpec, Limits, Processes
from conductor.service.environment import add_config, base_environment
from conductor.service.identity import part_id, service_id
from conductor.service.loading import BadDeclarationsError, Declaration, load_declaration
from conductor.service.model import Function, keys_for_later
from conductor.service.program import (
    Program,
    ProgramError,
    resolve_program,
    resolve_python_script,
)

_LONGEST_SOCKET = 107  # bytes of a path in sockaddr_un, unix(7)


@dataclass(frozen=True, slots=True)
class LoadedFunctions:
    """What the directories declare, ready to be served."""

    specs: tuple[FunctionSpec, ...]
    warnings: tuple[str, ...]  # one sentence each


def load_functions(directories: Iterable[str], run_dir: str) -> LoadedFunctions:
    """Return the functions that ``directories`` declare, their sockets under ``run_dir``.

    Raises UserError: BadDeclarationsError with everything that is wrong, when
    several things are.
    """
    specs: dict[str, FunctionSpec] = {}
    warnings: list[str] = []
    errors: list[UserError] = []
    for directory in directories:
        try:
            declaration = load_declaration(directory)
            warnings += _warnings(declaration)
            loaded = _specs(declaration, os.path.abspath(run_dir))
        except BadDeclarationsError as error:
            errors += error.errors
            continue
        except UserError as error:
            errors.append(error)
            continue
        for spec in loaded:
            other = specs.setdefault(spec.id.lower(), spec)
            if other is not spec:
                errors.append(_declared_twice(declaration.file, spec, other))
    if errors:
        raise BadDeclarationsError(errors)
    return LoadedFunctions(tuple(specs.values()), tuple(warnings))


def _declared_twice(file: str, spec: FunctionSpec, other: FunctionSpec) -> DeclarationError:
    """Return the error; Caddy's paths do not tell upper from lower case, so ids do not either."""
    problem = f"{spec.id} is declared in {other.directory} too; change one of the names"
    return DeclarationError(file, "functions", problem)


def _warnings(declaration: Declaration) -> Iterator[str]:
    service = declaration.service
    keys = keys_for_later(service)
    for index, function in enumerate(service.functions):
        keys += [f"functions[{index}].{key}" for key in keys_for_later(function)]
    for key in keys:
        yield f"{declaration.file}: {key}: is left aside, this version does not act on it yet"
    if not service.functions:
        yield f"{declaration.file}: functions: is empty, nothing to serve here"


def _specs(declaration: Declaration, run_dir: str) -> list[FunctionSpec]:
    """Return one service's functions, or raise BadDeclarationsError with all that is wrong."""
    if declaration.service.inherit:
        problem = "is not supported yet; write what it would inherit into this file"
        raise DeclarationError(declaration.file, "inherit", problem)
    maker = _SpecMaker(declaration, run_dir)
    specs, errors = [], []
    for index, function in enumerate(declaration.service.functions):
        found = [
            DeclarationError(declaration.file, f"functions[{index}].{key}", problem)
            for key, problem in _conflicts(function)
        ]
        try:
            specs.append(maker.make(function))
        except _UnusableError as error:
            key, problem = error.args
            found.append(DeclarationError(declaration.file, f"functions[{index}].{key}", problem))
        errors += found
    if errors:
        raise BadDeclarationsError(errors)
    return specs


def _conflicts(function: Function) -> Iterator[tuple[str, str]]:
    """Yield the key and problem of what does not go together, or not yet."""
    cgi = function.format is Format.CGI
    if function.policies:
        yield (
            "policies",
            (
                "need the policy server, which this version does not have;"
                " the function is not served, rather than served to everyone"
            ),
        )
    if function.activation == "systemd":
        yield "activation", 'must be "manager"; "systemd" is not supported yet'
    if cgi and function.limits.requests != 1:
        yield "limits.requests", "must be 1 for format cgi; reuse is not supported yet"
    if function.limits.start_timeout == 0:
        yield "limits.start_timeout", 'must be more than "0"'
    if not cgi and function.runtime not in ("auto", "exec"):
        yield "runtime", f"{function.runtime} is for format cgi; {function.format} needs none"
    if not cgi:
        for key in ("response_headers", "no_response_headers"):
            if getattr(function, key):
                yield key, f"is for format cgi; a {function.format} program answers by itself"


class _UnusableError(Exception):
    """The key of a function, and why no spec can be made of it."""


class _SpecMaker:
    """Makes the specs of one service."""

    def __init__(self, declaration: Declaration, run_dir: str) -> None:
        self._declaration = declaration
        self._run_dir = run_dir
        self._service_id = service_id(declaration)
        config = declaration.service.config
        self._environment = add_config(base_environment(), config)

    def make(self, function: Function) -> FunctionSpec:
        """Return the spec of ``function``, or raise _UnusableError."""
        program, runtime = self._program(function)
        directory, name = self._declaration.directory, function.name
        part = part_id(self._service_id, name, directory, function.exec)
        socket = self._socket(self._id(function))
        return FunctionSpec(
            id=self._id(function),
            format=function.format,
            program=program.path,
            arguments=tuple(function.exec[1:]),
            directory=directory,
            socket=socket,
            part_id=part,
            deployment=self._deployment(function),
            runtime=runtime,
            interpreter=program.interpreter if runtime == "python" else (),
            preload=tuple(function.preload),
            environment=self._environment | self._variables(function, part, socket),
            processes=Processes(**dict(function.processes)),
            limits=Limits(**dict(function.limits)),
            stderr_as_stdout=function.stderr_as_stdout,
            response_headers=tuple(function.response_headers),
            no_response_headers=function.no_response_headers,
            path_info_strip=function.path_info_strip,
        )

    def _program(self, function: Function) -> tuple[Program, str]:
        """Return the program and the runtime that warms it."""
        word, directory = function.exec[0], self._declaration.directory
        resolve = resolve_python_script if function.runtime == "python" else resolve_program
        try:
            program = resolve(word, directory, self._environment.get("PATH", os.defpath))
        except ProgramError as error:
            raise _UnusableError("exec", str(error)) from None
        warm = function.format is Format.CGI and function.runtime in ("auto", "python")
        runtime = "python" if warm and program.is_python else "exec"
        if function.preload and runtime != "python":
            raise _UnusableError(
                "preload", f"is for Python CGI scripts; {program.path} is run as it is"
            )
        return program, runtime

    def _id(self, function: Function) -> str:
        service = self._declaration.service
        return ".".join(filter(None, (service.app_name, service.instance_name, function.name)))

    def _deployment(self, function: Function) -> str:
        return f"{self._id(function).replace('.', '-')}-1"

    def _socket(self, function_id: str) -> str:
        path = dirs.function_socket(self._run_dir, function_id)
        excess = len(os.fsencode(path)) - _LONGEST_SOCKET
        if excess > 0:
            raise _UnusableError(
                "name",
                f"makes the socket path {path}, {excess} bytes longer than unix sockets allow;"
                " choose shorter names, or a shorter directory with --run-dir",
            )
        return path

    def _variables(self, function: Function, part: str, socket: str) -> dict[str, str]:
        service = self._declaration.service
        return {
            "CONDUCTOR_APP": service.app_name,
            "CONDUCTOR_INSTANCE": service.instance_name,
            "CONDUCTOR_SERVICE_NAME": f"{service.app_name}-{service.instance_name}",
            "CONDUCTOR_SERVICE_DIR": self._declaration.directory,
            "CONDUCTOR_SERVICE_ID": self._service_id,
            "CONDUCTOR_SERVICE_PART": function.name,
            "CONDUCTOR_DEPLOYMENT": self._deployment(function),
            "CONDUCTOR_DEPLOYMENT_KIND": "function",
            "CONDUCTOR_DEPLOYMENT_SERVICE_ID": self._service_id,
            "CONDUCTOR_PART_ID": part,
            "CONDUCTOR_FUNCTION_ID": self._id(function),
            "CONDUCTOR_FUNCTION_FORMAT": function.format.value,
            "CONDUCTOR_FUNCTION_SOCKET": socket,
            "CONDUCTOR_FUNCTION_POLICIES": " ".join(function.policies),
            "CONDUCTOR_FUNCTION_PATH_INFO_STRIP": str(function.path_info_strip),
        }
