"""A program that dies at its start is tried again later and later, and hurried by success."""

from __future__ import annotations

from conductor.fastfn.backoff import FIRST, HOPELESS, LONGEST, Backoff


def die(backoff: Backoff, times: int, now: float = 100.0) -> tuple[list[float], float]:
    """Let it die at every try; return the waits and when the last one ends."""
    waits = []
    for _ in range(times):
        backoff.failed(now)
        waits.append(backoff.retry_at - now)
        now = backoff.retry_at
    return waits, now


def test_nothing_holds_up_the_first_start() -> None:
    backoff = Backoff()
    assert backoff.retry_in(100.0) is None
    assert backoff.retry_at == 0.0
    assert not backoff.hopeless


def test_each_death_doubles_the_wait_up_to_its_cap() -> None:
    waits, _ = die(Backoff(), 10)
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert (waits[0], waits[-1]) == (FIRST, LONGEST)


def test_a_program_that_dies_for_weeks_is_still_tried() -> None:
    backoff = Backoff()
    waits, now = die(backoff, 50_000)
    assert waits[-1] == LONGEST
    assert backoff.deaths == 50_000
    assert backoff.retry_in(now - 1.0) == 1.0


def test_workers_that_die_together_count_once() -> None:
    backoff = Backoff()
    for now in (100.0, 100.0, 100.1, 100.24):
        backoff.failed(now)
    assert backoff.deaths == 1
    assert backoff.retry_at == 100.25
    backoff.failed(100.25)
    assert backoff.deaths == 2


def test_after_some_deaths_nobody_should_wait() -> None:
    backoff = Backoff()
    _, now = die(backoff, HOPELESS - 1)
    assert not backoff.hopeless
    die(backoff, 1, now)
    assert backoff.hopeless


def test_retry_in_counts_down_to_nothing() -> None:
    backoff = Backoff()
    backoff.failed(100.0)
    assert backoff.retry_in(100.0) == 0.25
    assert backoff.retry_in(100.125) == 0.125
    assert backoff.retry_in(100.25) is None


def test_success_forgets_the_deaths_and_shortens_the_wait() -> None:
    backoff = Backoff()
    _, now = die(backoff, 8)
    backoff.failed(now)
    assert backoff.retry_in(now) == LONGEST
    backoff.reset()
    assert backoff.deaths == 0
    assert not backoff.hopeless
    assert backoff.retry_in(now) == FIRST
    assert die(backoff, 2, now + FIRST)[0] == [0.25, 0.5]


def test_what_dies_beside_what_succeeds_is_not_started_without_a_pause() -> None:
    backoff = Backoff()
    tries = 0
    for step in range(1000):  # a millisecond each: something succeeds in every one
        now = 100.0 + step / 1000
        if backoff.retry_in(now) is None:
            tries += 1
            backoff.failed(now)
        backoff.reset()
    assert tries == 4
