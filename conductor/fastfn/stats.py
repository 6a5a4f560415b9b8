"""What a function has done, in numbers: counters, and latencies in buckets.

Eight buckets make a doubling, so that a percentile is at most 10 % above the truth at
the cost of one list increment for a request.
"""

from __future__ import annotations

import math
from typing import Any

from conductor.fastfn.exchange import Exchange

_STEPS = 8  # buckets for each doubling
_SMALLEST = 1e-5  # seconds: the first bucket ends here
_BUCKETS = 24 * _STEPS  # up to about 170 seconds; one more holds what is longer


class Latencies:
    """A histogram of seconds."""

    __slots__ = ("_counts", "largest", "total")

    def __init__(self) -> None:
        self._counts = [0] * (_BUCKETS + 1)
        self.total = 0
        self.largest = 0.0

    def add(self, seconds: float) -> int:
        """Count one, and return its bucket."""
        index = 0
        if seconds > _SMALLEST:
            index = int(math.log2(seconds / _SMALLEST) * _STEPS) + 1
            index = min(index, _BUCKETS)
        self.add_at(index, seconds)
        return index

    def add_at(self, index: int, seconds: float) -> None:
        """Count one whose bucket is known."""
        self.total += 1
        self._counts[index] += 1
        self.largest = max(self.largest, seconds)

    def percentile(self, fraction: float) -> float:
        """Return the seconds that ``fraction`` of all stayed under."""
        wanted = fraction * self.total
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                if index == _BUCKETS:
                    return self.largest
                return min(self.largest, _SMALLEST * 2 ** (index / _STEPS))
        return 0.0

    def summary(self) -> dict[str, float]:
        """Return percentiles in milliseconds."""
        values = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
        summary = {key: round(self.percentile(part) * 1000, 3) for key, part in values.items()}
        summary["max"] = round(self.largest * 1000, 3)
        return summary


class FunctionStats:
    """The counters of one function, over all its deployments."""

    __slots__ = (
        "bytes_out",
        "failed",
        "last_error",
        "latency",
        "queue_time",
        "queued",
        "refused",
        "requests",
        "restarts",
        "statuses",
        "worker_time",
        "workers_exited",
        "workers_started",
    )

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0  # no answer of the program's own came whole
        self.refused = 0  # of these, those that no worker ever saw: the queue was full or too slow
        self.queued = 0  # had to wait for a worker
        self.bytes_out = 0
        self.restarts = 0
        self.workers_started = 0
        self.workers_exited = 0
        self.last_error: str | None = None
        self.statuses = [0] * 6  # by hundreds
        self.latency = Latencies()
        self.queue_time = Latencies()
        self.worker_time = Latencies()

    def count(self, exchange: Exchange) -> None:
        """Count an exchange that has ended."""
        self.requests += 1
        self.statuses[exchange.status // 100] += 1
        self.bytes_out += exchange.sent
        total = exchange.ended - exchange.arrived
        index = self.latency.add(total)
        if exchange.claimed - exchange.arrived <= _SMALLEST:
            self.queue_time.add_at(0, 0.0)
            self.worker_time.add_at(index, total)
        else:
            self.queue_time.add(exchange.claimed - exchange.arrived)
            self.worker_time.add(exchange.ended - exchange.claimed)
        if exchange.error:
            self.failed += 1
            self.last_error = exchange.error

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "requests": self.requests,
            "statuses": {f"{n}xx": count for n, count in enumerate(self.statuses) if n and count},
            "failed": self.failed,
            "refused": self.refused,
            "queued": self.queued,
            "restarts": self.restarts,
            "workers_started": self.workers_started,
            "workers_exited": self.workers_exited,
            "bytes_out": self.bytes_out,
            "latency_ms": self.latency.summary(),
            "queue_ms": self.queue_time.summary(),
            "worker_ms": self.worker_time.summary(),
        }
