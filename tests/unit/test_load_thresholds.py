"""How figures are judged. Rounds are made by hand; nothing runs."""

import pytest

from tests.load.comparisons import CLOSED_1, CLOSED_8, COMPARISONS, SLOWER_THAN_SPARES, Comparison
from tests.load.latency import Latencies
from tests.load.results import Results, Round
from tests.load.thresholds import THRESHOLDS, Verdict, judge, missed

BY_NAME = {comparison.name: comparison for comparison in COMPARISONS}


def a_round(comparison: str, load: str, target: str, **figures: float) -> Round:
    latencies = Latencies([round(figures.get("p50", 1.0) * 1_000_000)])
    failed = int(figures.get("failed", 0))
    return Round(
        comparison=comparison,
        load=load,
        target=target,
        number=1,
        requests=100,
        failures={"status": failed} if failed else {},
        first_failure="",
        seconds=1.0,
        throughput=figures.get("throughput", 100.0),
        latency=None if figures.get("silent") else latencies.summary(),
        lag=None,
        client_cpu=0.1,
        busy=1.0,
        stolen=0.0,
        latencies=latencies,
    )


def rounds_of(name: str, load: str, *pairs: tuple[dict[str, float], dict[str, float]]) -> Results:
    comparison = BY_NAME[name]
    results = Results((comparison,))
    for pair in pairs:
        for target, figures in zip(comparison.targets, pair, strict=True):
            results.rounds.append(a_round(name, load, target.name, **figures))
    return results


def verdict(results: Results, what: str, left_behind: list[str] | None = None) -> Verdict:
    found = [v for v in judge(results, left_behind or []) if v.what.startswith(what)]
    assert len(found) == 1
    return found[0]


def test_every_threshold_names_a_load_that_its_comparison_has() -> None:
    for threshold in THRESHOLDS:
        comparison: Comparison = BY_NAME[threshold.comparison]
        assert threshold.load in [load.name for load in comparison.loads]


@pytest.mark.parametrize(("throughput", "passed"), [(85.0, True), (84.9, False)])
def test_a_ratio_at_its_limit_is_kept(throughput: float, passed: bool) -> None:
    results = rounds_of("multishot", CLOSED_8, ({"throughput": throughput}, {}))
    assert verdict(results, "multishot").passed is passed


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    pairs: list[tuple[dict[str, float], dict[str, float]]] = [
        ({"throughput": 90.0}, {"throughput": 100.0}),
        ({"throughput": 9.0}, {"throughput": 10.0}),  # The whole machine was slow: still 0.9.
        ({"throughput": 10.0}, {"throughput": 100.0}),
    ]
    results = rounds_of("multishot", CLOSED_8, *pairs)
    assert verdict(results, "multishot").measured == "0.900"


@pytest.mark.parametrize(("p50", "passed"), [(2.9, True), (3.1, False)])
def test_a_median_latency_must_be_below_its_limit(p50: float, passed: bool) -> None:
    results = rounds_of("cgi-preload", CLOSED_1, ({"p50": p50}, {"p50": 100.0}))
    assert verdict(results, f"cgi-preload, {CLOSED_1}").passed is passed


def test_the_baselines_own_latency_is_held_to_nothing() -> None:
    results = rounds_of("cgi-plain", SLOWER_THAN_SPARES.name, ({"p50": 2.0}, {"p50": 100.0}))
    assert verdict(results, "cgi-plain").passed is True


def test_what_was_not_measured_is_not_missed() -> None:
    verdicts = judge(Results(()), [])
    assert [v.passed for v in verdicts if v.measured == "not measured"] == [None] * len(THRESHOLDS)
    assert not missed(verdicts)


def test_what_never_answered_is_missed() -> None:
    results = rounds_of("cgi-preload", CLOSED_1, ({"silent": 1}, {}))
    assert verdict(results, f"cgi-preload, {CLOSED_1}").passed is False


def test_a_baseline_that_never_answered_makes_no_ratio() -> None:
    results = rounds_of("multishot", CLOSED_8, ({}, {"throughput": 0.0}))
    assert verdict(results, "multishot").passed is False


def test_one_failed_request_of_either_side_is_missed() -> None:
    results = rounds_of("multishot", CLOSED_8, ({}, {"failed": 1}))
    assert verdict(results, "failed requests") == Verdict(
        "failed requests, all targets", "1", "0", passed=False
    )
    assert missed(judge(results, []))


def test_a_process_left_behind_is_missed_and_named() -> None:
    left = verdict(Results(()), "processes left behind", ["python3"])
    assert (left.measured, left.passed) == ("python3", False)
