"""Caddy's JSON for functions: pure, from names and paths to a route.

A route belongs to the part, not to a deployment: its ``@id`` and its upstream
socket stay the same over updates, so an update never touches Caddy's
configuration, each change of which would close websockets. The module imports
nothing: proxy templates run ``conductor function caddy-config`` often.

The order of a route's handlers is the order of trust: what a client may not say
about itself is deleted first, then the policy is asked, then the function.
"""

from __future__ import annotations

# What only the policy check and this route may say. Programs that read headers
# as variables cannot tell the two spellings apart.
_OURS = ["Conductor-*", "Conductor_*", "X-Forwarded-Prefix", "X_Forwarded_Prefix"]

# Flush at once, whatever the answer's length says. Caddy takes exactly -1 to mean
# "and keep the request going when the client has left", and a program must be
# ended then; any other negative number of nanoseconds only flushes.
_AT_ONCE = -2

# Caddy keeps 32 idle connections to an upstream by default: with more clients
# than that, every further request would open and close one.
_KEEP_ALIVE = {"idle_timeout": "60s", "max_idle_conns_per_host": 256}


def function_route(
    function_id: str,
    socket: str,
    *,
    part_id: str = "",
    policies: tuple[str, ...] = (),
    policy_socket: str = "",
    daemon: bool = False,
    strip: int = 0,
) -> dict[str, object]:
    """Return the route of one function: ``/cgi/FUNCTION_ID`` and, if given, ``/cgi/PART_ID``.

    ``daemon`` says that a daemon answers on ``socket`` and not the manager (format
    sdactivate), so that what the manager would do is done here: the first ``strip``
    segments are taken off the path. With ``policies`` the policy server at
    ``policy_socket`` is asked first, and anything but a 2xx is its answer.
    """
    handlers: list[object] = [{"handler": "headers", "request": {"delete": _OURS}}]
    if policies:
        handlers.append(_policy_check(policies, policy_socket))
    if daemon and strip:
        handlers += _strip_path(strip)
    handlers.append(_proxy(socket, daemon=daemon))
    return {
        "@id": f"conductor-function.{function_id}",
        "match": [{"path": [path for name in (function_id, part_id) for path in _paths(name)]}],
        "handle": handlers,
        "terminal": True,
    }


def server_config(listen: str, routes: list[dict[str, object]]) -> dict[str, object]:
    """Return a whole configuration: one plain HTTP server on ``listen`` with ``routes``.

    It has no admin endpoint and keeps nothing, so it meets no other Caddy of the machine.
    """
    not_found = {"handler": "static_response", "status_code": 404, "body": "No function here.\n"}
    server = {
        "listen": [listen],
        "routes": [*routes, {"handle": [not_found]}],
        "automatic_https": {"disable": True},
    }
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "apps": {"http": {"grace_period": "5s", "servers": {"conductor": server}}},
    }


def _paths(name: str) -> tuple[str, ...]:
    return (f"/cgi/{name}", f"/cgi/{name}/*") if name else ()


def _strip_path(count: int) -> list[object]:
    """Take ``count`` segments off the path and say which in X-Forwarded-Prefix."""
    prefix = "".join(f"/{{http.request.uri.path.{index}}}" for index in range(count))
    pattern = f"^(?:/[^/]*){{0,{count}}}"
    return [
        {"handler": "headers", "request": {"set": {"X-Forwarded-Prefix": [prefix]}}},
        {"handler": "rewrite", "path_regexp": [{"find": pattern, "replace": ""}]},
    ]


def _proxy(socket: str, *, daemon: bool) -> dict[str, object]:
    """Return the handler that forwards to ``socket``.

    How long a daemon keeps an idle connection is its own affair. When it closes
    one that Caddy is just using again, a POST is lost: so none is kept. Without
    ``compression`` off, Caddy would ask for gzip that the client did not ask for,
    and unpack it.
    """
    keep_alive = {"enabled": False} if daemon else _KEEP_ALIVE
    return {
        "handler": "reverse_proxy",
        "transport": {"protocol": "http", "keep_alive": keep_alive, "compression": False},
        "upstreams": [{"dial": f"unix/{socket}"}],
        "flush_interval": _AT_ONCE,
    }


def _policy_check(policies: tuple[str, ...], socket: str) -> dict[str, object]:
    """Return the handler that asks the policy server, with no body, and goes on at a 2xx."""
    question = {
        "Conductor-Policy": list(policies),
        "X-Forwarded-Method": ["{http.request.method}"],
        "X-Forwarded-Uri": ["{http.request.uri}"],
    }
    passed = {"handler": "headers", "request": {"set": {"Conductor-Policy-Pass": ["1"]}}}
    return {
        "handler": "reverse_proxy",
        "transport": {"protocol": "http"},
        "upstreams": [{"dial": f"unix/{socket}"}],
        "rewrite": {"method": "HEAD"},
        "headers": {"request": {"set": question}},
        "handle_response": [{"match": {"status_code": [2]}, "routes": [{"handle": [passed]}]}],
    }
