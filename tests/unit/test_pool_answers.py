"""An answer that takes too long is told of once, when it is due and not before."""

from __future__ import annotations

from tests.pools import Driver


def test_a_late_answer_is_told_of_once() -> None:
    pool = Driver(spare=1, max=1, timeout=60.0)
    (worker,) = pool.start()
    pool.claim("a")
    assert pool.pool.next_deadline(pool.now) == 1060.0
    pool.now = 1059.9
    assert pool.decide().late_answer == []
    pool.now = 1060.0
    assert pool.decide().late_answer == [worker]
    assert pool.decide().late_answer == []
    assert pool.pool.next_deadline(pool.now) is None
    assert pool.count("busy") == 1
    assert pool.pool.busy_count == 1


def test_late_answers_come_in_the_order_of_their_claims() -> None:
    pool = Driver(spare=3, max=3, timeout=60.0)
    pool.start()
    workers = []
    for request in "abc":
        workers.append(pool.claim(request))
        pool.now += 1
    assert pool.pool.next_deadline(pool.now) == 1060.0
    pool.now = 1061.5
    assert pool.decide().late_answer == workers[:2]
    assert pool.pool.next_deadline(pool.now) == 1062.0


def test_the_time_counts_from_the_claim_of_each_request() -> None:
    pool = Driver(spare=1, max=1, timeout=60.0, requests=0)
    (worker,) = pool.start()
    for _ in range(3):
        pool.claim("a")
        pool.now += 50
        assert pool.decide().late_answer == []
        pool.pool.release(worker, pool.now)
    assert pool.pool.next_deadline(pool.now) is None


def test_a_tunnel_outlives_the_limit_and_ends_like_any_answer() -> None:
    pool = Driver(spare=1, max=1, timeout=60.0, requests=0)
    (worker,) = pool.start()
    pool.claim("tunnel")
    pool.now += 60
    assert pool.decide().late_answer == [worker]  # the deployment leaves tunnels alone
    pool.now += 10_000
    assert pool.decide().late_answer == []
    pool.pool.release(worker, pool.now)
    assert (pool.count("idle"), pool.pool.busy_count) == (1, 0)
    assert pool.claim("b") is worker
    assert pool.pool.next_deadline(pool.now) == pool.now + 60


def test_a_late_worker_can_be_retired_or_die() -> None:
    pool = Driver(spare=2, max=2, timeout=60.0)
    first, second = pool.start()
    pool.ask("a", "b")
    pool.now += 60
    assert pool.decide().late_answer == [first, second]
    pool.pool.retire(first)
    assert first.request is None
    pool.end(first, second)
    assert len(pool.start()) == 2


def test_without_a_limit_no_answer_is_late() -> None:
    pool = Driver(spare=1, max=1, timeout=0.0)
    pool.start()
    pool.claim("a")
    assert pool.pool.next_deadline(pool.now) is None
    pool.now += 1e9
    assert pool.decide().late_answer == []


def test_a_pool_at_rest_has_no_deadline() -> None:
    pool = Driver(spare=2)
    pool.start()
    assert pool.pool.next_deadline(pool.now) is None
