"""A part's place in the manager: its listening socket, and the deployments behind it.

The socket belongs to the function and outlives its deployments. An update starts
another deployment beside the one that serves, waits until it is ready, and then
switches in one assignment: what came before ends where it began, what comes
after goes to the new one. Nobody outside can tell but by the answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import socket
from typing import Any, Protocol

from conductor.errors import ConductorError, UserError
from conductor.fastfn.backoff import Backoff
from conductor.fastfn.deployment import Deployment
from conductor.fastfn.exchange import Exchange
from conductor.fastfn.formats.sdactivate import DaemonDeployment
from conductor.fastfn.gateway import Gateway
from conductor.fastfn.requestlog import RequestLog
from conductor.fastfn.spec import Format, FunctionSpec
from conductor.fastfn.stats import FunctionStats

BACKLOG = 4096  # connections; a full one makes Caddy answer 502 at once
_START_MARGIN = 5.0  # seconds over limits.start_timeout until a start is given up


class AnyDeployment(Protocol):
    """What the two kinds of deployments have in common."""

    spec: FunctionSpec
    ready: asyncio.Event
    hopeless: asyncio.Event
    last_error: str | None

    @property
    def backoff(self) -> Backoff:
        """What holds up the next start."""

    @property
    def queued(self) -> int:
        """How many exchanges wait for a worker."""

    @property
    def spawner_pid(self) -> int | None:
        """The spawner's process id."""

    def start(self) -> None:
        """Start what should stand ready."""

    async def drain(self, timeout: float) -> bool:
        """Take no more and wait for what is under way."""

    async def stop(self) -> None:
        """End everything."""

    def admit(self, exchange: Exchange) -> None:
        """Find a worker for an exchange."""

    def withdraw(self, exchange: Exchange) -> None:
        """Forget an exchange that waits."""

    def finished(self, exchange: Exchange) -> None:
        """Count and log an exchange."""

    def counts(self) -> dict[str, int]:
        """Return how many workers are in each state."""

    def rate(self, now: float) -> float:
        """Return arrivals a second."""

    def processes(self, now: float) -> list[dict[str, Any]]:
        """Return the workers for people."""


class Function:
    """One function that the manager serves."""

    def __init__(
        self, spec: FunctionSpec, loop: asyncio.AbstractEventLoop, log: RequestLog
    ) -> None:
        self.stats = FunctionStats()
        self._loop = loop
        self._log = log
        self._listener = bind(spec.socket)
        self.gateway = Gateway(lambda _exchange: self.current, loop, proxied=True)
        self._server: asyncio.Server | None = None
        self._old: set[AnyDeployment] = set()  # drain
        self._change = asyncio.Lock()  # one update at a time
        self.draining = False
        self.current: AnyDeployment = self._deploy(spec)

    @property
    def spec(self) -> FunctionSpec:
        """What is deployed now."""
        return self.current.spec

    def __repr__(self) -> str:
        return f"<Function {self.spec.id} {self.current!r}>"

    async def start(self) -> None:
        """Serve, and return when the first deployment is ready; raises ConductorError.

        A function that cannot be started stays: it is tried again, more and more slowly.
        """
        if self.spec.format is not Format.SDACTIVATE:
            self._server = await self._loop.create_unix_server(
                self.gateway, sock=self._listener, backlog=BACKLOG
            )
        self.current.start()
        await self._wait_ready(self.current)

    async def replace(self, spec: FunctionSpec) -> None:
        """Switch to a deployment of ``spec`` and drain the old one.

        Raises ConductorError when the new one does not become ready; the old one
        serves on. Only what cannot change under a socket is refused: its path and
        whether the manager or the daemon accepts on it.
        """
        async with self._change:
            old = self.current
            if spec.socket != old.spec.socket:
                raise UserError(f"{spec.id}: the socket of a function cannot be changed")
            if (spec.format is Format.SDACTIVATE) != (old.spec.format is Format.SDACTIVATE):
                raise UserError(
                    f"{spec.id}: a function cannot change to or from sdactivate; "
                    "remove it and add it again"
                )
            new = self._deploy(spec)
            new.start()
            try:
                await self._wait_ready(new)
            except BaseException:
                await asyncio.shield(new.stop())
                raise
            if self.draining:
                await asyncio.shield(new.stop())
                raise ConductorError(f"{spec.id} was stopped meanwhile")
            self.current = new
            self.stats.restarts += 1
            self.stats.last_error = None
            await self._retire(old)

    async def _retire(self, old: AnyDeployment) -> None:
        self._old.add(old)
        try:
            timeout = old.spec.limits.timeout or 60.0
            if not await old.drain(timeout):
                self._log.event(
                    self.spec.id, f"requests under way were cut off after {timeout:g} s"
                )
        finally:
            await asyncio.shield(old.stop())
            self._old.discard(old)

    async def drain(self, timeout: float) -> bool:
        """Take no new connection and no further request; whether all ended in ``timeout`` s."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        self.gateway.close_idle()
        return await self.current.drain(timeout)

    async def stop(self, grace: float) -> None:
        """Drain for ``grace`` seconds at most, end everything and take the socket away."""
        await self.drain(grace)
        for deployment in (self.current, *self._old):
            await deployment.stop()
        self.gateway.close_idle()
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.spec.socket)

    def _deploy(self, spec: FunctionSpec) -> AnyDeployment:
        if spec.format is Format.SDACTIVATE:
            return DaemonDeployment(spec, self._loop, self._log, self.stats, self._listener)
        return Deployment(spec, self._loop, self._log, self.stats)

    async def _wait_ready(self, deployment: AnyDeployment) -> None:
        waits = [
            self._loop.create_task(event.wait())
            for event in (deployment.ready, deployment.hopeless)
        ]
        timeout = deployment.spec.limits.start_timeout + _START_MARGIN
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not deployment.ready.is_set():
            reason = deployment.last_error or f"no worker was ready in {timeout:g} s"
            raise ConductorError(f"{deployment.spec.id} does not start: {reason}")

    # For people.

    def status(self, now: float) -> dict[str, Any]:
        """Return the function's state, for lists."""
        spec, current = self.spec, self.current
        workers = current.counts()
        retry_in = current.backoff.retry_in(now)
        return {
            "id": spec.id,
            "name": spec.name,
            "part_id": spec.part_id,
            "deployment": spec.deployment,
            "format": spec.format.value,
            "runtime": spec.runtime if spec.format is Format.CGI else "",
            "state": self._state(workers, retry_in),
            "workers": workers,
            "spare": spec.processes.spare,
            "max": spec.processes.max,
            "queued": current.queued,
            "requests": self.stats.requests,
            "failed": self.stats.failed,
            "restarts": self.stats.restarts,
            "last_error": self.stats.last_error,
            "retry_in": None if retry_in is None else round(retry_in, 3),
            "socket": spec.socket,
        }

    def _state(self, workers: dict[str, int], retry_in: float | None) -> str:
        if self.draining:
            return "draining"
        if workers["idle"] or workers["busy"]:
            return "ready"
        if retry_in is not None:
            return "backoff"
        return "starting" if workers["starting"] or self.spec.processes.spare else "idle"

    def details(self, now: float) -> dict[str, Any]:
        """Return all that is known of the function."""
        return self.status(now) | {
            "spec": self.spec.to_json(),
            "processes": self.current.processes(now),
            "spawner_pid": self.current.spawner_pid,
        }

    def numbers(self, now: float) -> dict[str, Any]:
        """Return the function's counters."""
        rate = round(self.current.rate(now), 3)
        return {"id": self.spec.id, "rate": rate} | self.stats.to_json()


def bind(path: str) -> socket.socket:
    """Return a listening socket at ``path``, in place of one that nobody listens on any longer.

    The manager's lock on its run directory says that nobody does. Only this user,
    and Caddy's group where there is one, may connect.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        mask = os.umask(0o117)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        if os.geteuid() == 0:
            with contextlib.suppress(KeyError):
                os.chown(path, -1, grp.getgrnam("caddy").gr_gid)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(f"{path}: cannot listen there: {error.strerror or error}") from None
    return listener
