"""How many spares demand calls for: arrivals a second × seconds that a start takes.

Arrivals are counted in slots of one second over two windows, named as Knative
names them: the stable window says how much is usual, the panic window sees a
burst while it builds up. The larger of the two counts. Only workers that answer
one request each need this: a worker that is used again is its own replacement.
"""

from __future__ import annotations

import math
from collections import deque

STABLE_WINDOW = 30  # seconds
PANIC_WINDOW = 3  # seconds
_START_WEIGHT = 0.1  # of the newest start in the running mean
_HEADROOM = 1.5  # arrivals bunch: what a mean rate would need, and half of it again


class Demand:
    """Arrivals and start times of one function."""

    __slots__ = ("_slot", "_slots", "_total", "start_time")

    def __init__(self) -> None:
        self.start_time = 0.05  # seconds, a running mean; a guess until the first start
        self._slot = -1
        self._slots: deque[list[int]] = deque()  # [second, arrivals], oldest first
        self._total = 0  # of all slots

    def arrived(self, now: float) -> None:
        """Count one arrival at ``now`` (seconds, monotonic)."""
        second = int(now)
        self._total += 1
        if second == self._slot:
            self._slots[-1][1] += 1
            return
        self._slot = second
        self._slots.append([second, 1])
        self._forget(second)

    def started(self, seconds: float) -> None:
        """Learn that a worker took ``seconds`` from its order to its readiness."""
        self.start_time += (seconds - self.start_time) * _START_WEIGHT

    def rate(self, now: float, window: int = STABLE_WINDOW) -> float:
        """Return arrivals a second over the last ``window`` seconds."""
        second = int(now)
        self._forget(second)
        if window >= STABLE_WINDOW:
            return self._total / STABLE_WINDOW
        total = 0
        for slot, count in reversed(self._slots):
            if slot <= second - window:
                break
            total += count
        return total / window

    def wanted_spares(self, now: float) -> int:
        """Return how many spares arrivals use up while a replacement starts."""
        rate = max(self.rate(now), self.rate(now, PANIC_WINDOW))
        wanted = rate * self.start_time * _HEADROOM
        return math.ceil(wanted) if wanted >= 0.5 else 0

    def _forget(self, second: int) -> None:
        """Drop the slots that have left the stable window."""
        slots = self._slots
        while slots and slots[0][0] <= second - STABLE_WINDOW:
            self._total -= slots.popleft()[1]
