"""Spares follow arrivals: what is usual counts, a burst at once, and silence after a while."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.fastfn.scaling import PANIC_WINDOW, STABLE_WINDOW, Demand


def arrivals(demand: Demand, start: int, seconds: int, rate: int) -> None:
    """Let ``rate`` requests arrive in each of some seconds, evenly."""
    for second in range(start, start + seconds):
        for number in range(rate):
            demand.arrived(second + number / rate)


def test_without_arrivals_no_spare_is_wanted() -> None:
    assert Demand().wanted_spares(1000.0) == 0
    assert Demand().rate(1000.0) == 0.0


def test_a_steady_rate_is_seen_by_both_windows() -> None:
    demand = Demand()
    arrivals(demand, 1000, 60, 20)
    assert demand.rate(1059.99) == pytest.approx(20)
    assert demand.rate(1059.99, PANIC_WINDOW) == pytest.approx(20)


def test_spares_are_what_arrives_while_one_starts_and_half_of_it_again() -> None:
    demand = Demand()
    arrivals(demand, 1000, 30, 40)
    demand.start_time = 0.1
    assert demand.wanted_spares(1029.99) == 6


def test_slow_starts_call_for_more_spares() -> None:
    demand = Demand()
    arrivals(demand, 1000, 30, 40)
    demand.start_time = 1.0
    assert demand.wanted_spares(1029.99) == 60


def test_a_trickle_calls_for_no_spare_above_the_declared() -> None:
    demand = Demand()
    arrivals(demand, 1000, 30, 6)
    assert demand.wanted_spares(1029.99) == 0


def test_a_burst_is_seen_at_once() -> None:
    demand = Demand()
    demand.start_time = 0.1
    arrivals(demand, 1000, 27, 1)
    assert demand.wanted_spares(1026.99) == 0
    arrivals(demand, 1027, 1, 90)
    assert demand.rate(1027.99) < 4
    assert demand.rate(1027.99, PANIC_WINDOW) > 30
    assert demand.wanted_spares(1027.99) == 5


def test_after_a_burst_the_stable_window_remembers() -> None:
    demand = Demand()
    demand.start_time = 1.0
    arrivals(demand, 1000, 1, 90)
    assert demand.wanted_spares(1000.99) == 45
    assert demand.wanted_spares(1000 + PANIC_WINDOW) == 5
    assert demand.wanted_spares(1000 + STABLE_WINDOW - 1) == 5
    assert demand.wanted_spares(1000 + STABLE_WINDOW) == 0


def test_the_start_time_is_learnt_slowly() -> None:
    demand = Demand()
    demand.started(1.05)
    assert demand.start_time == pytest.approx(0.15)
    for _ in range(100):
        demand.started(1.05)
    assert demand.start_time == pytest.approx(1.05, rel=0.01)


@given(st.lists(st.floats(0, 20), max_size=60), st.floats(0, 40))
def test_the_rate_is_what_the_windows_hold(gaps: list[float], later: float) -> None:
    demand = Demand()
    now = 1000.0
    times = []
    for gap in gaps:
        now += gap
        demand.arrived(now)
        times.append(int(now))
    now += later
    for window in (STABLE_WINDOW, 10, PANIC_WINDOW):
        held = sum(1 for second in times if second > int(now) - window)
        assert demand.rate(now, window) == pytest.approx(held / window)
    assert len(demand._slots) <= STABLE_WINDOW + 1
