"""How workers end, and what is said of it.

A worker that is to end sees the end of its input first, or SIGTERM if it is of no
use any longer; after a grace period it gets the next harder signal, to its whole
process group. Its last line of standard error is kept until it is reaped, because
that is where programs say why.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from conductor.fastfn.pool import Worker
from conductor.fastfn.spawner_link import SpawnerLink, describe_exit

KILL_GRACE = 5.0  # seconds from the end of a worker's input to SIGTERM, and from that to SIGKILL


class Endings:
    """The workers of one deployment that have to end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, link: SpawnerLink) -> None:
        self._loop = loop
        self._link = link
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def allow(self, worker: Worker[Any]) -> None:
        """Let a worker, whose input has ended, end by itself; insist after the grace period."""
        self._later(worker, signal.SIGTERM)

    def force(self, worker: Worker[Any], number: int = signal.SIGTERM) -> None:
        """Signal a worker's group, and SIGKILL it after the grace period if it is still there."""
        self._link.kill(worker.id, number)
        if number != signal.SIGKILL:
            self._later(worker, signal.SIGKILL)

    def over(self, worker: Worker[Any]) -> None:
        """Hear that a worker is gone."""
        timer = self._timers.pop(worker.id, None)
        if timer is not None:
            timer.cancel()

    def _later(self, worker: Worker[Any], number: int) -> None:
        self.over(worker)
        self._timers[worker.id] = self._loop.call_later(KILL_GRACE, self.force, worker, number)


class LastWords:
    """What workers wrote last, and how those ended that are just being reaped."""

    def __init__(self) -> None:
        self._lines: dict[int, str] = {}
        self._deaths: dict[int, str] = {}

    def wrote(self, worker: int, line: str) -> None:
        """Take note of a line of standard error; worker 0 is the zygote."""
        self._lines[worker] = line

    def died(self, worker: Worker[Any], status: int) -> None:
        """Take note of how a worker ended (waitpid(2))."""
        self._deaths[worker.id] = f"the worker (pid {worker.pid}) {describe_exit(status)}"

    def explain(self, worker: int, what: str) -> str:
        """Return how a worker ended, or ``what`` if it has not, with its last line."""
        death = self._deaths.get(worker, what)
        line = self._lines.get(worker)
        return f"{death}; its last line was {line!r}" if line else death

    def forget(self, worker: int) -> None:
        """Drop what is known of a worker."""
        self._lines.pop(worker, None)
        self._deaths.pop(worker, None)
