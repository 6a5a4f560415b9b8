"""A worker that dies at its start holds up the next one; any other death does not."""

from __future__ import annotations

from conductor.fastfn.pool import START_WINDOW
from tests.pools import Driver


def test_a_worker_that_dies_while_it_starts_is_not_replaced_at_once() -> None:
    pool = Driver(spare=1)
    (worker,) = pool.decide().spawn
    assert pool.pool.exited(worker, pool.now)
    assert pool.decide().spawn == []
    assert pool.pool.next_deadline(pool.now) == pool.now + 0.25
    pool.now += 0.25
    assert len(pool.decide().spawn) == 1


def test_a_worker_that_dies_unused_soon_after_its_start_counts_too() -> None:
    pool = Driver(spare=1)
    (worker,) = pool.start()
    pool.now += START_WINDOW - 0.1
    assert pool.pool.exited(worker, pool.now)
    assert pool.decide().spawn == []


def test_a_worker_that_dies_unused_later_is_replaced_at_once() -> None:
    pool = Driver(spare=1)
    (worker,) = pool.start()
    pool.now += START_WINDOW
    assert not pool.pool.exited(worker, pool.now)
    assert len(pool.decide().spawn) == 1


def test_a_worker_that_dies_over_its_request_is_replaced_at_once() -> None:
    pool = Driver(spare=1)
    (worker,) = pool.start()
    pool.claim("a")
    assert not pool.pool.exited(worker, pool.now)
    assert len(pool.decide().spawn) == 1


def test_a_used_worker_that_ends_while_idle_is_replaced_at_once() -> None:
    pool = Driver(spare=1, requests=0)
    (worker,) = pool.start()
    pool.claim("a")
    pool.pool.release(worker, pool.now)
    assert not pool.pool.exited(worker, pool.now)
    assert len(pool.decide().spawn) == 1


def test_a_retired_worker_may_end_when_it_likes() -> None:
    pool = Driver(spare=1)
    (worker,) = pool.decide().spawn
    pool.pool.retire(worker)
    pool.ready(worker)  # it was on its way
    assert worker.state.value == "ending"
    assert not pool.pool.exited(worker, pool.now)
    assert len(pool.decide().spawn) == 1


def test_each_failed_start_doubles_the_wait() -> None:
    pool = Driver(spare=2)
    waits = []
    for _ in range(9):
        assert len(pool.decide().spawn) == 2
        pool.fail_start()
        assert pool.decide().spawn == []
        waits.append(pool.pool.backoff.retry_at - pool.now)
        deadline = pool.pool.next_deadline(pool.now)
        assert deadline == pool.pool.backoff.retry_at
        pool.now = deadline
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_an_answer_ends_the_waiting_for_the_next_try() -> None:
    pool = Driver(spare=2, max=2, requests=0)
    first, second = pool.start()
    pool.end(second)
    for _ in range(4):
        pool.now = pool.pool.backoff.retry_at
        assert len(pool.decide().spawn) == 1
        pool.fail_start()
    assert pool.pool.backoff.deaths == 5
    assert pool.claim("a") is first
    pool.now += 1
    pool.pool.release(first, pool.now)
    assert pool.pool.backoff.deaths == 0
    assert len(pool.decide().spawn) == 1


def test_a_worker_that_is_not_ready_in_time_is_given_up() -> None:
    pool = Driver(spare=2, start_timeout=30.0)
    first, second = pool.decide().spawn
    assert pool.pool.next_deadline(pool.now) == 1030.0
    pool.now = 1029.9
    pool.ready(second)
    assert pool.decide().late_start == []
    pool.now = 1030.0
    decision = pool.decide()
    assert decision.late_start == [first]
    assert first.state.value == "ending"
    assert pool.decide().late_start == []


def test_a_late_start_holds_up_the_next_one_as_a_death_does() -> None:
    pool = Driver(spare=1, max=1, start_timeout=10.0)
    for deaths in (1, 2, 3):
        (worker,) = pool.decide().spawn
        pool.now += 10.0
        decision = pool.decide()
        assert decision.late_start == [worker]
        assert decision.spawn == []
        assert pool.pool.backoff.deaths == deaths
        pool.end(worker)
        pool.ask("a")
        hopeless = pool.decide().hopeless
        assert hopeless == ([] if deaths < 3 else ["a", "a", "a"])
        pool.now = pool.pool.backoff.retry_at


def test_workers_that_are_late_together_count_once() -> None:
    pool = Driver(spare=3, start_timeout=10.0)
    pool.decide()
    pool.now += 10.0
    assert len(pool.decide().late_start) == 3
    assert pool.pool.backoff.deaths == 1
