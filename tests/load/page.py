"""The HTML report: one page that holds its style and its drawings and loads nothing.

It can be kept, sent and opened anywhere. Verdicts come first, then each
comparison with a card for each load, then the machine: the order in which
people ask.
"""

from __future__ import annotations

import html
import os
import time
from typing import TYPE_CHECKING, Any

from tests.load import charts
from tests.load.comparisons import Closed, Compared
from tests.load.results import median

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.load.comparisons import Comparison, Load
    from tests.load.latency import Latencies
    from tests.load.results import Results, Round
    from tests.load.targets import Target
    from tests.load.thresholds import Verdict

STYLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.css")
ROLES = ("subject", "baseline")
NOT_MEASURED = "–"

NOTE = """Rounds alternate between the two sides; a ratio is taken within a round, and quoted
figures are medians of the rounds. Percentiles are of all rounds together. Where the rate is
constant, latency counts from the moment a request was planned; where connections are never idle,
from the moment it was sent."""


def page(results: Results, verdicts: Sequence[Verdict], facts: Mapping[str, Any]) -> str:
    """Return the page."""
    with open(STYLE, encoding="utf-8") as file:
        style = file.read()
    when = time.strftime("%Y-%m-%d %H:%M")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Conductor load tests, {when}</title>\n<style>\n{style}</style></head><body>",
            f'<h1>Conductor load tests</h1>\n<p class="note">{when}. {NOTE}</p>',
            _verdicts(verdicts),
            *(_section(results, comparison) for comparison in results.comparisons),
            _machine(facts),
            "</body></html>\n",
        ]
    )


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    words = {True: ("ok", "kept"), False: ("bad", "missed"), None: ("", NOT_MEASURED)}
    rows = []
    for verdict in verdicts:
        role, word = words[verdict.passed]
        cells = [verdict.what, verdict.measured, verdict.wanted]
        rows.append(_row(cells) + f'<td class="{role}">{word}</td>')
    return _table(["limit", "measured", "wanted", ""], rows)


def _section(results: Results, comparison: Comparison) -> str:
    cards = "".join(_card(results, comparison, load) for load in comparison.loads)
    return (
        f"<h2>{html.escape(comparison.name)}</h2><p>{html.escape(comparison.title)}</p>"
        f'<div class="cards">{cards}</div>'
    )


def _card(results: Results, comparison: Comparison, load: Load) -> str:
    title = f"{comparison.name}, {load.name}"
    drawn = _bars(results, comparison, load) if isinstance(load, Closed) else ""
    series = [
        charts.Series(target.name, role, _merged(results, comparison, load, target).curve())
        for role, target in zip(ROLES, comparison.targets, strict=True)
    ]
    curves = charts.latency_curves(f"Latency by percentile: {title}", series)
    table = _figures(results, comparison, load)
    return (
        f"<section><h3>{html.escape(load.name)}</h3>{_ratio(results, comparison, load)}"
        f"{drawn}{curves}{table}</section>"
    )


def _merged(results: Results, comparison: Comparison, load: Load, target: Target) -> Latencies:
    return results.merged(comparison.name, load.name, target.name)


def _ratio(results: Results, comparison: Comparison, load: Load) -> str:
    ratios = results.ratios(comparison, load)
    middle = median(ratios)
    if middle is None:
        return ""
    better = "more is better" if load.compared is Compared.THROUGHPUT else "less is better"
    each = " ".join(f"{ratio:.3g}" for ratio in ratios)
    return (
        f'<p><strong class="ratio">{middle:.3g} ×</strong> the {load.compared.value} of '
        f"{html.escape(comparison.baseline.name)} ({better}; rounds: {each})</p>"
    )


def _bars(results: Results, comparison: Comparison, load: Load) -> str:
    rows = []
    for role, target in zip(ROLES, comparison.targets, strict=True):
        rates = [one.throughput for one in results.of(comparison.name, load.name, target.name)]
        middle = median(rates) or 0.0
        label = f"{middle:,.4g}/s" if middle < 1000 else f"{middle:,.0f}/s"
        least, most = min(rates, default=0.0), max(rates, default=0.0)
        rows.append(charts.Bar(target.name, role, middle, least, most, label))
    return charts.bars(f"Throughput: {comparison.name}, {load.name}", rows)


def _figures(results: Results, comparison: Comparison, load: Load) -> str:
    heads = ["ms", "p50", "p90", "p99", "p99.9", "max", "answers", "failed", "client CPU"]
    rows = []
    for target in comparison.targets:
        measured = results.of(comparison.name, load.name, target.name)
        percentiles = _percentiles(_merged(results, comparison, load, target))
        rows.append(_row([target.name, *percentiles, *_counts(measured)]))
    return _table(heads, rows)


def _percentiles(latencies: Latencies) -> list[str]:
    summary, count = latencies.summary(), len(latencies)
    if summary is None:
        return [NOT_MEASURED] * 5
    # A percentile that only the slowest answer could show is that answer's, not a percentile.
    shown = zip(summary.to_json().values(), (2, 10, 100, 1000, 1), strict=True)
    return [f"{value:.3g}" if count >= enough else NOT_MEASURED for value, enough in shown]


def _counts(measured: Sequence[Round]) -> list[str]:
    answers = sum(one.requests for one in measured)
    failed = sum(sum(one.failures.values()) for one in measured)
    share = median(one.client_cpu for one in measured) or 0.0
    return [f"{answers:,}", str(failed), f"{share:.0%}"]


def _machine(facts: Mapping[str, Any]) -> str:
    rows = [_row([name.replace("_", " "), str(value)]) for name, value in facts.items()]
    return "<h2>Machine</h2>" + _table(["", ""], rows)


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _row(cells: Iterable[str]) -> str:
    return "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
