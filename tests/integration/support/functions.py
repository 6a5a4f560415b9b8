"""Functions as the manager is told of them, made of the programs beside this folder."""

from __future__ import annotations

import os
import sys
from typing import Any

from conductor.fastfn.spec import Format, FunctionSpec, Limits, Processes

PROGRAMS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "programs")
_BIN = os.path.dirname(sys.executable)
PYTHON = os.path.join(_BIN, "python3")  # what "#!/usr/bin/env python3" finds with this PATH
ENVIRONMENT = {
    "PATH": os.pathsep.join((_BIN, "/usr/bin", "/bin")),
    "LANG": "C.UTF-8",
}


def function(
    name: str,
    program: str,
    *,
    format: str = "cgi",  # noqa: A002  # as the declaration has it
    runtime: str = "exec",
    spare: int = 1,
    max: int = 8,  # noqa: A002  # likewise
    idle_timeout: float = 60.0,
    limits: dict[str, Any] | None = None,
    environment: dict[str, str] | None = None,
    **settings: Any,
) -> FunctionSpec:
    """Return the spec of ``app.test.NAME``; the manager's process puts the socket in its place."""
    path = program if "/" in program else os.path.join(PROGRAMS, program)
    return FunctionSpec(
        id=f"app.test.{name}",
        format=Format(format),
        program=path,
        directory=settings.pop("directory", os.path.dirname(path)),
        socket="",
        runtime=runtime,
        interpreter=(PYTHON,) if runtime == "python" else (),
        environment=ENVIRONMENT | (environment or {}),
        processes=Processes(spare=spare, max=max, idle_timeout=idle_timeout),
        limits=Limits(**(limits or {})),
        **settings,
    )
