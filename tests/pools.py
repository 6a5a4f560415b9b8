"""Drives a pool as a deployment does, with a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from conductor.fastfn.pool import Decision, Pool, Worker
from conductor.fastfn.spec import Limits, Processes

PROCESSES = {"spare", "max", "idle_timeout"}


class Driver:
    """A pool whose requests are strings, and the time."""

    def __init__(self, **settings: Any) -> None:
        processes = {key: value for key, value in settings.items() if key in PROCESSES}
        limits = {key: value for key, value in settings.items() if key not in PROCESSES}
        self.pool: Pool[str] = Pool(Processes(**processes), Limits(**limits))
        self.now = 1000.0
        self.pids = 0

    def decide(self) -> Decision[str]:
        return self.pool.decide(self.now)

    def ready(self, *workers: Worker[str]) -> None:
        for worker in workers:
            self.pids += 1
            self.pool.spawned(worker, self.pids, self.now)

    def start(self) -> list[Worker[str]]:
        """Start what is wanted now, at once; return it."""
        started = self.decide().spawn
        self.ready(*started)
        return started

    def ask(self, *requests: str) -> list[Worker[str] | None]:
        """Give each request to a spare or let it wait; None for those that wait."""
        workers = []
        for request in requests:
            worker = self.pool.claim_nowait(request, self.now)
            if worker is None:
                assert self.pool.enqueue(request, self.now), f"{request} was refused"
            workers.append(worker)
        return workers

    def claim(self, request: str) -> Worker[str]:
        """Give ``request`` to the spare that must be there."""
        worker = self.pool.claim_nowait(request, self.now)
        assert worker is not None
        return worker

    def end(self, *workers: Worker[str]) -> None:
        """Let workers end that are retired or die by themselves."""
        for worker in workers:
            self.pool.exited(worker, self.now)

    def finish(self, worker: Worker[str]) -> None:
        """Let a worker answer its last request and end."""
        self.pool.retire(worker)
        self.end(worker)

    def fail_start(self) -> None:
        """Let every worker that is starting die."""
        self.end(*[w for w in self.pool.workers.values() if w.state.value == "starting"])

    @property
    def waiting(self) -> list[str]:
        return [waiting.request for waiting in self.pool.waiting]

    def count(self, state: str) -> int:
        return self.pool.counts()[state]


def requests_of(workers: Iterable[Worker[str]]) -> list[str | None]:
    return [worker.request for worker in workers]
