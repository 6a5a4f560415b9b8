"""The daemon that owns the functions' sockets, put together.

It holds the functions by their ids, the control socket, and the plain TCP listener
where one is asked for, which routes ``/cgi/ID`` and ``/cgi/PART_ID`` as Caddy would. It never
runs a function's code and never blocks.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import time
from typing import Any, TextIO

from conductor import dirs
from conductor.errors import ConductorError, UserError
from conductor.fastfn.control import ControlServer
from conductor.fastfn.exchange import Exchange
from conductor.fastfn.function import BACKLOG, AnyDeployment, Function
from conductor.fastfn.gateway import Gateway
from conductor.fastfn.requestlog import RequestLog
from conductor.fastfn.spec import FunctionSpec

STOP_GRACE = 10.0  # seconds that requests under way have to end when the manager stops
_PAGE = resource.getpagesize()


class Manager:
    """All functions of one run directory."""

    def __init__(self, run_dir: str, log: RequestLog) -> None:
        self.run_dir = run_dir
        self.log = log
        self.functions: dict[str, Function] = {}
        self.clock = time.monotonic
        self._started = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._parts: dict[str, Function] = {}  # by part id
        self._control = ControlServer(self, dirs.control_socket(run_dir))
        self._gateway = Gateway(self._route, self._loop, proxied=False)
        self._server: asyncio.Server | None = None
        self._lock: TextIO | None = None

    async def start(self) -> None:
        """Take the run directory and listen for control; raises UserError."""
        try:
            os.makedirs(os.path.join(self.run_dir, "functions"), mode=0o755, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{self.run_dir}: cannot be made: {error.strerror}; choose another with --run-dir"
            ) from None
        self._take_lock()
        self.log.start(self._loop)
        await self._control.start()

    def _take_lock(self) -> None:
        """Make sure that no other manager uses the run directory."""
        self._lock = open(os.path.join(self.run_dir, "manager.lock"), "w")  # noqa: SIM115  # held until stop
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise UserError(
                f"{self.run_dir}: another manager uses this run directory; "
                "stop it, or choose another with --run-dir"
            ) from None

    async def add(self, spec: FunctionSpec) -> None:
        """Serve ``spec``; one with the same id is replaced without losing a request.

        Returns when it is ready. Raises ConductorError when it does not start: a
        new function then stays and is tried again, a replaced one serves on as it was.
        """
        function = self.functions.get(spec.id)
        if function is not None:
            await function.replace(spec)
        else:
            function = Function(spec, self._loop, self.log)
            self.functions[spec.id] = function
            if spec.part_id:
                self._parts[spec.part_id] = function
            await function.start()
        self._parts = {f.spec.part_id: f for f in self.functions.values() if f.spec.part_id}

    async def remove(self, function_id: str) -> None:
        """Drain a function, end it and forget it."""
        function = self.functions.pop(function_id)
        self._parts.pop(function.spec.part_id, None)
        await function.stop(function.spec.limits.timeout or STOP_GRACE)

    async def listen(self, host: str, port: int) -> None:
        """Serve all functions on a TCP address too; raises UserError."""
        try:
            self._server = await self._loop.create_server(
                self._gateway, host, port, backlog=BACKLOG
            )
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise UserError(f"{host}:{port}: cannot listen there: {reason}") from None

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """Finish what is under way, for ``grace`` seconds at most, and end everything."""
        if self._server is not None:
            self._server.close()
        self._gateway.close_idle()
        functions = list(self.functions.values())
        await asyncio.gather(*(function.stop(grace) for function in functions))
        self.functions.clear()
        await self._control.stop()
        await self.log.stop()
        if self._lock is not None:
            self._lock.close()

    def find(self, name: object) -> Function:
        """Return the function with this id, part id or unambiguous name; raises UserError."""
        if not isinstance(name, str):
            raise UserError("which function? name one")
        function = self.functions.get(name) or self._parts.get(name)
        if function is not None:
            return function
        named = [f for f in self.functions.values() if f.spec.name == name]
        if len(named) == 1:
            return named[0]
        if named:
            ids = ", ".join(f.spec.id for f in named)
            raise UserError(f"several functions are called {name}: {ids}")
        ids = ", ".join(self.functions) or "none"
        raise UserError(f"no function is called {name}; there are: {ids}")

    def numbers(self, name: object = None) -> dict[str, Any]:
        """Return counters of the manager, and of one function or all."""
        now = self.clock()
        functions = self.functions.values() if name is None else [self.find(name)]
        return {
            "manager": {
                "pid": os.getpid(),
                "uptime": round(now - self._started, 3),
                "rss": _resident(),
                "connections": self._connections(),
                "functions": len(self.functions),
            },
            "functions": [function.numbers(now) for function in functions],
        }

    def _connections(self) -> int:
        gateways = [self._gateway, *(f.gateway for f in self.functions.values())]
        return sum(len(gateway.connections) for gateway in gateways)

    def _route(self, exchange: Exchange) -> AnyDeployment | None:
        """Return the deployment that a path on the plain listener leads to."""
        path = exchange.head.target.partition(b"?")[0]
        parts = path.split(b"/", 3)
        if len(parts) < 3 or parts[1] != b"cgi":
            return None
        name = parts[2].decode("latin-1")
        function = self.functions.get(name) or self._parts.get(name)
        return function.current if function is not None else None


def _resident() -> int:
    """Return the bytes of memory that this process holds (proc(5), statm)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError as error:
        raise ConductorError(f"/proc/self/statm: {error.strerror}") from None
