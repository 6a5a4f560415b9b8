"""What is kept of a run's latencies: an HdrHistogram, and the few numbers people read.

Latencies are collected as nanoseconds in an array, which costs a generator
nothing, and become a histogram when its run is over. The histogram holds
microseconds to three significant digits, from 1 µs to 10 minutes. Only answers
are in it; failures are counted beside it, never as short or long latencies.
"""

from __future__ import annotations

import collections
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hdrh.histogram import HdrHistogram

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 600_000_000  # microseconds: longer ones count as this long
DIGITS = 3
CURVE_STEP = 0.05  # nines between two points of a curve


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers that people compare; milliseconds."""

    p50: float
    p90: float
    p99: float
    p99_9: float
    max: float

    def to_json(self) -> dict[str, float]:
        """Return it as what ``json.dumps`` takes."""
        return asdict(self)


class Latencies:
    """A histogram of latencies."""

    def __init__(self, nanoseconds: Iterable[int] = ()) -> None:
        self._histogram: Any = HdrHistogram(1, LONGEST, DIGITS)
        # One call for each distinct microsecond: recording is slow, and most repeat.
        counts = collections.Counter(max(1, round(ns / 1000)) for ns in nanoseconds)
        for microseconds, count in counts.items():
            self._histogram.record_value(min(microseconds, LONGEST), count)

    def __len__(self) -> int:
        """Return how many were recorded."""
        return int(self._histogram.get_total_count())

    def add(self, other: Latencies) -> None:
        """Take the latencies of ``other`` in."""
        self._histogram.add(other._histogram)

    def summary(self) -> Summary | None:
        """Return the percentiles, or None when nothing was recorded."""
        if not len(self):
            return None
        values = self._values([50.0, 90.0, 99.0, 99.9, 100.0])
        return Summary(*values)

    def curve(self) -> list[tuple[float, float]]:
        """Return (nines, milliseconds) points, up to what the number of latencies can tell.

        ``nines`` is -log10(1 - quantile): 0 is the fastest answer, 1 is p90,
        2 is p99. A run of N latencies says nothing beyond its slowest one, at
        log10(N).
        """
        if not len(self):
            return []
        last = math.log10(len(self))
        nines = [CURVE_STEP * step for step in range(math.ceil(last / CURVE_STEP))] + [last]
        values = self._values([100 - 100 / 10**point for point in nines[:-1]] + [100.0])
        return list(zip(nines, values, strict=True))

    def _values(self, percentiles: list[float]) -> list[float]:
        found = self._histogram.get_percentile_to_value_dict(percentiles)
        return [found[percentile] / 1000 for percentile in percentiles]
