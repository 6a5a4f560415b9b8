"""The variables that a function's program starts with.

They are a small clean set, made from nothing: what the manager itself was
started with (tokens, a session's agents, a virtual environment) is none of a
function's business. A CGI program's meta-variables come on top, request by
request, and are not made here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED_ON = ("HOME", "LANG", "TZ")


def base_environment(surroundings: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what every function has of its surroundings: PATH, and HOME, LANG and TZ when set."""
    passed = {name: surroundings[name] for name in _PASSED_ON if surroundings.get(name)}
    return {"PATH": surroundings.get("PATH") or _DEFAULT_PATH} | passed


def add_config(environment: dict[str, str], config: Mapping[str, object]) -> dict[str, str]:
    """Return ``environment`` with ``config`` over it; null takes a variable away."""
    result = environment | {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in config.items()
    }
    return {name: value for name, value in result.items() if config.get(name, "") is not None}
