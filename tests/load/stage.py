"""Where a run takes place: a temporary directory and one real Caddy.

Caddy is told of every target before any of them runs: its configuration names
their sockets, and no change of it falls into a measurement. Its admin endpoint
is off, its own files stay in the temporary directory, and nothing is logged
for a request. What is here knows nothing of the programs behind the sockets
(``targets``).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import tempfile
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

from conductor.errors import UserError
from tests.load.client import Address
from tests.load.processes import Program, undisturbed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.load.targets import Target

HOST = "127.0.0.1"
PROBE_TIMEOUT = 5.0  # seconds for one look at a route
PACKAGES = "apt-get install caddy fcgiwrap"


class Stage:
    """A context manager: inside it Caddy runs, after it nothing is left."""

    def __init__(self, targets: Iterable[Target]) -> None:
        """``targets`` are what Caddy will have routes to."""
        self._targets = tuple(targets)
        self._stack = contextlib.ExitStack()
        self.address = Address(HOST, free_port())
        self.directory = ""

    def __enter__(self) -> Self:
        """Start Caddy; raises ProcessError, or UserError when it is not installed."""
        caddy = installed("caddy")
        with contextlib.ExitStack() as stack:
            self.directory = stack.enter_context(_temporary_directory())
            routes = {target.path: target.handler(self.directory) for target in self._targets}
            with open(self.path("caddy.json"), "w", encoding="utf-8") as file:
                json.dump(caddy_config(self.address, self.directory, routes), file)
            command = [caddy, "run", "--config", file.name]
            program = stack.enter_context(self.start("caddy", command))
            program.wait_until(lambda: self.ask("/") is not None, "no answer")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def path(self, *parts: str) -> str:
        """Return a path inside the temporary directory."""
        return os.path.join(self.directory, *parts)

    def start(self, name: str, command: Iterable[str]) -> Program:
        """Start a program whose output goes to ``NAME.log``; raises ProcessError."""
        own = {"HOME": self.directory, "XDG_DATA_HOME": self.path("caddy-data")}
        own["XDG_CONFIG_HOME"] = self.path("caddy-config")
        return Program(list(command), self.path(f"{name}.log"), {**os.environ, **own})

    @contextlib.contextmanager
    def serving(self, target: Target) -> Iterator[None]:
        """Run a target's program; enters when it answers right. Raises ProcessError, UserError."""
        with target.start(self) as program:
            wanted = (HTTPStatus.OK, target.body)
            program.wait_until(
                lambda: self.ask(target.path) == wanted, f"no right answer to GET {target.path}"
            )
            yield

    def ask(self, path: str) -> tuple[int, bytes] | None:
        """Return status and body of a GET through Caddy, None when it does not answer."""
        with contextlib.closing(
            http.client.HTTPConnection(self.address.host, self.address.port, timeout=PROBE_TIMEOUT)
        ) as connection:
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read()
            except (OSError, http.client.HTTPException):
                return None


def installed(program: str) -> str:
    """Return the path of a program; raises UserError that says how to get it."""
    found = shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if found is None:
        raise UserError(f"{program} is not installed: {PACKAGES}")
    return found


def free_port() -> int:
    """Return a port of HOST that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _temporary_directory() -> Iterator[str]:
    directory = tempfile.mkdtemp(prefix="load-")
    try:
        yield directory
    finally:
        with undisturbed():
            shutil.rmtree(directory, ignore_errors=True)


def caddy_config(
    address: Address, directory: str, routes: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return Caddy's whole configuration; what no route serves is a 404."""
    server = {
        "listen": [str(address)],
        "automatic_https": {"disable": True},
        "routes": [
            *({"match": [{"path": [path]}], "handle": [dict(routes[path])]} for path in routes),
            {"handle": [{"handler": "static_response", "status_code": 404}]},
        ],
    }
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "storage": {"module": "file_system", "root": os.path.join(directory, "caddy-storage")},
        "apps": {"http": {"grace_period": "1s", "servers": {"load": server}}},
    }
