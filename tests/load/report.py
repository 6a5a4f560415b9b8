"""What is written: the figures as JSON, and one HTML page that needs nothing else.

The JSON holds every round, so that runs can be compared by other programs; the
page (``page``) shows nothing that is not in it.
"""

from __future__ import annotations

import json
import math
import os
import time
from typing import TYPE_CHECKING, Any

from conductor.errors import UserError
from tests.load.page import page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.load.comparisons import Comparison, Load
    from tests.load.results import Results
    from tests.load.targets import Target
    from tests.load.thresholds import Verdict


def prepare(directory: str) -> None:
    """Make the reports' directory, so that a wrong one is told of before the run: UserError."""
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise UserError(f"--report {directory} cannot be made: {error.strerror}") from None


def write(
    results: Results,
    verdicts: Sequence[Verdict],
    facts: Mapping[str, Any],
    directory: str,
    json_file: str | None,
) -> list[str]:
    """Write both reports and return their paths; ``directory`` is there. Raises OSError."""
    data = to_json(results, verdicts, facts)
    paths = [
        json_file or os.path.join(directory, "load.json"),
        os.path.join(directory, "load.html"),
    ]
    texts = [json.dumps(data, indent=1) + "\n", page(results, verdicts, facts)]
    for path, text in zip(paths, texts, strict=True):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return paths


def to_json(
    results: Results, verdicts: Sequence[Verdict], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything as what ``json.dumps`` takes."""
    return {
        "time": round(time.time()),
        "machine": dict(facts),
        "verdicts": [verdict.to_json() for verdict in verdicts],
        "comparisons": [
            {"name": c.name, "loads": [_load_json(results, c, load) for load in c.loads]}
            for c in results.comparisons
        ],
        "rounds": [one.to_json() for one in results.rounds],
    }


def _load_json(results: Results, comparison: Comparison, load: Load) -> dict[str, Any]:
    return {
        "load": load.name,
        "subject": comparison.subject.name,
        "baseline": comparison.baseline.name,
        "ratio_of": load.compared.value,
        "ratios": [_finite(ratio) for ratio in results.ratios(comparison, load)],
        "curves": {t.name: _curve(results, comparison, load, t) for t in comparison.targets},
    }


def _curve(
    results: Results, comparison: Comparison, load: Load, target: Target
) -> list[tuple[float, float]]:
    points = results.merged(comparison.name, load.name, target.name).curve()
    return [(round(nines, 3), round(ms, 3)) for nines, ms in points]


def _finite(value: float) -> float | None:
    """Return the value, None for what JSON has no word for."""
    return round(value, 4) if math.isfinite(value) else None
