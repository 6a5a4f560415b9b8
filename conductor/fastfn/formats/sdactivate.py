"""Daemons that accept on the function's own socket (socket activation, Accept=no).

The manager is out of the data path. It holds the listening socket and gives it to
the daemon; while no daemon runs it watches the socket, without accepting, and the
first connection starts one. At any time exactly one side looks after the backlog.

With ``spare: 0`` a daemon that nobody is connected to is ended after
``idle_timeout``, its spawner too. Who is connected the kernel knows: accepted sockets
carry the listener's path (proc(5), /proc/net/unix). Who came and went between two
looks it remembers: a connect(2) reads the socket's file, and that is its access time.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import time
from typing import Any

from conductor.fastfn.alarm import Alarm
from conductor.fastfn.backoff import Backoff
from conductor.fastfn.exchange import Exchange
from conductor.fastfn.formats.channel import Channel
from conductor.fastfn.formats.http_stdio import HttpStdioChannel
from conductor.fastfn.pool import START_WINDOW, Worker
from conductor.fastfn.requestlog import RequestLog
from conductor.fastfn.spawner_link import SpawnerLink, describe_exit, kill_group, spawner_config
from conductor.fastfn.spec import FunctionSpec
from conductor.fastfn.states import Event, State, next_state
from conductor.fastfn.stats import FunctionStats

STOP_GRACE = 10.0  # seconds that a daemon has to finish its connections after SIGTERM
_CHECKS = 4  # looks at the connections in one idle_timeout
_SETTLE = 0.2  # seconds that a daemon must live to be called ready
_CONNECTED = b"03"  # the column St of /proc/net/unix (SS_CONNECTED)
_MONOTONIC = time.monotonic


class DaemonDeployment:
    """The daemons of one function, from one spec."""

    def __init__(
        self,
        spec: FunctionSpec,
        loop: asyncio.AbstractEventLoop,
        log: RequestLog,
        stats: FunctionStats,
        listener: socket.socket,
    ) -> None:
        self.spec = spec
        self.loop = loop
        self.ready = asyncio.Event()
        self.hopeless = asyncio.Event()
        self.backoff = Backoff()
        self.last_error: str | None = None
        self.queued = 0  # who waits, waits in the backlog
        self._log = log
        self._stats = stats
        self._listener = listener
        self._link = SpawnerLink(self, loop)
        self._workers: dict[int, Worker[Exchange]] = {}
        self._started = 0
        self._activated = False  # somebody connected while no daemon ran
        self._watching = False
        self._closed = False
        self._idle_since: float | None = None
        self._alarm = Alarm(loop, self.act)
        self._last_line = ""
        self._upstreams = Upstreams(spec, loop)
        self._emptied = asyncio.Event()  # no daemon is left

    @property
    def spawner_pid(self) -> int | None:
        """The spawner's process id, None when there is none."""
        return self._link.pid

    def __repr__(self) -> str:
        return f"<DaemonDeployment {self.spec.id} {list(self._workers.values())}>"

    # Life.

    def start(self) -> None:
        """Start what should stand ready, and watch for the rest."""
        if self.spec.processes.spare == 0:
            self.ready.set()
        self.act()

    async def drain(self, timeout: float) -> bool:
        """Let the daemons finish their connections and end; whether they did in ``timeout`` s."""
        self._closed = True
        self._unwatch()
        for worker in list(self._workers.values()):
            self._end(worker)
        self._note_emptied()
        try:
            await asyncio.wait_for(self._emptied.wait(), timeout)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """End the daemons and the spawner."""
        self._closed = True
        self._unwatch()
        self._alarm.cancel()
        await self._link.stop()

    # Exchanges that came to the manager's own listener.

    def admit(self, exchange: Exchange) -> None:
        """Pass ``exchange`` on to the socket that the daemon accepts on."""
        self._upstreams.admit(exchange)

    def withdraw(self, exchange: Exchange) -> None:
        """Do nothing: no exchange waits here."""

    def finished(self, exchange: Exchange) -> None:
        """Count and log."""
        self._stats.count(exchange)
        self._log.request(self.spec.id, exchange)

    # Decisions.

    def act(self) -> None:
        """Start what is missing, or watch, or be awake when it may be tried again."""
        if self._closed:
            return
        now = _MONOTONIC()
        wanted = max(self.spec.processes.spare, 1 if self._activated else 0)
        running = [w for w in self._workers.values() if w.state is not State.ENDING]
        missing = min(wanted, self.spec.processes.max) - len(running)
        if self.backoff.retry_at > now and not running:
            self._unwatch()
            self._alarm.wake_by(self.backoff.retry_at)
        elif missing > 0:
            self._unwatch()
            self._start_workers(missing, now)
        elif not running:
            self._watch()
            if not self._workers and not self.spec.processes.spare:
                self._link.dismiss()
        elif self.spec.processes.spare == 0:
            self._check_idle(running, now)

    def _start_workers(self, count: int, now: float) -> None:
        if self._link.pid is None:
            try:
                self._link.start(spawner_config(self.spec), (self._listener.fileno(),))
            except OSError as error:
                self.backoff.failed(now)
                self._note_error(f"the spawner cannot be started: {error}")
                self._alarm.wake_by(self.backoff.retry_at)
                return
        for _ in range(count):
            self._started += 1
            self._workers[self._started] = Worker(self._started, 0, now)
            self._link.spawn([self._started])

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self.loop.add_reader(self._listener.fileno(), self._on_connection)

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self.loop.remove_reader(self._listener.fileno())

    def _on_connection(self) -> None:
        self._activated = True
        self.act()

    def _check_idle(self, running: list[Worker[Exchange]], now: float) -> None:
        timeout = self.spec.processes.idle_timeout
        if self._idle_since is None or self._is_used():
            self._idle_since = now
        elif now - self._idle_since >= timeout:
            self._idle_since = None
            self._activated = False
            for worker in running:
                self._end(worker)
            return
        self._alarm.wake_by(now + timeout / _CHECKS)

    def _is_used(self) -> bool:
        """Whether somebody came since the last look, is connected, or waits for a slow start."""
        path = self.spec.socket
        return take_connected(path) or has_backlog(self._listener) or count_connections(path) > 0

    def _end(self, worker: Worker[Exchange]) -> None:
        if worker.state is not State.ENDING:
            worker.state = next_state(worker.state, Event.RETIRED)
        self._link.kill(worker.id, signal.SIGTERM)
        self.loop.call_later(STOP_GRACE, self._link.kill, worker.id, signal.SIGKILL)

    # What the spawner reports.

    def on_spawned(self, worker_id: int, pid: int, fds: list[int]) -> None:
        """Take note of a daemon that runs."""
        for fd in fds:
            os.close(fd)
        worker = self._workers.get(worker_id)
        if worker is None:
            return
        self._stats.workers_started += 1
        worker.state = next_state(worker.state, Event.SPAWNED)
        worker.pid = pid
        self._idle_since = None
        self.loop.call_later(_SETTLE, self._note_settled, worker)
        self.act()

    def _note_settled(self, worker: Worker[Exchange]) -> None:
        """Call the deployment ready if ``worker`` has survived its first moments."""
        if worker.id in self._workers:
            self.ready.set()

    def on_exited(self, worker_id: int, status: int) -> None:
        """Take note of a daemon that ended; by itself, when idle, it may."""
        worker = self._workers.pop(worker_id, None)
        if worker is None:
            return
        self._stats.workers_exited += 1
        now = _MONOTONIC()
        asked = worker.state is State.ENDING
        self._activated = self._activated and any(
            w.state is not State.ENDING for w in self._workers.values()
        )
        if not asked and (status or now - worker.started_at < START_WINDOW):
            self.backoff.failed(now)
            last = f"; its last line was {self._last_line!r}" if self._last_line else ""
            self._note_error(f"the daemon (pid {worker.pid}) {describe_exit(status)}{last}")
            if self.backoff.hopeless:
                self.hopeless.set()
        elif not asked:
            self.backoff.reset()
        self._note_emptied()
        self.act()

    def on_stderr(self, worker_id: int, lines: list[str]) -> None:
        """Log what a daemon wrote."""
        self._last_line = lines[-1]
        worker = self._workers.get(worker_id)
        for line in lines:
            self._log.stderr(self.spec.id, line, worker.pid if worker is not None else None)

    def on_spawner_lost(self, reason: str) -> None:
        """End what it started, and start again after a while."""
        self._note_error(reason)
        for worker in self._workers.values():
            kill_group(worker.pid)
        self._workers.clear()
        self._activated = False
        self.backoff.failed(_MONOTONIC())
        self._note_emptied()
        self.act()

    # For people.

    def counts(self) -> dict[str, int]:
        """Return how many daemons are in each state; one that runs counts as idle."""
        counts = {state.value: 0 for state in State if state is not State.GONE}
        for worker in self._workers.values():
            counts[worker.state.value] += 1
        return counts

    def rate(self, now: float) -> float:  # noqa: ARG002  # as Deployment has it
        """Return 0: the manager does not see the daemon's requests."""
        return 0.0

    def processes(self, now: float) -> list[dict[str, Any]]:
        """Return the daemons."""
        return [
            {
                "pid": worker.pid,
                "state": worker.state.value,
                "age": round(now - worker.started_at, 3),
                "requests": None,
            }
            for worker in self._workers.values()
        ]

    def _note_error(self, message: str) -> None:
        self.last_error = self._stats.last_error = message
        self._log.event(self.spec.id, message)

    def _note_emptied(self) -> None:
        if self._closed and not self._workers:
            self._emptied.set()


class Upstreams:
    """Connections to a daemon's socket, one for each exchange of the manager's own listener."""

    def __init__(self, spec: FunctionSpec, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._spec = spec

    def admit(self, exchange: Exchange) -> None:
        """Connect, and pass ``exchange`` on."""
        upstream = socket.socket(socket.AF_UNIX)
        upstream.setblocking(False)
        try:
            upstream.connect(self._spec.socket)
        except OSError as error:
            upstream.close()
            exchange.fail(503, f"the daemon's backlog is full: {error.strerror}", retry_after=1)
            return
        channel = _UpstreamChannel(self, 0, upstream.detach(), self._spec.path_info_strip)
        exchange.channel = channel
        if self._spec.limits.timeout:
            self.loop.call_later(self._spec.limits.timeout, self._time_out, channel, exchange)
        channel.start(exchange, last=True)

    def _time_out(self, channel: Channel, exchange: Exchange) -> None:
        if channel.exchange is exchange and exchange.status != 101:
            channel.fail(504, f"the daemon did not answer in {self._spec.limits.timeout:g} s")

    # What a channel expects of its owner; there is no worker behind these.

    def channel_done(self, channel: Channel, *, reusable: bool) -> None:  # noqa: ARG002  # never used again
        """Close the connection."""
        channel.close()

    def channel_broken(self, channel: Channel, *, unread: Exchange | None = None) -> None:
        """Close the connection."""
        channel.close()
        if unread is not None:
            unread.channel = None
            unread.fail(502, "the daemon closed the connection unread")

    def channel_redirected(self, channel: Channel, exchange: Exchange) -> None:
        """Never called: only CGI has local redirects."""
        raise NotImplementedError

    def take_farewell(self, worker: int) -> int | None:  # noqa: ARG002  # no worker
        """Return nothing: connections say none."""
        return None

    def explain_death(self, worker: int) -> str:  # noqa: ARG002  # no worker
        """Return what is known."""
        return "the daemon broke off its answer"


class _UpstreamChannel(HttpStdioChannel):
    def await_exit(self) -> None:
        """Conclude at once: a connection has no exit that could be heard of."""
        self.conclude()


def has_backlog(listener: socket.socket) -> bool:
    """Whether somebody waits to be accepted."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))


def take_connected(path: str) -> bool:
    """Return whether somebody connected to the socket at ``path`` since this was last called.

    Always False where the file system keeps no access times (mount(8), noatime).
    """
    try:
        connected = os.stat(path).st_atime > 0
        os.utime(path, (0, time.time()))  # older than its change: even relatime notes the next
    except OSError:
        return False
    return connected


def count_connections(path: str) -> int:
    """Return how many accepted connections the listening socket at ``path`` has."""
    end = b" " + os.fsencode(path) + b"\n"
    with open("/proc/net/unix", "rb") as table:
        return sum(line.endswith(end) and line.split()[5] == _CONNECTED for line in table)
