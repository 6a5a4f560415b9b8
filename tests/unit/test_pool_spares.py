"""As many workers stand ready as are wanted, never more than allowed; the right one is taken."""

from __future__ import annotations

import pytest

from tests.pools import Driver, requests_of


def test_spares_are_started_before_anybody_asks() -> None:
    pool = Driver(spare=3)
    assert len(pool.start()) == 3
    assert pool.count("idle") == 3
    assert pool.decide().spawn == []


def test_what_is_starting_is_not_started_twice() -> None:
    pool = Driver(spare=2)
    assert len(pool.decide().spawn) == 2
    assert pool.decide().spawn == []
    assert repr(pool.pool) == "<Pool starting=2 waiting=0 deaths=0>"


def test_a_spare_that_is_taken_is_made_up_for() -> None:
    pool = Driver(spare=1)
    pool.start()
    pool.claim("a")
    assert pool.pool.needs_attention()
    assert len(pool.start()) == 1
    assert pool.pool.counts() == {"starting": 0, "idle": 1, "busy": 1, "ending": 0}


def test_without_spares_nothing_is_started_until_somebody_asks() -> None:
    pool = Driver(spare=0)
    assert pool.start() == []
    assert pool.ask("a") == [None]
    (worker,) = pool.start()
    assert pool.decide().claimed == [worker]
    assert worker.request == "a"


def test_one_worker_is_started_for_each_request_that_waits() -> None:
    pool = Driver(spare=1, max=8)
    pool.ask("a", "b", "c")
    assert len(pool.start()) == 4
    assert requests_of(pool.decide().claimed) == ["a", "b", "c"]
    assert pool.count("idle") == 1


def test_there_are_never_more_than_max_whatever_their_state() -> None:
    pool = Driver(spare=2, max=3)
    first, second = pool.start()
    pool.claim("a")
    pool.start()
    assert pool.ask("b", "c", "d", "e")[2:] == [None, None]
    assert pool.decide().spawn == []
    pool.pool.retire(first)  # it is ending, and still there
    assert pool.decide().spawn == []
    assert not pool.pool.needs_attention()
    pool.end(first)
    assert len(pool.start()) == 1
    assert len(pool.pool.workers) == 3
    assert second.request == "b"


def test_a_worker_for_one_request_is_taken_oldest_first() -> None:
    pool = Driver(spare=3, requests=1)
    workers = pool.start()
    assert [pool.claim(request) for request in "abc"] == workers


def test_a_worker_for_many_requests_is_taken_newest_first() -> None:
    pool = Driver(spare=3, requests=0)
    first, second, third = pool.start()
    assert pool.claim("a") is third
    assert pool.claim("b") is second
    pool.pool.release(third, pool.now)
    assert pool.claim("c") is third
    assert first.served == 0


def test_a_worker_is_taken_once() -> None:
    pool = Driver(spare=1)
    (worker,) = pool.start()
    assert pool.claim("a") is worker
    assert pool.pool.claim_nowait("b", pool.now) is None
    assert worker.request == "a"


def test_nobody_overtakes_who_waits() -> None:
    pool = Driver(spare=1)
    pool.ask("first")
    pool.start()
    assert pool.pool.claim_nowait("second", pool.now) is None
    assert requests_of(pool.decide().claimed) == ["first"]


def test_an_idle_worker_above_spare_is_ended_after_its_time() -> None:
    pool = Driver(spare=1, idle_timeout=60.0, requests=0)
    pool.ask("a", "b")
    pool.start()
    workers = pool.decide().claimed
    for worker in workers:
        pool.pool.release(worker, pool.now)
    pool.now += 59.9
    assert pool.decide().retire == []
    pool.now += 0.2
    retired = pool.decide().retire
    assert len(retired) == 2
    assert all(worker.state.value == "ending" for worker in retired)
    assert pool.count("idle") == 1
    pool.now += 1000
    assert pool.decide().retire == []


def test_idle_workers_are_ended_the_longest_idle_first() -> None:
    pool = Driver(spare=0, idle_timeout=60.0, requests=0)
    pool.ask("a", "b", "c")
    pool.start()
    workers = pool.decide().claimed
    for worker in reversed(workers):
        pool.now += 1
        pool.pool.release(worker, pool.now)
    pool.now += 58.5
    assert pool.decide().retire == [workers[2]]
    pool.now += 1
    assert pool.decide().retire == [workers[1]]


def test_a_worker_in_use_is_never_idle_too_long() -> None:
    pool = Driver(spare=0, idle_timeout=60.0, requests=0)
    pool.ask("a")
    (worker,) = pool.start()
    pool.decide()
    for _ in range(5):
        pool.now += 50
        pool.pool.release(worker, pool.now)
        assert pool.decide().retire == []
        pool.claim("b")


def test_arrivals_raise_the_spares_of_workers_for_one_request() -> None:
    pool = Driver(spare=1, max=20, requests=1)
    for _ in range(300):  # 100 a second: each takes 50 ms to start
        pool.now += 0.01
        pool.start()
        pool.finish(pool.claim("a"))
    pool.pool.demand.start_time = 0.05
    assert pool.pool.wanted_spares(pool.now) == 8
    pool.start()
    assert pool.count("idle") >= 7
    assert pool.pool.has_surplus


def test_demand_does_not_lift_the_bound() -> None:
    pool = Driver(spare=1, max=3, requests=1)
    pool.pool.demand.start_time = 10.0
    for _ in range(50):
        pool.pool.demand.arrived(pool.now)
    assert pool.pool.wanted_spares(pool.now) > 3
    assert len(pool.start()) == 3


def test_a_worker_for_many_requests_is_its_own_replacement() -> None:
    pool = Driver(spare=1, requests=0)
    for _ in range(500):
        pool.pool.demand.arrived(pool.now)
    assert len(pool.start()) == 1


def test_spares_that_demand_raised_are_ended_when_it_has_fallen() -> None:
    pool = Driver(spare=1, max=8, requests=1, idle_timeout=10.0)
    pool.pool.demand.start_time = 1.0
    for _ in range(60):
        pool.pool.demand.arrived(pool.now)
    assert len(pool.start()) == 8
    while pool.count("idle") > 1:  # nothing happens but time
        deadline = pool.pool.next_deadline(pool.now)
        assert deadline is not None
        assert pool.now < deadline <= pool.now + 10
        pool.now = deadline
        pool.end(*pool.decide().retire)
        assert pool.now < 1050, "it took too long"
    assert pool.pool.next_deadline(pool.now) is None


def test_a_worker_knows_its_last_request() -> None:
    pool = Driver(spare=1, requests=3)
    (worker,) = pool.start()
    last = []
    for _ in range(3):
        pool.claim("a")
        last.append(worker.last_request)
        pool.pool.release(worker, pool.now)
    assert last == [False, False, True]


def test_a_worker_without_a_limit_has_no_last_request() -> None:
    pool = Driver(spare=1, requests=0)
    (worker,) = pool.start()
    for _ in range(100):
        pool.claim("a")
        assert not worker.last_request
        pool.pool.release(worker, pool.now)


def test_workers_that_start_together_are_not_recycled_together() -> None:
    pool = Driver(spare=200, max=200, requests=100)
    lifetimes = [worker.lifetime for worker in pool.start()]
    assert min(lifetimes) >= 90
    assert max(lifetimes) <= 100
    assert len(set(lifetimes)) > 5


@pytest.mark.parametrize("requests", [0, 1, 2, 9])
def test_few_requests_are_exactly_as_many(requests: int) -> None:
    pool = Driver(spare=50, max=50, requests=requests)
    assert {worker.lifetime for worker in pool.start()} == {requests}


def test_a_worker_says_where_it_stands() -> None:
    pool = Driver(spare=1)
    (worker,) = pool.start()
    pool.claim("a")
    assert repr(worker) == "<Worker 1 busy pid=1 served=1>"
    assert repr(Driver(spare=0).pool) == "<Pool empty waiting=0 deaths=0>"
