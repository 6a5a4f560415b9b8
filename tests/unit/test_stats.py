"""Counters count what happened, and percentiles are at most a tenth above the truth."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.fastfn.stats import FunctionStats, Latencies
from tests.records import ended_exchange


def latencies(*values: float) -> Latencies:
    measured = Latencies()
    for value in values:
        measured.add(value)
    return measured


def test_nothing_measured_is_zero() -> None:
    assert latencies().summary() == {"p50": 0.0, "p90": 0.0, "p99": 0.0, "max": 0.0}


def test_one_measurement_is_every_percentile() -> None:
    assert latencies(0.0123).summary() == {"p50": 12.3, "p90": 12.3, "p99": 12.3, "max": 12.3}


def test_percentiles_of_an_even_spread() -> None:
    summary = latencies(*[n / 1000 for n in range(1, 1001)]).summary()
    assert summary["p50"] == pytest.approx(500, rel=0.1)
    assert summary["p90"] == pytest.approx(900, rel=0.1)
    assert summary["p99"] == pytest.approx(990, rel=0.1)
    assert summary["max"] == 1000.0


def test_the_rare_slow_one_is_in_p99_and_not_in_p50() -> None:
    summary = latencies(*[0.001] * 98, 5.0, 5.0).summary()
    assert summary["p50"] == pytest.approx(1, rel=0.1)
    assert summary["p90"] == pytest.approx(1, rel=0.1)
    assert summary["p99"] == summary["max"] == 5000.0


def test_hours_are_not_cut_to_minutes() -> None:
    summary = latencies(*[7200.0] * 10).summary()
    assert summary == {"p50": 7.2e6, "p90": 7.2e6, "p99": 7.2e6, "max": 7.2e6}


def test_the_shortest_times_share_a_bucket() -> None:
    measured = latencies(0.0, 1e-9, 1e-5)
    assert measured.percentile(0.01) == 1e-5
    assert measured.total == 3


times = st.one_of(st.floats(0, 1e-3), st.floats(1e-3, 160.0))


@given(st.lists(times, min_size=1, max_size=60), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_the_truth_or_a_tenth_above_it(values: list[float], part: float) -> None:
    truth = sorted(values)[math.ceil(part * len(values)) - 1]
    told = latencies(*values).percentile(part)
    assert truth * 0.999 <= told
    assert told <= max(truth * 1.1, 1e-5)


def test_an_exchange_is_counted_with_its_times() -> None:
    stats = FunctionStats()
    stats.count(ended_exchange(status=200, sent=120, queue=0.5, worker=1.5))
    stats.count(ended_exchange(status=404, sent=30, queue=0.0, worker=0.25))
    told = stats.to_json()
    assert (told["requests"], told["bytes_out"], told["failed"]) == (2, 150, 0)
    assert told["statuses"] == {"2xx": 1, "4xx": 1}
    assert told["latency_ms"]["max"] == 2000.0
    assert told["queue_ms"]["max"] == 500.0
    assert told["worker_ms"]["max"] == 1500.0
    assert told["queue_ms"]["p50"] == 0.01


def test_a_request_that_did_not_wait_waited_no_time() -> None:
    stats = FunctionStats()
    stats.count(ended_exchange(queue=0.0, worker=0.1))
    assert stats.to_json()["queue_ms"] == {"p50": 0.0, "p90": 0.0, "p99": 0.0, "max": 0.0}


def test_a_failed_exchange_says_why() -> None:
    stats = FunctionStats()
    stats.count(ended_exchange(status=502, error="the worker was killed by SIGKILL"))
    stats.count(ended_exchange(status=200))
    told = stats.to_json()
    assert (told["requests"], told["failed"]) == (2, 1)
    assert told["statuses"] == {"2xx": 1, "5xx": 1}
    assert stats.last_error == "the worker was killed by SIGKILL"
