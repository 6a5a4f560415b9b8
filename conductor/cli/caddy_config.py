"""``conductor function caddy-config``: the route of one function, as JSON for Caddy.

Proxy templates run this for every function, so it starts as quickly as an
interpreter can: no click, no regular expressions, no typing. ``OPTIONS`` is the
one declaration of what it takes; click reads it too, for help and completion,
and ``run_fast`` leaves everything unusual to click.
"""

from __future__ import annotations

import json
import os
import sys

from conductor import dirs
from conductor.caddy.routes import function_route
from conductor.errors import UserError

FORMATS = ("cgi", "http-stdio", "sdactivate")  # of fastfn.spec.Format, which loads too much here

# Flag, variable, what stands for its value in help, help.
OPTIONS = (
    ("--function", "CONDUCTOR_FUNCTION_ID", "ID", "Id of the function: APP.INSTANCE.NAME."),
    ("--socket", "CONDUCTOR_FUNCTION_SOCKET", "PATH", "Its listening socket, absolute."),
    ("--policies", "CONDUCTOR_FUNCTION_POLICIES", "NAMES", "Its policies, separated by spaces."),
    ("--deployment", "CONDUCTOR_DEPLOYMENT", "NAME", "Its deployment, which the route outlives."),
    ("--part-id", "CONDUCTOR_PART_ID", "ID", "Its part id, a second name for its paths."),
    ("--format", "CONDUCTOR_FUNCTION_FORMAT", "FORMAT", f"One of {', '.join(FORMATS)}."),
    (
        "--path-info-strip",
        "CONDUCTOR_FUNCTION_PATH_INFO_STRIP",
        "N",
        "Segments that Caddy takes off the path of a sdactivate function.",
    ),
)


def run_fast(arguments: list[str]) -> int | None:
    """Print the route and return the exit status, or return None, having done nothing.

    It declines whatever is not plain options with values, such as ``--help``.
    """
    values = _parse(arguments)
    if values is None:
        return None
    try:
        sys.stdout.write(render(values))
        sys.stdout.flush()
    except UserError as error:
        sys.stderr.write(f"conductor: {error}\n")
        return error.exit_status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def render(flags: dict[str, str]) -> str:
    """Return the route as JSON text; ``flags`` win over the environment.

    Raises UserError for what is missing or could not stand in a route.
    """
    values = {
        flag: flags[flag] if flag in flags else os.environ.get(variable, "")
        for flag, variable, _, _ in OPTIONS
    }
    if values["--format"] not in ("", *FORMATS):
        raise UserError(f"--format: {values['--format']!r} must be one of {', '.join(FORMATS)}")
    policies = tuple(values["--policies"].split())
    route = function_route(
        _name("--function", values, required=True),
        _socket(values),
        part_id=_name("--part-id", values),
        policies=tuple(_safe("--policies", policy, "_.-/:") for policy in policies),
        policy_socket=_policy_socket() if policies else "",
        daemon=values["--format"] == "sdactivate",
        strip=_count(values),
    )
    return json.dumps(route, indent=2) + "\n"


def _parse(arguments: list[str]) -> dict[str, str] | None:
    known = {option[0] for option in OPTIONS}
    values: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag not in known:
            return None
        if not equals:
            given = next(words, None)
            if given is None or given.startswith("-"):
                return None
            value = given
        values[flag] = value
    return values


def _required(flag: str, values: dict[str, str]) -> str:
    if not values[flag]:
        variable = next(option[1] for option in OPTIONS if option[0] == flag)
        raise UserError(f"{flag} is missing, and {variable} is not set; give one of them")
    return values[flag]


def _name(flag: str, values: dict[str, str], *, required: bool = False) -> str:
    return _safe(flag, _required(flag, values) if required else values[flag], "_.-")


def _safe(flag: str, value: str, also: str) -> str:
    """Return ``value``, which becomes a part of paths and must mean nothing to Caddy."""
    rest = value.translate(dict.fromkeys(map(ord, also)))
    if (rest and not (rest.isascii() and rest.isalnum())) or len(value) > 255:
        raise UserError(f"{flag}: {value!r} may hold letters, digits and {' '.join(also)} only")
    return value


def _socket(values: dict[str, str]) -> str:
    path = _required("--socket", values)
    if not path.startswith("/") or "{" in path or not path.isprintable():
        raise UserError(f"--socket: {path!r} must be an absolute path, without {{")
    return path


def _count(values: dict[str, str]) -> int:
    text = values["--path-info-strip"] or "0"
    if not (text.isascii() and text.isdigit()) or len(text) > 2:
        raise UserError(f"--path-info-strip: {text!r} must be a whole number, at most 99")
    return int(text)


def _policy_socket() -> str:
    return os.path.join(os.path.dirname(dirs.run_dir()), "conductor-policy.socket")
