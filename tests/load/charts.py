"""The report's drawings: SVG as text, made from numbers alone.

A library for plots would be a large dependency for two drawings, and would not
make them part of the page: here lines and letters take the page's colours, so
that they are readable in light and dark, and nothing is loaded from elsewhere.
The classes named here are styled by ``report``. Lengths are SVG user units.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 560
CURVES_HEIGHT = 300
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 34, 46  # margins of the latency curves
BAR, BAR_GAP = 22, 8
BAR_NAME = 170  # where bars begin
BAR_VALUE = 120  # what is kept free behind the longest one for its figure

# Where quantiles stand on an axis of nines: -log10(1 - quantile).
QUANTILES = (("min", 0.0), ("p50", math.log10(2)), ("p90", 1.0), ("p99", 2.0), ("p99.9", 3.0))
MORE_QUANTILES = (("p99.99", 4.0), ("p99.999", 5.0))


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from ``low`` to ``high`` onto lengths from ``start`` to ``stop``."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return where ``value`` stands; beyond the ends it stands at the end."""
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        part = (value - low) / (high - low) if high > low else 0.0
        return self.start + part * (self.stop - self.start)


@dataclass(frozen=True, slots=True)
class Series:
    """A latency curve: (nines, milliseconds) points."""

    name: str
    role: str  # the class that colours it: "subject" or "baseline"
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Bar:
    """A throughput: the median of some rounds, and how far they went apart."""

    name: str
    role: str
    value: float
    least: float
    most: float
    label: str


def ticks(low: float, high: float) -> list[float]:
    """Return round values (1, 2 and 5 times a power of ten) that reach around low and high."""
    low = max(low, 1e-3)
    high = max(high, low)
    steps = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factor in (1, 2, 5)
    ]
    first = max(index for index, step in enumerate(steps) if step <= low * (1 + 1e-9))
    last = min((index for index, step in enumerate(steps) if step >= high), default=len(steps) - 1)
    return steps[first : max(last, first + 1) + 1]


def latency_curves(title: str, series: Sequence[Series]) -> str:
    """Return latency by percentile: nines to the right, milliseconds upwards, logarithmic."""
    points = [point for one in series for point in one.points]
    if not points:
        return ""
    marks = ticks(min(y for _, y in points), max(y for _, y in points))
    across = Scale(0, max(1.0, *(x for x, _ in points)), LEFT, WIDTH - RIGHT)
    bottom = CURVES_HEIGHT - BOTTOM
    upwards = Scale(marks[0], marks[-1], bottom, TOP, logarithmic=True)
    parts = [_grid_across(across, bottom), _grid_upwards(marks, upwards), _legend(series)]
    parts += [_curve(one, across, upwards) for one in series]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, CURVES_HEIGHT - 6, "percentile", "axis middle"))
    parts.append(
        f'<text class="axis middle" transform="translate(14 {(TOP + bottom) / 2:.0f}) rotate(-90)">'
        "latency, ms</text>"
    )
    return _svg(CURVES_HEIGHT, title, parts)


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Return horizontal bars on one scale from zero, each with its figure behind it."""
    height = len(rows) * (BAR + BAR_GAP) + BAR_GAP
    most = max((row.most for row in rows), default=0.0)
    across = Scale(0, most or 1.0, BAR_NAME, WIDTH - BAR_VALUE)
    parts = [_bar(row, BAR_GAP + i * (BAR + BAR_GAP), across) for i, row in enumerate(rows)]
    return _svg(height, title, parts)


def _bar(row: Bar, top: float, across: Scale) -> str:
    middle = top + BAR / 2
    least, most = across(row.least), across(row.most)
    length = across(row.value) - BAR_NAME
    return (
        _text(BAR_NAME - 8, middle + 4, row.name, "end")
        + f'<rect class="{row.role}" x="{BAR_NAME}" y="{top:.1f}" width="{length:.1f}"'
        f' height="{BAR}" rx="2"/>'
        + _line(least, middle, most, middle, "spread")
        + "".join(_line(end, middle - 4, end, middle + 4, "spread") for end in (least, most))
        + _text(max(most, BAR_NAME + length) + 8, middle + 4, row.label, "value")
    )


def _curve(series: Series, across: Scale, upwards: Scale) -> str:
    path = " ".join(f"{across(x):.1f},{upwards(y):.1f}" for x, y in series.points)
    return f'<polyline class="curve {series.role}" points="{path}"/>'


def _grid_across(across: Scale, bottom: float) -> str:
    shown = [(name, nines) for name, nines in QUANTILES + MORE_QUANTILES if nines <= across.high]
    return "".join(
        _line(across(nines), TOP, across(nines), bottom, "grid")
        + _text(across(nines), bottom + 18, name, "middle")
        for name, nines in shown
    )


def _grid_upwards(marks: Sequence[float], upwards: Scale) -> str:
    return "".join(
        _line(LEFT, upwards(mark), WIDTH - RIGHT, upwards(mark), "grid")
        + _text(LEFT - 8, upwards(mark) + 4, f"{mark:g}", "end")
        for mark in marks
    )


def _legend(series: Sequence[Series]) -> str:
    parts, left = [], float(LEFT)
    for one in series:
        parts.append(_line(left, 14, left + 28, 14, f"curve {one.role}"))
        parts.append(_text(left + 36, 18, one.name, ""))
        left += 60 + 7.5 * len(one.name)
    return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float, role: str) -> str:
    return f'<line class="{role}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, role: str) -> str:
    return f'<text class="{role}" x="{x:.1f}" y="{y:.1f}">{html.escape(text)}</text>'


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img"><title>{html.escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )
