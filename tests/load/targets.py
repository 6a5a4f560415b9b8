"""What is asked: each target is a route of Caddy and the program that serves it.

A comparison puts two of them side by side that run the *same* worker: one
through Conductor, one without it. Every program is started for its comparison
alone and ended after it.
"""

from __future__ import annotations

import abc
import contextlib
import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conductor import dirs
from conductor.errors import UserError
from tests.load.stage import HOST, free_port, installed
from tests.load.workers import daemon, raw_http

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.load.processes import Program
    from tests.load.stage import Stage

WORKERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "workers")
PYTHON = "/usr/bin/python3"  # what the workers' first lines name, so that all sides run the same
PROCESSES = 8  # workers, without Conductor as with it
APPLICATION, INSTANCE = "load", "test"

MODULES = ("asyncio", "datetime", "email", "json", "sqlite3", "urllib.request")
IMPORTS_BODY = json.dumps({"imported": MODULES}).encode() + b"\n"
HELLO_BODY = b"Hello from CGI/1.1.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(abc.ABC):
    """Something to ask through Caddy."""

    name: str
    body: bytes  # what each answer must hold

    @property
    def path(self) -> str:
        """The path that Caddy routes to it."""
        return f"/{self.name}"

    @abc.abstractmethod
    def handler(self, directory: str) -> dict[str, Any]:
        """Return Caddy's handler for it; ``directory`` is the stage's."""

    @abc.abstractmethod
    def start(self, stage: Stage) -> Program:
        """Start its program; the caller ends it. Raises ProcessError and UserError."""


def _over_http(socket: str) -> dict[str, Any]:
    # No more connections than workers that accept them: Caddy may open one more than it
    # has requests, and the request that it then puts there would wait for nobody.
    transport = {"protocol": "http", "max_conns_per_host": PROCESSES}
    return _proxy(socket, transport)


def _proxy(socket: str, transport: dict[str, Any]) -> dict[str, Any]:
    upstreams = [{"dial": f"unix/{socket}"}]
    return {"handler": "reverse_proxy", "upstreams": upstreams, "transport": transport}


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct(Target):
    """A worker that listens by itself, directly behind Caddy."""

    worker: str  # a file of workers/ that takes ``--listen PATH``

    def handler(self, directory: str) -> dict[str, Any]:
        return _over_http(self._socket(directory))

    def start(self, stage: Stage) -> Program:
        script = os.path.join(WORKERS, self.worker)
        command = [PYTHON, script, "--listen", self._socket(stage.directory)]
        return stage.start(self.name, command)

    def _socket(self, directory: str) -> str:
        return os.path.join(directory, f"{self.name}.sock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fcgiwrap(Target):
    """A CGI script run by fcgiwrap, which Caddy asks over FastCGI."""

    worker: str  # a file of workers/ that is a CGI script

    def handler(self, directory: str) -> dict[str, Any]:
        script = {"SCRIPT_FILENAME": os.path.join(WORKERS, self.worker)}
        transport = {"protocol": "fastcgi", "root": WORKERS, "env": script}
        return _proxy(self._socket(directory), transport)

    def start(self, stage: Stage) -> Program:
        socket = self._socket(stage.directory)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket)  # It leaves its socket behind, and two comparisons start it.
        command = [installed("fcgiwrap"), "-c", str(PROCESSES), "-s", f"unix:{socket}"]
        return stage.start(self.name, command)

    def _socket(self, directory: str) -> str:
        return os.path.join(directory, f"{self.name}.sock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conductor(Target):
    """A function: Caddy asks the socket that Conductor's manager listens on."""

    declaration: Mapping[str, Any] = field(repr=False)  # the function's keys but its name

    def handler(self, directory: str) -> dict[str, Any]:
        identity = f"{APPLICATION}.{INSTANCE}.{self.name}"
        return _over_http(dirs.function_socket(os.path.join(directory, self.name), identity))

    def start(self, stage: Stage) -> Program:
        service, run = stage.path(f"{self.name}.service"), stage.path(self.name)
        os.mkdir(service)
        os.mkdir(run)
        with open(os.path.join(service, "conductor-service.json"), "w", encoding="utf-8") as file:
            json.dump(self._service(), file)
        listen = f"{HOST}:{free_port()}"
        command = [_conductor(), "function", "serve", service, "--run-dir", run, "--listen", listen]
        return stage.start(self.name, command)

    def _service(self) -> dict[str, Any]:
        function = {"name": self.name, **self.declaration}
        names = {"app_name": APPLICATION, "instance_name": INSTANCE}
        return {**names, "functions": [function]}


def _conductor() -> str:
    """Return the command of this virtual environment; raises UserError without one."""
    beside = os.path.dirname(sys.executable)
    found = shutil.which("conductor", path=beside)
    if found is None:
        raise UserError(f"there is no conductor command in {beside}: make setup installs it")
    return found


def _worker(name: str) -> str:
    return os.path.join(WORKERS, name)


MULTISHOT_DIRECT = Direct(name="worker-direct", body=raw_http.GREETING, worker="raw_http.py")
MULTISHOT = Conductor(
    name="conductor-multishot",
    body=raw_http.GREETING,
    declaration={
        "format": "http-stdio",
        "exec": [PYTHON, _worker("raw_http.py")],
        "processes": {"spare": PROCESSES, "max": PROCESSES},
        "limits": {"requests": 0},
    },
)
DAEMON_DIRECT = Direct(name="daemon-direct", body=daemon.GREETING, worker="daemon.py")
DAEMON = Conductor(
    name="conductor-sdactivate",
    body=daemon.GREETING,
    declaration={
        "format": "sdactivate",
        "exec": [PYTHON, _worker("daemon.py")],
        "processes": {"spare": 1, "max": 1},
    },
)
IMPORTS_FCGIWRAP = Fcgiwrap(name="fcgiwrap-python", body=IMPORTS_BODY, worker="imports.py")
IMPORTS_PRELOAD = Conductor(
    name="conductor-preload",
    body=IMPORTS_BODY,
    declaration={
        "format": "cgi",
        "exec": [_worker("imports.py")],
        "preload": list(MODULES),
        "processes": {"spare": PROCESSES, "max": 2 * PROCESSES},
    },
)
IMPORTS_PLAIN = Conductor(
    name="conductor-plain",
    body=IMPORTS_BODY,
    declaration={
        "format": "cgi",
        "exec": [_worker("imports.py")],
        "processes": {"spare": 2, "max": PROCESSES},
    },
)
HELLO_FCGIWRAP = Fcgiwrap(name="fcgiwrap-bash", body=HELLO_BODY, worker="hello.sh")
HELLO = Conductor(
    name="conductor-bash",
    body=HELLO_BODY,
    declaration={
        "format": "cgi",
        "exec": [_worker("hello.sh")],
        "runtime": "exec",
        "processes": {"spare": PROCESSES, "max": 2 * PROCESSES},
    },
)
