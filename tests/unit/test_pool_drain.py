"""A closed pool serves who waits, ends what is idle, and starts nothing for later."""

from __future__ import annotations

from tests.pools import Driver, requests_of


def test_idle_workers_of_a_closed_pool_are_ended_at_once() -> None:
    pool = Driver(spare=3, idle_timeout=60.0)
    workers = pool.start()
    pool.pool.closed = True
    assert pool.decide().retire == workers
    pool.end(*workers)
    assert pool.decide().spawn == []
    assert pool.pool.next_deadline(pool.now) is None


def test_who_waits_is_still_served() -> None:
    pool = Driver(spare=1, max=2)
    pool.ask("a", "b", "c")
    pool.pool.closed = True
    assert len(pool.start()) == 2
    first, second = pool.decide().claimed
    pool.finish(first)
    pool.finish(second)
    assert len(pool.start()) == 1
    assert requests_of(pool.decide().claimed) == ["c"]
    pool.finish(next(iter(pool.pool.workers.values())))
    decision = pool.decide()
    assert (decision.spawn, pool.pool.workers) == ([], {})


def test_a_worker_that_becomes_free_is_ended() -> None:
    pool = Driver(spare=1, requests=0)
    (worker,) = pool.start()
    pool.claim("a")
    pool.pool.closed = True
    assert pool.decide().retire == []
    pool.pool.release(worker, pool.now)
    assert pool.decide().retire == [worker]


def test_a_worker_that_was_on_its_way_is_ended_when_it_comes() -> None:
    pool = Driver(spare=1)
    (worker,) = pool.decide().spawn
    pool.pool.closed = True
    pool.ready(worker)
    assert pool.decide().retire == [worker]


def test_demand_starts_nothing_in_a_closed_pool() -> None:
    pool = Driver(spare=1)
    pool.pool.demand.start_time = 10.0
    for _ in range(100):
        pool.pool.demand.arrived(pool.now)
    pool.pool.closed = True
    assert pool.pool.wanted_spares(pool.now) == 0
    assert pool.decide().spawn == []
