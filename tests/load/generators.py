"""The two ways to ask: an open loop that keeps a timetable, a closed one that keeps busy.

- ClosedLoop: N connections, each asks again as soon as it is answered. Gives
  throughput, and with one connection the plain time of an exchange. It slows
  down with what it measures, so its high percentiles say little.
- OpenLoop: requests at a constant rate whatever becomes of the earlier ones,
  latency counted from the planned moment (``timetable``). When no connection
  is free another is opened, up to a cap; beyond it requests wait, and their
  wait counts. Gives the percentiles that users would see.

Both are bounded: by their length, their connections, and a timeout after which
a request is a failure and its connection is closed. Both return a Sample, and
neither reads a clock other than ``time.monotonic_ns``.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import time
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.load.alarm import Alarm
from tests.load.client import Address, Connection, Exchange, Failure
from tests.load.timetable import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.load.timetable import Timetable

TIMEOUT = 10.0  # seconds for one request, from the moment that its latency counts from
CONNECT_TIMEOUT = 5.0  # seconds
SWEEP = 0.1  # seconds between two looks for requests over their time
RETRY = 0.05  # seconds until a closed loop connects again, so that a dead server is not flooded


@dataclass(slots=True)
class Sample:
    """What one run of a generator saw."""

    latencies: array[int] = field(default_factory=lambda: array("q"))  # nanoseconds
    lags: array[int] = field(default_factory=lambda: array("q"))  # the generator's own lateness
    failures: collections.Counter[Failure] = field(default_factory=collections.Counter)
    seconds: float = 0.0  # from the first request to the last answer
    cpu: float = 0.0  # seconds of processor time that the generator took for itself

    @property
    def throughput(self) -> float:
        """Right answers a second."""
        return len(self.latencies) / self.seconds if self.seconds > 0 else 0.0


class _Loop:
    """What both share: connections, the sweep for timeouts, the end."""

    def __init__(self, address: Address, exchange: Exchange, timeout: float) -> None:
        self._address = address
        self._exchange = exchange
        self._timeout = round(timeout * NANOSECONDS)
        self._loop = asyncio.get_running_loop()
        self._connections: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._finished = self._loop.create_future()
        self._last = 0  # when the last answer came
        self.sample = Sample()

    def _answered(self, connection: Connection, failure: Failure | None) -> None:
        raise NotImplementedError

    def _sweep(self) -> None:
        limit = time.monotonic_ns() - self._timeout
        for connection in [c for c in self._connections if c.busy and c.since < limit]:
            connection.fail(Failure.TIMEOUT)

    def _record(self, connection: Connection, failure: Failure | None) -> int:
        """Count an exchange; return the time now."""
        self._last = now = time.monotonic_ns()
        if failure is None:
            self.sample.latencies.append(now - connection.since)
        else:
            self.sample.failures[failure] += 1
        return now

    async def _connect(self) -> Connection | None:
        """Return an open connection, or count the failure and return None."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._exchange, self._answered),
                    self._address.host,
                    self._address.port,
                )
        except OSError:  # TimeoutError is one.
            connection = None
        if connection is None or not connection.open:
            self.sample.failures[Failure.CONNECT] += 1
            return None
        self._connections.add(connection)
        return connection

    def _finish(self) -> None:
        if not self._finished.done():
            self._finished.set_result(None)

    async def _until_finished(self, started: int) -> Sample:
        """Sweep until the run is over, then close what is left of it."""
        cpu = time.process_time()
        try:
            with _no_garbage_collection():
                while not self._finished.done():
                    await asyncio.wait([self._finished], timeout=SWEEP)
                    self._sweep()
        finally:
            for task in self._opening:
                task.cancel()
            for connection in self._connections:
                connection.abort()
        self.sample.cpu = time.process_time() - cpu
        self.sample.seconds = max(self._last - started, 1) / NANOSECONDS
        return self.sample

    def _spawn(self, task: asyncio.Task[None]) -> None:
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)


class ClosedLoop(_Loop):
    """``connections`` connections that are never idle, for ``seconds``."""

    def __init__(
        self,
        address: Address,
        exchange: Exchange,
        *,
        connections: int,
        seconds: float,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(address, exchange, timeout)
        self._wanted = connections
        self._length = round(seconds * NANOSECONDS)
        self._end = 0
        self._running = connections

    async def run(self) -> Sample:
        """Run to the end. Connecting is not part of what is measured."""
        opened = [await self._connect() for _ in range(self._wanted)]
        started = self._last = time.monotonic_ns()
        self._end = started + self._length
        for connection in opened:
            if connection is not None:
                connection.send(time.monotonic_ns())
            else:
                self._reopen()
        return await self._until_finished(started)

    def _answered(self, connection: Connection, failure: Failure | None) -> None:
        now = self._record(connection, failure)
        if now >= self._end:
            self._retire()
        elif connection.open:
            connection.send(now)
        else:
            self._connections.discard(connection)
            self._reopen()

    def _retire(self) -> None:
        self._running -= 1
        if not self._running:
            self._finish()

    def _reopen(self) -> None:
        self._spawn(self._loop.create_task(self._connect_and_go_on()))

    async def _connect_and_go_on(self) -> None:
        while time.monotonic_ns() < self._end:
            connection = await self._connect()
            if connection is not None:
                connection.send(time.monotonic_ns())
                return
            await asyncio.sleep(RETRY)
        self._retire()


class OpenLoop(_Loop):
    """The requests of a timetable, on at most ``connections`` connections."""

    def __init__(
        self,
        address: Address,
        exchange: Exchange,
        *,
        timetable: Timetable,
        connections: int,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(address, exchange, timeout)
        self._timetable = timetable
        self._cap = connections
        self._idle: list[Connection] = []  # used last first: the fewest connections stay in use
        self._waiting: collections.deque[int] = collections.deque()  # due, no connection yet
        self._connecting = 0
        self._arrived = 0
        self._done = 0
        self._started = 0

    async def run(self) -> Sample:
        """Run to the end: until every planned request is answered or has failed."""
        with contextlib.closing(Alarm(self._wake)) as self._alarm:
            self._started = self._last = time.monotonic_ns()
            self._wake()
            return await self._until_finished(self._started)

    def _wake(self) -> None:
        """Send what is due, and be woken for what is due next."""
        now = time.monotonic_ns()
        while self._arrived < len(self._timetable):
            due = self._started + self._timetable.due(self._arrived)
            if due > now:
                self._alarm.set(due)
                return
            self._arrived += 1
            self.sample.lags.append(now - due)
            self._waiting.append(due)
            self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._idle:
            connection = self._idle.pop()
            if connection.open:
                connection.send(self._waiting.popleft())
            else:  # Caddy closed it while it was idle.
                self._connections.discard(connection)
        wanted = len(self._waiting) - self._connecting
        room = self._cap - len(self._connections) - self._connecting
        for _ in range(min(wanted, room)):
            self._connecting += 1
            self._spawn(self._loop.create_task(self._open_one()))

    async def _open_one(self) -> None:
        connection = await self._connect()
        self._connecting -= 1
        if connection is not None:
            self._idle.append(connection)
        elif self._waiting:
            # The failure that was counted is this request's: it is not sent again.
            self._waiting.popleft()
            self._complete()
        self._send_waiting()

    def _answered(self, connection: Connection, failure: Failure | None) -> None:
        self._record(connection, failure)
        if connection.open:
            self._idle.append(connection)
        else:
            self._connections.discard(connection)
        self._complete()
        if self._waiting:
            self._send_waiting()

    def _sweep(self) -> None:
        super()._sweep()
        limit = time.monotonic_ns() - self._timeout
        while self._waiting and self._waiting[0] < limit:
            self._waiting.popleft()
            self.sample.failures[Failure.TIMEOUT] += 1
            self._complete()

    def _complete(self) -> None:
        self._done += 1
        if self._done == len(self._timetable):
            self._finish()


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep the collector's pauses out of the latencies; a run makes no cycles to speak of."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
