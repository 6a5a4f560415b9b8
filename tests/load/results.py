"""What was measured: one Round for each target, load and turn, and what they say together.

Plain data, made by ``rounds``, judged by ``thresholds``, shown by ``report``.
A figure over several rounds is always the median of the rounds' own figures,
and a ratio is taken within a round, between two measurements a moment apart:
on a machine with other work that is what stays comparable.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.load.latency import Latencies, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.load.comparisons import Comparison, Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One target under one load, once."""

    comparison: str
    load: str
    target: str
    number: int  # from 1
    requests: int  # answered right
    failures: dict[str, int]
    first_failure: str
    seconds: float
    throughput: float  # right answers a second
    latency: Summary | None  # None when nothing was answered right
    lag: Summary | None  # how late an open loop itself was
    client_cpu: float  # the generator's share of one processor, 0 to 1
    busy: float  # the machine's processors, 0 to 1
    stolen: float  # what the hypervisor took of them, 0 to 1
    latencies: Latencies = field(repr=False)

    @property
    def p50(self) -> float:
        """The median latency, milliseconds; without an answer it is endless."""
        return self.latency.p50 if self.latency else float("inf")

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "latencies"}
        for name in ("latency", "lag"):
            plain[name] = plain[name] and plain[name].to_json()
        return plain


@dataclass(slots=True)
class Results:
    """All rounds of a run."""

    comparisons: tuple[Comparison, ...]
    rounds: list[Round] = field(default_factory=list)

    def of(self, comparison: str, load: str, target: str) -> list[Round]:
        """Return the rounds of one target under one load, in order."""
        key = (comparison, load, target)
        return [r for r in self.rounds if (r.comparison, r.load, r.target) == key]

    def pairs(self, comparison: Comparison, load: str) -> list[tuple[Round, Round]]:
        """Return (subject, baseline) of each round of a load."""
        subject, baseline = (self.of(comparison.name, load, t.name) for t in comparison.targets)
        return list(zip(subject, baseline, strict=False))

    def ratios(self, comparison: Comparison, load: Load) -> list[float]:
        """Return subject/baseline of each round, of the figure that the load compares."""
        figure = load.compared.value
        pairs = self.pairs(comparison, load.name)
        return [ratio(getattr(a, figure), getattr(b, figure)) for a, b in pairs]

    def p50(self, comparison: str, load: str, target: str) -> float | None:
        """Return the median of the rounds' median latencies, milliseconds."""
        return median(r.p50 for r in self.of(comparison, load, target))

    def merged(self, comparison: str, load: str, target: str) -> Latencies:
        """Return the latencies of all rounds together."""
        together = Latencies()
        for one in self.of(comparison, load, target):
            together.add(one.latencies)
        return together

    @property
    def failures(self) -> int:
        """How many requests failed, of all."""
        return sum(sum(r.failures.values()) for r in self.rounds)


def ratio(a: float, b: float) -> float:
    """Return a/b; what is divided by nothing is endless."""
    return a / b if b else float("inf")


def median(values: Iterable[float]) -> float | None:
    """Return the median, None of nothing."""
    found = list(values)
    return statistics.median(found) if found else None
