"""One running copy of a function: its pool, its spawner, and the exchanges in it.

The pool decides, this carries out: it gives exchanges to channels, orders
workers from the spawner, retires and kills. All of it happens in callbacks of
one loop; nothing awaits between a look at the pool and what follows from it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any, cast

from conductor.fastfn.alarm import Alarm
from conductor.fastfn.backoff import Backoff
from conductor.fastfn.endings import Endings, LastWords
from conductor.fastfn.exchange import Exchange
from conductor.fastfn.formats.channel import Channel
from conductor.fastfn.formats.pooled import channel_maker
from conductor.fastfn.pool import Pool, Worker
from conductor.fastfn.requestlog import RequestLog
from conductor.fastfn.spawner_link import (
    SpawnerLink,
    kill_group,
    spawner_config,
)
from conductor.fastfn.spec import Format, FunctionSpec
from conductor.fastfn.states import State
from conductor.fastfn.stats import FunctionStats

EARLY = 1.0  # seconds: a worker that closes its connection unused before this did not start
REPLENISH = 0.01  # seconds until spares are made up for, while there are others
SETTLE = 0.2  # seconds that a program's own first worker must live to be called ready
MAX_RETRIES = 32  # of a request that was not read: all spares may have been killed at once
_FOREVER = float("inf")
_MONOTONIC = time.monotonic

ExchangeWorker = Worker[Exchange]


class Deployment:
    """The workers of one function, from one spec."""

    def __init__(
        self,
        spec: FunctionSpec,
        loop: asyncio.AbstractEventLoop,
        log: RequestLog,
        stats: FunctionStats,
    ) -> None:
        self.spec = spec
        self.loop = loop
        self.pool: Pool[Exchange] = Pool(spec.processes, spec.limits)
        self.ready = asyncio.Event()  # a spare was there, or none is wanted
        self.hopeless = asyncio.Event()  # it died at every start
        self.last_error: str | None = None
        self._log = log
        self._stats = stats
        self._link = SpawnerLink(self, loop)
        self._alarm = Alarm(loop, self.act)
        self._endings = Endings(loop, self._link)
        self._last_words = LastWords()
        self._stillborn: set[int] = set()  # workers that did not read their first request
        self._orphans: set[int] = set()  # busy workers whose spawner is lost
        self._closed_early: set[int] = set()  # workers that closed their connection at once
        self._acting = self._again = False
        self._unused_since: float | None = None  # since when the spawner has no worker
        self._idle = asyncio.Event()  # nothing is under way: a drain is over
        self._make_channel = channel_maker(spec, self)

    @property
    def spawner_pid(self) -> int | None:
        """The spawner's process id, None when there is none."""
        return self._link.pid

    def __repr__(self) -> str:
        return f"<Deployment {self.spec.id} {self.pool!r}>"

    # Life.

    def start(self) -> None:
        """Start what should stand ready."""
        if self.spec.processes.spare == 0:
            self.ready.set()
        self.act()

    async def drain(self, timeout: float) -> bool:
        """Take no more, wait until what is under way has ended; whether it did in ``timeout`` s."""
        self.pool.closed = True
        self.act()
        self._note_idle()
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """End all workers and the spawner; exchanges under way are broken off."""
        self.pool.closed = True
        self._alarm.cancel()
        for worker in list(self.pool.workers.values()):
            channel = cast("Channel | None", worker.channel)
            if channel is not None:
                if channel.exchange is not None:
                    channel.fail(503, "the function was stopped")
                channel.close()
        for waiting in list(self.pool.waiting):
            waiting.request.fail(503, "the function was stopped", retry_after=1)
        self.pool.waiting.clear()
        await self._link.stop()
        self._end_orphans()

    # Exchanges.

    def admit(self, exchange: Exchange) -> None:
        """Give ``exchange`` to a spare, let it wait, or refuse it."""
        now = _MONOTONIC()  # it may have arrived long ago: its body was spooled, it is tried again
        worker = self.pool.claim_nowait(exchange, now)
        if worker is not None:
            self._start_exchange(worker, exchange)
            if self.pool.needs_attention():
                self._act_soon(now)
            else:
                self._alarm.wake_by(now + (self.spec.limits.timeout or _FOREVER))
            return
        self._stats.queued += 1
        if not self.pool.enqueue(exchange, now):
            self._refuse(exchange, 503, "the queue is full")
            return
        self.act()

    def withdraw(self, exchange: Exchange) -> None:
        """Forget an exchange that waits."""
        self.pool.withdraw(exchange)
        self._note_idle()

    def finished(self, exchange: Exchange) -> None:
        """Count and log."""
        self._stats.count(exchange)
        self._log.request(self.spec.id, exchange)

    def _refuse(self, exchange: Exchange, status: int, message: str) -> None:
        self._stats.refused += 1
        exchange.claimed = _MONOTONIC()  # all its time was waiting
        retry_after = 1
        if status == 503:
            retry_after = max(1, round(self.pool.backoff.retry_in(_MONOTONIC()) or 1))
        exchange.fail(status, message, retry_after=retry_after if status == 503 else None)

    def _start_exchange(self, worker: ExchangeWorker, exchange: Exchange) -> None:
        exchange.claimed = worker.claimed_at
        channel = cast("Channel", worker.channel)
        exchange.channel = channel
        channel.start(exchange, last=worker.last_request)

    # What channels report.

    def channel_done(self, channel: Channel, *, reusable: bool) -> None:
        """Take a worker back, or let it end."""
        worker = self.pool.workers.get(channel.worker)
        if worker is None:
            channel.close()
            return
        now = _MONOTONIC()
        if reusable and worker.id not in self._orphans:
            self.pool.release(worker, now)
            if self.pool.waiting or self.pool.closed:
                self.act()
            else:
                self._watch_idle(now)
            return
        self.pool.backoff.reset()
        self._retire(worker, kill=False)
        self._act_soon(now)

    def channel_broken(self, channel: Channel, *, unread: Exchange | None = None) -> None:
        """End a worker that is of no use; give ``unread`` to another."""
        worker = self.pool.workers.get(channel.worker)
        if worker is None:
            channel.close()
        else:
            self._note_early_close(worker)
            self._retire(worker, kill=True)
            if unread is not None and worker.served == 1:
                self._stillborn.add(worker.id)
                self.pool.backoff.failed(_MONOTONIC())
        if unread is not None:
            self._give_to_another(unread)
        self.act()

    def _note_early_close(self, worker: ExchangeWorker) -> None:
        """Count a worker that closed its connection at once as one that died at its start.

        Its exit, which may come much later, is then that of a worker that had to end.
        """
        now = _MONOTONIC()
        if worker.state is State.IDLE and not worker.served and now - worker.since < EARLY:
            self._closed_early.add(worker.id)
            self.pool.backoff.failed(now)
            if self.last_error is None:  # its exit will say more, if it comes
                self._note_error("died at its start: a worker closed its connection")

    def channel_redirected(self, channel: Channel, exchange: Exchange) -> None:
        """Let another worker answer ``exchange``."""
        exchange.channel = None
        worker = self.pool.workers.get(channel.worker)
        if worker is not None:
            self._retire(worker, kill=False)
        self.admit(exchange)

    def _give_to_another(self, exchange: Exchange) -> None:
        exchange.channel = None
        if exchange.retries == MAX_RETRIES:
            exchange.fail(502, f"{MAX_RETRIES} workers ended before they read the request")
            return
        exchange.retries += 1
        self.admit(exchange)

    def take_farewell(self, worker: int) -> int | None:
        """Return the exit status that ``worker`` said before it closed its output."""
        return self._link.take_farewell(worker)

    def explain_death(self, worker: int) -> str:
        """Return a sentence on how a worker ended, with its last words."""
        return self._last_words.explain(worker, "the worker broke off its answer")

    # What the spawner reports.

    def on_spawned(self, worker_id: int, pid: int, fds: list[int]) -> None:
        """Take charge of a worker."""
        worker = self.pool.workers.get(worker_id)
        if worker is None:
            for fd in fds:
                os.close(fd)
            return
        self._stats.workers_started += 1
        worker.channel = channel = self._make_channel(worker_id, fds)
        self.pool.spawned(worker, pid, _MONOTONIC())
        if worker.state is State.ENDING:
            channel.close()
            self._endings.force(worker)
            return
        if self.spec.format is Format.CGI:
            self.ready.set()
        else:
            self.loop.call_later(SETTLE, self._note_settled, worker)
        self._act_soon(_MONOTONIC())

    def _note_settled(self, worker: ExchangeWorker) -> None:
        """Call the deployment ready if ``worker`` has survived its first moments."""
        if worker.state is not State.GONE:
            self.ready.set()

    def on_exited(self, worker_id: int, status: int) -> None:
        """Reap a worker, and end what it had under way."""
        worker = self.pool.workers.get(worker_id)
        if worker is None:
            return
        self._stats.workers_exited += 1
        self._last_words.died(worker, status)
        if worker_id in self._closed_early:
            self._closed_early.discard(worker_id)
            how = self._last_words.explain(worker_id, "the worker ended")
            self._note_error(f"died at its start: {how}")
        self._remove(worker, status)
        self._last_words.forget(worker_id)
        self._act_soon(_MONOTONIC())

    def on_stderr(self, worker_id: int, lines: list[str]) -> None:
        """Log what a worker wrote."""
        worker = self.pool.workers.get(worker_id)
        if worker is not None or worker_id == 0:
            self._last_words.wrote(worker_id, lines[-1])
        pid = worker.pid if worker is not None else None
        for line in lines:
            self._log.stderr(self.spec.id, line, pid)

    def on_spawner_lost(self, reason: str) -> None:
        """Let busy workers finish, count the others as gone, and start again after a while."""
        self._note_error(self._last_words.explain(0, reason))
        self._last_words.forget(0)
        self._closed_early.clear()
        now = _MONOTONIC()
        for worker in list(self.pool.workers.values()):
            channel = cast("Channel | None", worker.channel)
            if worker.state is State.BUSY and channel is not None and channel.exchange is not None:
                self._orphans.add(worker.id)
                continue
            kill_group(worker.pid)
            self._remove(worker, None)
        self.pool.backoff.failed(now)
        self.act()

    def _remove(self, worker: ExchangeWorker, status: int | None) -> None:
        """Take a worker that is gone out of the pool; first let its channel read what it left."""
        channel = cast("Channel | None", worker.channel)
        if channel is not None and status is not None:
            channel.exited(status)
        unused = self.pool.exited(worker, _MONOTONIC()) or worker.id in self._stillborn
        self._stillborn.discard(worker.id)
        if unused and status is not None:
            how = self._last_words.explain(worker.id, "the worker ended")
            self._note_error(f"died at its start: {how}")
        if channel is not None and channel.exchange is None:
            channel.close()  # else it still passes on what the worker left, and closes after it
        self._endings.over(worker)

    # Decisions.

    def act(self) -> None:
        """Carry out what the pool decides, and be awake when it must decide again.

        What is carried out may come back here: then it is decided once more, after.
        """
        self._again = True
        if self._acting:
            return
        self._acting = True
        try:
            while self._again:
                self._again = False
                self._act_once()
        finally:
            self._acting = False

    def _act_soon(self, now: float) -> None:
        """Act now if somebody waits or the last spare is taken, else in a moment.

        A replacement that is started at once competes for the processor with the very
        request that made it necessary; and a few together are ordered in one message.
        """
        if self.pool.is_pressed:
            self.act()
        else:
            self._alarm.wake_by(now + REPLENISH)

    def _act_once(self) -> None:
        now = _MONOTONIC()
        decision = self.pool.decide(now)
        for worker in decision.late_start:
            self._note_error(f"a worker was not ready in {self.spec.limits.start_timeout:g} s")
            self._link.kill(worker.id, signal.SIGKILL)
        for worker in decision.late_answer:
            self._time_out(worker)
        for exchange in decision.expired:
            self._refuse(exchange, 504, "waited too long for a worker")
        for exchange in decision.hopeless:
            self._refuse(exchange, 503, f"the function cannot be started: {self.last_error}")
        for worker in decision.retire:
            self._let_go(worker)
        if decision.spawn:
            self._order([worker.id for worker in decision.spawn])
        for worker in decision.claimed:
            if worker.request is not None:
                self._start_exchange(worker, worker.request)
        if decision.late_start:
            self._link.abandon("the spawner gave no worker in time")
        self._stop_idle_spawner(now)
        if self.pool.backoff.hopeless:
            self.hopeless.set()
        deadline = self.pool.next_deadline(now)
        if deadline is not None:
            self._alarm.wake_by(deadline)
        self._note_idle()

    def _time_out(self, worker: ExchangeWorker) -> None:
        channel = cast("Channel", worker.channel)
        if channel.exchange is None or channel.exchange.status == 101:
            return  # a tunnel lasts as long as its two sides wish
        channel.fail(504, f"the worker did not answer in {self.spec.limits.timeout:g} s")

    def _order(self, workers: list[int]) -> None:
        if self._link.pid is None:
            try:
                self._link.start(spawner_config(self.spec))
            except OSError as error:
                self._spawn_failed(workers, error)
                return
        self._link.spawn(workers)

    def _spawn_failed(self, workers: list[int], error: OSError) -> None:
        self._note_error(f"the spawner cannot be started: {error}")
        for worker_id in workers:
            self._remove(self.pool.workers[worker_id], None)

    def _stop_idle_spawner(self, now: float) -> None:
        """End a spawner that has had nothing to do: a function with `spare: 0` costs no process."""
        processes = self.spec.processes
        if processes.spare or not self._link.is_ready or self.pool.workers or self.pool.waiting:
            self._unused_since = None
            return
        if self._unused_since is None:
            self._unused_since = now
        if self._unused_since + processes.idle_timeout > now:
            self._alarm.wake_by(self._unused_since + processes.idle_timeout)
            return
        self._unused_since = None
        self._link.dismiss()

    def _retire(self, worker: ExchangeWorker, *, kill: bool) -> None:
        """Take a worker out of use: close its input, and make sure that it ends."""
        if worker.state is not State.ENDING:
            self.pool.retire(worker)
        if worker.id in self._orphans:
            self._orphans.discard(worker.id)
            kill_group(worker.pid)
            self._remove(worker, None)
            return
        self._let_go(worker, kill=kill)

    def _let_go(self, worker: ExchangeWorker, *, kill: bool = False) -> None:
        channel = cast("Channel | None", worker.channel)
        if channel is not None:
            channel.close()
        if kill:
            self._endings.force(worker)
        else:
            self._endings.allow(worker)

    def _end_orphans(self) -> None:
        for worker_id in self._orphans:
            worker = self.pool.workers.get(worker_id)
            if worker is not None:
                kill_group(worker.pid)

    # Time.

    def _watch_idle(self, now: float) -> None:
        if self.pool.has_surplus:
            self._alarm.wake_by(now + self.spec.processes.idle_timeout)

    def _note_idle(self) -> None:
        if self.pool.closed and not self.pool.waiting and not self.pool.busy_count:
            self._idle.set()

    # Words.

    def _note_error(self, message: str) -> None:
        self.last_error = self._stats.last_error = message
        self._log.event(self.spec.id, message)

    def counts(self) -> dict[str, int]:
        """Return how many workers are in each state."""
        return self.pool.counts()

    @property
    def queued(self) -> int:
        """How many exchanges wait for a worker."""
        return len(self.pool.waiting)

    @property
    def backoff(self) -> Backoff:
        """What holds up the next start."""
        return self.pool.backoff

    def rate(self, now: float) -> float:
        """Return the arrivals a second of late."""
        return self.pool.demand.rate(now, 10)

    def processes(self, now: float) -> list[dict[str, Any]]:
        """Return the workers for people to see."""
        return [
            {
                "pid": worker.pid,
                "state": worker.state.value,
                "age": round(now - worker.started_at, 3),
                "requests": worker.served,
            }
            for worker in self.pool.workers.values()
        ]
