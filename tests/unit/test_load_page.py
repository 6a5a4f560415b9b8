"""The HTML page of a run made by hand: what it shows, and that it loads nothing."""

import re
from html.parser import HTMLParser

from tests.load.comparisons import COMPARISONS
from tests.load.latency import Latencies
from tests.load.page import page
from tests.load.report import to_json
from tests.load.results import Results, Round
from tests.load.thresholds import judge

FACTS = {"processor": "<fast & small>", "load_average": [1.0, 2.0, 3.0]}
MULTISHOT = next(comparison for comparison in COMPARISONS if comparison.name == "multishot")


def measured() -> Results:
    results = Results((MULTISHOT,))
    for load in MULTISHOT.loads:
        for target, count in zip(MULTISHOT.targets, (2000, 20), strict=True):
            latencies = Latencies(range(1_000_000, 1_000_000 + count * 1000, 1000))
            results.rounds.append(
                Round(
                    comparison=MULTISHOT.name,
                    load=load.name,
                    target=target.name,
                    number=1,
                    requests=count,
                    failures={},
                    first_failure="",
                    seconds=1.0,
                    throughput=float(count),
                    latency=latencies.summary(),
                    lag=None,
                    client_cpu=0.25,
                    busy=1.0,
                    stolen=0.0,
                    latencies=latencies,
                )
            )
    return results


def text_of(results: Results) -> str:
    return page(results, judge(results, []), FACTS)


class Balance(HTMLParser):
    """Fails on a tag that is closed without being open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed() -> None:
    parser = Balance()
    parser.feed(text_of(measured()))
    assert parser.open == []


def test_the_page_loads_nothing() -> None:
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", text_of(measured()))


def test_every_load_has_its_ratio_and_its_curves() -> None:
    text = text_of(measured())
    assert text.count('<strong class="ratio">100 ×</strong>') == 2
    assert text.count("<polyline") == 2 * len(MULTISHOT.loads)


def test_a_percentile_that_too_few_answers_show_is_left_out() -> None:
    text = text_of(measured())
    few = re.search(r"<td>worker-direct</td>(.*?)</tr>", text)
    assert few is not None
    assert re.findall(r"<td>(.*?)</td>", few[1])[2:4] == ["–", "–"]


def test_what_comes_from_outside_is_escaped() -> None:
    assert "&lt;fast &amp; small&gt;" in text_of(measured())


def test_a_run_in_which_nothing_answered_still_has_a_page_and_figures() -> None:
    results = Results((MULTISHOT,))
    assert "multishot" in text_of(results)
    assert to_json(results, [], FACTS)["rounds"] == []


def test_the_figures_hold_every_round_and_every_ratio() -> None:
    data = to_json(measured(), [], FACTS)
    assert len(data["rounds"]) == 2 * len(MULTISHOT.loads)
    (comparison,) = data["comparisons"]
    assert [load["ratios"] for load in comparison["loads"][:2]] == [[100.0], [100.0]]
    assert all(load["curves"]["worker-direct"] for load in comparison["loads"])
