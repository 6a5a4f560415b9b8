"""When the requests of an open loop are due, decided before the first is sent.

A generator that sends the next request when the last was answered slows down
with what it measures, and never sees the wait that its users would have had
(coordinated omission). Here the arrivals are an absolute timetable: a late
answer delays nobody's arrival, and latency counts from the planned moment.
Plain arithmetic: no clock is read here.
"""

from __future__ import annotations

from dataclasses import dataclass

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timetable:
    """Arrivals at a constant rate."""

    rate: float  # requests a second
    seconds: float  # how long they go on

    def __post_init__(self) -> None:
        """Raise ValueError unless there is something to plan."""
        if not (self.rate > 0 and self.seconds > 0):
            raise ValueError("a timetable needs a rate and a length above zero")

    def __len__(self) -> int:
        """Return how many requests are planned; never none, so that short runs measure."""
        return max(1, round(self.rate * self.seconds))

    def due(self, index: int) -> int:
        """Return when request ``index`` is due: nanoseconds after the start.

        Each is computed from the start, not from the one before it, so that
        rounding does not add up.
        """
        return round(index * NANOSECONDS / self.rate)
