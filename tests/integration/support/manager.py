"""A real manager in a process of its own, asked over its control socket as in production."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, Self

from conductor import dirs
from conductor.fastfn.client import ControlClient
from conductor.fastfn.spec import FunctionSpec
from tests.integration.support.functions import function
from tests.integration.support.http import Client
from tests.integration.support.processes import descendants
from tests.integration.support.waiting import wait_until

_ANSWER = 60.0  # seconds for an operation that waits for requests to end


class ManagerProcess:
    """``conductor function serve`` with nothing declared; tests add what they need."""

    def __init__(
        self, specs: Sequence[FunctionSpec] = (), *, caddy: bool = False, run_dir: str = ""
    ) -> None:
        self.directory = run_dir or tempfile.mkdtemp(prefix="conductor-test-")
        self.port = free_port()
        self._log_path = os.path.join(self.directory, "log")
        settings = {
            "specs": [spec.to_json() | {"socket": self.socket_of(spec.id)} for spec in specs],
            "listen": ["127.0.0.1", self.port],
            "caddy": caddy,
            "run_dir": self.directory,
            "log_format": "json",
        }
        self.process = self._spawn(settings)
        self.client = ControlClient(dirs.control_socket(self.directory))

    def _spawn(self, settings: dict[str, Any]) -> subprocess.Popen[str]:
        read, write = os.pipe()
        with open(self._log_path, "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "conductor.cli.serving", "--settings-fd", str(read)],
                pass_fds=(read,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"CONDUCTOR_TEST_SECRET": "the manager's own"},
                text=True,
            )
        os.close(read)
        with open(write, "w", encoding="utf-8") as pipe:
            json.dump(settings, pipe)
        return process

    def __enter__(self) -> Self:
        """Return when the manager serves."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("Stop with"):
                return self
        self.stop()
        raise AssertionError(f"the manager did not start: {self.log()}")

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The manager's process id."""
        return self.process.pid

    def stop(self) -> int:
        """End the manager with SIGTERM and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
        return status

    def kill(self, pid: int) -> None:
        """Kill one of the manager's descendants."""
        assert pid in descendants(self.pid)
        os.kill(pid, signal.SIGKILL)

    def log(self) -> str:
        """Return all that the manager logged."""
        with open(self._log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def entries(self, kind: str, function_id: str) -> list[dict[str, Any]]:
        """Return the log's entries of one kind of one function."""
        entries = []
        for line in self.log().splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry["kind"] == kind and entry["function"] == function_id:
                    entries.append(entry)
        return entries

    def wait_logged(self, kind: str, function_id: str, text: str) -> dict[str, Any]:
        """Return the first entry whose message holds ``text``, once it is logged."""

        def found() -> list[dict[str, Any]]:
            return [e for e in self.entries(kind, function_id) if text in e["message"]]

        return wait_until(found, f"a {kind} entry of {function_id} with {text!r}")[0]

    # Functions.

    def socket_of(self, function_id: str) -> str:
        """Return where a function of this manager listens."""
        return dirs.function_socket(self.directory, function_id)

    def add(self, spec: FunctionSpec) -> str:
        """Serve ``spec`` on a socket of this manager, and return its id once it is ready."""
        data = spec.to_json() | {"socket": self.socket_of(spec.id)}
        self.call("add", spec=data)
        return spec.id

    def add_http(self, name: str, program: str = "worker.py", **settings: Any) -> str:
        """Serve one of our programs as an http-stdio function."""
        return self.add(function(name, program, format="http-stdio", **settings))

    def call(self, op: str, **arguments: object) -> dict[str, Any]:
        """Ask the manager; raises as ControlClient does."""
        return self.client.call(op, timeout=_ANSWER, **arguments)

    def show(self, function_id: str) -> dict[str, Any]:
        """Return all that the manager knows of a function."""
        return self.call("show", function=function_id)

    def stats(self, function_id: str) -> dict[str, Any]:
        """Return the counters of a function."""
        stats: dict[str, Any] = self.call("stats", function=function_id)["functions"][0]
        return stats

    def pids(self, function_id: str, state: str = "") -> list[int]:
        """Return the process ids of a function's workers, of all or of those in ``state``."""
        return [
            process["pid"]
            for process in self.show(function_id)["processes"]
            if state in ("", process["state"])
        ]

    def wait_workers(self, function_id: str, **counts: int) -> dict[str, Any]:
        """Wait until a function has so many workers in the states named; return what it shows."""

        def right() -> dict[str, Any]:
            shown = self.show(function_id)
            same = all(shown["workers"][state] == n for state, n in counts.items())
            return shown if same else {}

        return wait_until(right, f"{function_id} with {counts}")

    # Requests.

    def connect(self, function_id: str) -> Client:
        """Connect to a function's socket, as Caddy does."""
        return Client.unix(self.socket_of(function_id))

    def connect_tcp(self) -> Client:
        """Connect to the listener that clients see."""
        return Client.tcp(self.port)


def free_port() -> int:
    """Return a TCP port on which nobody listened just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
