"""What the figures are held to: the table, and the judgement. No measuring here.

A threshold that was not measured (``--only`` left it out) is shown as such and
is not missed. One that was measured and gave no figure is missed.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.load.comparisons import CLOSED_1, CLOSED_8, SLOWER_THAN_SPARES
from tests.load.results import median

if TYPE_CHECKING:
    from tests.load.comparisons import Comparison
    from tests.load.results import Results


class Figure(enum.Enum):
    """Which figure of a comparison is held to a limit, and on which side of it."""

    RATIO_AT_LEAST = "throughput ratio"  # subject / baseline, median of the rounds
    P50_BELOW = "p50"  # the subject's, milliseconds, median of the rounds


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit."""

    comparison: str
    load: str
    figure: Figure
    limit: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a figure stood against its limit, ready to be shown."""

    what: str
    measured: str
    wanted: str
    passed: bool | None  # None: not measured

    def to_json(self) -> dict[str, str | bool | None]:
        """Return it as what ``json.dumps`` takes."""
        return {name: getattr(self, name) for name in self.__slots__}


THRESHOLDS = (
    Threshold("multishot", CLOSED_8, Figure.RATIO_AT_LEAST, 0.85),
    Threshold("cgi-preload", CLOSED_1, Figure.P50_BELOW, 3.0),
    Threshold("cgi-preload", CLOSED_8, Figure.RATIO_AT_LEAST, 25.0),
    Threshold("cgi-plain", SLOWER_THAN_SPARES.name, Figure.P50_BELOW, 5.0),
)


def judge(results: Results, left_behind: list[str]) -> list[Verdict]:
    """Hold the results to all limits; ``left_behind`` are programs that outlived their run."""
    by_name = {comparison.name: comparison for comparison in results.comparisons}
    verdicts = [_judge_one(results, by_name.get(t.comparison), t) for t in THRESHOLDS]
    failed = results.failures
    verdicts.append(Verdict("failed requests, all targets", str(failed), "0", passed=failed == 0))
    left = ", ".join(left_behind) or "none"
    verdicts.append(Verdict("processes left behind", left, "none", passed=not left_behind))
    return verdicts


def missed(verdicts: list[Verdict]) -> bool:
    """Return whether any limit was missed."""
    return any(verdict.passed is False for verdict in verdicts)


def _judge_one(results: Results, comparison: Comparison | None, threshold: Threshold) -> Verdict:
    what = f"{threshold.comparison}, {threshold.load}: {threshold.figure.value}"
    wanted = _written(threshold, threshold.limit, wanted=True)
    if comparison is None:
        return Verdict(what, "not measured", wanted, None)
    value = _value(results, comparison, threshold)
    if value is None or not math.isfinite(value):
        return Verdict(what, "nothing answered", wanted, passed=False)
    below = threshold.figure is Figure.P50_BELOW
    passed = value < threshold.limit if below else value >= threshold.limit
    return Verdict(what, _written(threshold, value), wanted, passed)


def _value(results: Results, comparison: Comparison, threshold: Threshold) -> float | None:
    if threshold.figure is Figure.RATIO_AT_LEAST:
        load = next(load for load in comparison.loads if load.name == threshold.load)
        return median(results.ratios(comparison, load))
    return results.p50(comparison.name, threshold.load, comparison.subject.name)


def _written(threshold: Threshold, value: float, *, wanted: bool = False) -> str:
    if threshold.figure is Figure.RATIO_AT_LEAST:
        return f"≥ {value:.2f}" if wanted else f"{value:.3f}"
    return f"< {value:g} ms" if wanted else f"{value:.2f} ms"
