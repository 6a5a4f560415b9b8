"""The workers of one deployment, and the requests that wait for them.

The pool does no I/O and knows no clock: it is told what happened and when, and
``decide`` says what follows (give these requests to those workers, start so
many, retire these, refuse those) in one synchronous step, so that nothing can
come between looking and acting. A worker belongs to the pool from the instant
it is asked for until its process is reaped, whatever happens in between.

``claim_nowait`` and ``release`` are the same decision for the common case,
where a spare is there and nobody waits: they complete it or leave it alone.

A worker that answers one request only is claimed oldest first, because that one
is ready; a worker that is used again newest first, so that those not needed
grow old and are ended.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from conductor.fastfn.backoff import Backoff
from conductor.fastfn.scaling import Demand
from conductor.fastfn.spec import Limits, Processes
from conductor.fastfn.states import Event, State, next_state

R = TypeVar("R")

_FOREVER = float("inf")
_DEMAND_FALLS = 1.0  # seconds until surplus spares are looked at again
START_WINDOW = 5.0  # seconds: a worker that ends unused before this died at its start


class Worker(Generic[R]):
    """One process that answers requests, as the pool sees it."""

    __slots__ = (
        "channel",
        "claimed_at",
        "id",
        "lifetime",
        "pid",
        "request",
        "served",
        "since",
        "started_at",
        "state",
    )

    def __init__(self, worker_id: int, lifetime: int, now: float) -> None:
        self.id = worker_id
        self.state = State.STARTING
        self.lifetime = lifetime  # requests until it is recycled, 0: no limit
        self.served = 0  # requests claimed so far
        self.started_at = now  # when it was asked for
        self.since = now  # the same; later, since when it is idle
        self.claimed_at = 0.0
        self.pid = 0
        self.request: R | None = None
        self.channel: object = None  # the manager's end of its descriptors

    @property
    def last_request(self) -> bool:
        """Whether the request it answers now is its last."""
        return self.served == self.lifetime

    def __repr__(self) -> str:
        return f"<Worker {self.id} {self.state.value} pid={self.pid} served={self.served}>"


@dataclass(slots=True, eq=False)
class Waiting(Generic[R]):
    """A request without a worker."""

    request: R
    deadline: float


@dataclass(slots=True)
class Decision(Generic[R]):
    """What is to be done now; the pool has already taken note of all of it."""

    claimed: list[Worker[R]] = field(default_factory=list)  # each with its request set
    spawn: list[Worker[R]] = field(default_factory=list)
    retire: list[Worker[R]] = field(default_factory=list)  # idle ones nobody needs
    expired: list[R] = field(default_factory=list)  # waited too long: 504
    hopeless: list[R] = field(default_factory=list)  # the function dies at every start: 503
    late_start: list[Worker[R]] = field(default_factory=list)  # over limits.start_timeout
    late_answer: list[Worker[R]] = field(default_factory=list)  # over limits.timeout; said once


class Pool(Generic[R]):
    """Workers and waiting requests of one deployment."""

    def __init__(self, processes: Processes, limits: Limits) -> None:
        self.processes = processes
        self.limits = limits
        self.demand = Demand()
        self.workers: dict[int, Worker[R]] = {}
        self.waiting: deque[Waiting[R]] = deque()
        self.closed = False  # drains: starts no workers but for those who wait
        self.backoff = Backoff()
        self.started = 0  # workers ever asked for
        self._idle: deque[Worker[R]] = deque()  # since the longest first
        self._busy: dict[int, Worker[R]] = {}  # claimed the longest ago first
        self._exempt: dict[int, Worker[R]] = {}  # busy, and their time limit is past
        self._starting: dict[int, Worker[R]] = {}  # asked for the longest ago first
        self._single_use = limits.requests == 1

    # What is, without effect.

    @property
    def has_surplus(self) -> bool:
        """Whether more workers are ready than ``spare``."""
        return len(self._idle) > self.processes.spare

    @property
    def busy_count(self) -> int:
        """How many workers have a request."""
        return len(self._busy) + len(self._exempt)

    def needs_attention(self) -> bool:
        """Whether ``decide`` may have something to do after a claim."""
        if len(self.workers) >= self.processes.max:
            return False
        if self._single_use:
            return True
        return len(self._idle) + len(self._starting) < self.processes.spare

    @property
    def is_pressed(self) -> bool:
        """Whether a decision should not wait even a moment."""
        return bool(self.waiting) or not self._idle or self.closed

    def counts(self) -> dict[str, int]:
        """Return how many workers are in each state."""
        counts = {state.value: 0 for state in State if state is not State.GONE}
        for worker in self.workers.values():
            counts[worker.state.value] += 1
        return counts

    def __repr__(self) -> str:
        counts = " ".join(f"{key}={n}" for key, n in self.counts().items() if n)
        return (
            f"<Pool {counts or 'empty'} waiting={len(self.waiting)} deaths={self.backoff.deaths}>"
        )

    # What happened.

    def claim_nowait(self, request: R, now: float) -> Worker[R] | None:
        """Give ``request`` to a spare if one is there and nobody waits, else do nothing."""
        if not self._idle or self.waiting:
            return None
        self.demand.arrived(now)
        return self._claim(request, now)

    def enqueue(self, request: R, now: float) -> bool:
        """Let ``request`` wait for a worker; False when the queue is full.

        The queue is for when all are busy: whom a start under way or still allowed
        will serve takes no place in it.
        """
        startable = len(self._starting) + self.processes.max - len(self.workers)
        if len(self.waiting) >= self.limits.queue + startable:
            return False
        self.demand.arrived(now)
        self.waiting.append(Waiting(request, now + (self.limits.queue_timeout or _FOREVER)))
        return True

    def withdraw(self, request: R) -> None:
        """Forget a waiting request; nothing happens if it does not wait."""
        for waiting in self.waiting:
            if waiting.request is request:
                self.waiting.remove(waiting)
                return

    def spawned(self, worker: Worker[R], pid: int, now: float) -> None:
        """``worker`` runs as process ``pid``."""
        self._move(worker, Event.SPAWNED)
        worker.pid = pid
        if worker.state is State.IDLE:
            self.demand.started(now - worker.since)
            worker.since = now

    def release(self, worker: Worker[R], now: float) -> None:
        """``worker`` answered and can take another request."""
        worker.state = next_state(worker.state, Event.RELEASED)
        worker.request = None
        worker.since = now
        if self.backoff.deaths:
            self.backoff.reset()
        if self._busy.pop(worker.id, None) is None:
            del self._exempt[worker.id]
        self._idle.append(worker)

    def retire(self, worker: Worker[R]) -> None:
        """``worker`` takes nothing more."""
        self._move(worker, Event.RETIRED)
        worker.request = None

    def exited(self, worker: Worker[R], now: float) -> bool:
        """``worker`` is reaped; True if it died at its start, unused."""
        unused = worker.served == 0 and worker.state is not State.ENDING
        young = worker.state is State.STARTING or now - worker.since < START_WINDOW
        self._move(worker, Event.EXITED)
        del self.workers[worker.id]
        if unused and young:
            self.backoff.failed(now)
        return unused and young

    # What follows.

    def decide(self, now: float) -> Decision[R]:
        """Return all that is to be done at ``now``, noted as done."""
        decision: Decision[R] = Decision()
        self._expire(decision, now)
        while self.waiting and self._idle:
            decision.claimed.append(self._claim(self.waiting.popleft().request, now))
        self._spawn(decision, now)
        self._retire_idle(decision, now)
        return decision

    def next_deadline(self, now: float) -> float | None:
        """Return when ``decide`` must be called again although nothing happens, or None.

        Asked after ``decide``, it is later than ``now``.
        """
        limits = self.limits
        deadlines: list[float] = []
        if self.waiting:
            deadlines.append(self.waiting[0].deadline)
        if self._starting and limits.start_timeout:
            deadlines.append(next(iter(self._starting.values())).since + limits.start_timeout)
        if self._busy and limits.timeout:
            deadlines.append(next(iter(self._busy.values())).claimed_at + limits.timeout)
        if self.has_surplus:  # even if demand calls for it now: demand falls without an event
            since = self._idle[0].since
            deadlines.append(max(since + self.processes.idle_timeout, now + _DEMAND_FALLS))
        if self.backoff.retry_at > now and self._missing(now) > 0:
            deadlines.append(self.backoff.retry_at)
        return min(deadlines, default=None)

    def _claim(self, request: R, now: float) -> Worker[R]:
        worker = self._idle.popleft() if self._single_use else self._idle.pop()
        worker.state = next_state(worker.state, Event.CLAIMED)
        worker.request = request
        worker.claimed_at = now
        worker.served += 1
        self._busy[worker.id] = worker
        return worker

    def _move(self, worker: Worker[R], event: Event) -> None:
        """Change the worker's state and the collection that it stands in.

        ``release`` and ``_claim``, which every request passes, do so themselves.
        """
        state = next_state(worker.state, event)
        if state is worker.state:
            return
        self._leave(worker)
        worker.state = state
        if state is State.IDLE:
            self._idle.append(worker)

    def _leave(self, worker: Worker[R]) -> None:
        match worker.state:
            case State.IDLE if self._idle[-1] is worker:
                self._idle.pop()
            case State.IDLE:
                self._idle.remove(worker)
            case State.BUSY:
                if self._busy.pop(worker.id, None) is None:
                    del self._exempt[worker.id]
            case State.STARTING:
                del self._starting[worker.id]

    def _expire(self, decision: Decision[R], now: float) -> None:
        while self.waiting and self.waiting[0].deadline <= now:
            decision.expired.append(self.waiting.popleft().request)
        self._expire_starts(decision, now)
        self._expire_answers(decision, now)
        if self.backoff.hopeless and self.backoff.retry_at > now and not self.workers:
            decision.hopeless.extend(waiting.request for waiting in self.waiting)
            self.waiting.clear()

    def _expire_starts(self, decision: Decision[R], now: float) -> None:
        """Give up on workers that are not ready in time: as good as dead at their start."""
        timeout = self.limits.start_timeout
        while timeout and self._starting:
            worker = next(iter(self._starting.values()))
            if worker.since + timeout > now:
                break
            decision.late_start.append(worker)
            self._move(worker, Event.RETIRED)
            self.backoff.failed(now)

    def _expire_answers(self, decision: Decision[R], now: float) -> None:
        timeout = self.limits.timeout
        while timeout and self._busy:
            worker = next(iter(self._busy.values()))
            if worker.claimed_at + timeout > now:
                break
            decision.late_answer.append(worker)
            self._exempt[worker.id] = self._busy.pop(worker.id)

    def wanted_spares(self, now: float) -> int:
        """Return how many ready workers there should be."""
        if self.closed:
            return 0
        if not self._single_use:
            return self.processes.spare
        return max(self.processes.spare, self.demand.wanted_spares(now))

    def _missing(self, now: float) -> int:
        """Return how many workers should be started, were nothing in the way."""
        wanted = self.wanted_spares(now) + len(self.waiting)
        missing = wanted - len(self._idle) - len(self._starting)
        return min(missing, self.processes.max - len(self.workers))

    def _surplus(self, now: float) -> int:
        if not self._idle:
            return 0
        return len(self._idle) - self.wanted_spares(now)

    def _spawn(self, decision: Decision[R], now: float) -> None:
        if self.backoff.retry_at > now:
            return
        for _ in range(self._missing(now)):
            self.started += 1
            worker: Worker[R] = Worker(self.started, self._lifetime(), now)
            self.workers[worker.id] = self._starting[worker.id] = worker
            decision.spawn.append(worker)

    def _lifetime(self) -> int:
        """Return after how many requests a worker is recycled, not the same for all.

        Workers that started together would otherwise all end together.
        """
        requests = self.limits.requests
        return requests - random.randint(0, requests // 10)  # noqa: S311  # jitter is no secret

    def _retire_idle(self, decision: Decision[R], now: float) -> None:
        timeout = 0.0 if self.closed else self.processes.idle_timeout
        for _ in range(self._surplus(now)):
            worker = self._idle[0]
            if worker.since + timeout > now:
                break
            self.retire(worker)
            decision.retire.append(worker)
