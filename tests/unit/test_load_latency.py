import math

import pytest

from tests.load.latency import LONGEST, Latencies

MILLISECOND = 1_000_000


def test_percentiles_are_those_of_the_recorded_values() -> None:
    summary = Latencies(ms * MILLISECOND for ms in range(1, 1001)).summary()
    assert summary is not None
    assert summary.p50 == pytest.approx(500, rel=0.002)
    assert summary.p90 == pytest.approx(900, rel=0.002)
    assert summary.p99 == pytest.approx(990, rel=0.002)
    assert summary.p99_9 == pytest.approx(999, rel=0.002)
    assert summary.max == pytest.approx(1000, rel=0.002)


def test_nothing_recorded_has_no_summary_and_no_curve() -> None:
    assert Latencies().summary() is None
    assert Latencies().curve() == []


def test_an_endless_latency_counts_as_the_longest() -> None:
    summary = Latencies([10**18]).summary()
    assert summary is not None
    assert summary.max * 1000 == pytest.approx(LONGEST, rel=0.002)


def test_a_latency_below_the_clocks_grain_is_kept() -> None:
    assert len(Latencies([0, 1, 400])) == 3


def test_adding_keeps_every_latency_of_both() -> None:
    both = Latencies([MILLISECOND] * 3)
    both.add(Latencies([5 * MILLISECOND]))
    summary = both.summary()
    assert summary is not None
    assert len(both) == 4
    assert (summary.p50, summary.max) == pytest.approx((1, 5), rel=0.002)


def test_a_curve_rises_from_the_fastest_to_the_slowest() -> None:
    curve = Latencies(ms * MILLISECOND for ms in range(1, 101)).curve()
    nines, values = [x for x, _ in curve], [y for _, y in curve]
    assert nines == sorted(nines)
    assert values == sorted(values)
    assert curve[0] == pytest.approx((0, 1), rel=0.01)
    assert curve[-1] == pytest.approx((math.log10(100), 100), rel=0.01)


def test_a_curve_says_nothing_beyond_what_was_seen() -> None:
    (only,) = Latencies([MILLISECOND]).curve()
    assert only == pytest.approx((0, 1), rel=0.002)
