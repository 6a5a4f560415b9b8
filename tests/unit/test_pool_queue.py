"""Requests wait when all workers are busy: in order, not too many, not too long."""

from __future__ import annotations

import pytest

from tests.pools import Driver, requests_of


def busy(workers: int, **limits: object) -> Driver:
    """Return a pool of which all workers have a request, and no more are allowed."""
    pool = Driver(spare=workers, max=workers, **limits)
    pool.start()
    for number in range(workers):
        pool.claim(f"busy-{number}")
    return pool


def test_the_queue_is_bounded() -> None:
    pool = busy(2, queue=3)
    pool.ask("a", "b", "c")
    assert not pool.pool.enqueue("d", pool.now)
    assert pool.waiting == ["a", "b", "c"]


def test_who_a_start_will_serve_takes_no_place_in_the_queue() -> None:
    pool = Driver(spare=1, max=3, queue=1)
    pool.start()
    pool.claim("a")
    pool.ask("b", "c", "d")  # two workers more are allowed, and one place is in the queue
    assert not pool.pool.enqueue("e", pool.now)
    pool.start()
    assert requests_of(pool.decide().claimed) == ["b", "c"]
    assert pool.waiting == ["d"]
    assert not pool.pool.enqueue("e", pool.now)


def test_without_a_queue_a_burst_is_served_as_far_as_workers_are_allowed() -> None:
    pool = Driver(spare=1, max=4, queue=0)
    pool.start()
    assert pool.ask("a", "b", "c", "d")[1:] == [None, None, None]
    assert not pool.pool.enqueue("e", pool.now)
    pool.start()
    assert requests_of(pool.decide().claimed) == ["b", "c", "d"]


def test_requests_are_served_in_their_order() -> None:
    pool = busy(2)
    pool.ask(*"abcd")
    workers = list(pool.pool.workers.values())
    pool.pool.release(workers[1], pool.now)
    assert requests_of(pool.decide().claimed) == ["a"]
    pool.pool.release(workers[0], pool.now)
    pool.pool.release(workers[1], pool.now)
    assert requests_of(pool.decide().claimed) == ["b", "c"]


def test_who_waited_too_long_is_told_so_in_order() -> None:
    pool = busy(1, queue_timeout=5.0)
    pool.ask("a")
    pool.now += 1
    pool.ask("b", "c")
    pool.now += 3.9
    assert pool.decide().expired == []
    assert pool.pool.next_deadline(pool.now) == 1005.0
    pool.now = 1005.0
    assert pool.decide().expired == ["a"]
    assert pool.pool.next_deadline(pool.now) == 1006.0
    pool.now = 1010.0
    assert pool.decide().expired == ["b", "c"]
    assert pool.waiting == []


def test_who_left_is_forgotten() -> None:
    pool = busy(1)
    pool.ask("a", "b", "c")
    pool.pool.withdraw("b")
    pool.pool.withdraw("b")
    pool.pool.withdraw("never came")
    assert pool.waiting == ["a", "c"]


def test_a_request_is_known_by_identity_not_by_what_it_says() -> None:
    pool = busy(1)
    first, second = (str(b"same", "ascii") for _ in range(2))
    assert first == second
    assert first is not second
    pool.ask(first, second)
    pool.pool.withdraw(second)
    assert pool.pool.waiting[0].request is first


def test_who_left_before_the_worker_came_leaves_it_as_a_spare() -> None:
    pool = Driver(spare=0, idle_timeout=10.0)
    pool.ask("a")
    (worker,) = pool.decide().spawn
    pool.pool.withdraw("a")
    pool.ready(worker)
    assert pool.decide().claimed == []
    assert pool.count("idle") == 1
    pool.now += 11
    assert pool.decide().retire == [worker]


@pytest.mark.parametrize("spare", [0, 1])
def test_a_function_that_dies_at_every_start_refuses_who_waits(spare: int) -> None:
    pool = Driver(spare=spare)
    pool.ask("a", "b")
    refused = []
    for _ in range(3):
        pool.now = max(pool.now, pool.pool.backoff.retry_at)
        assert pool.decide().spawn
        pool.fail_start()
        refused.append(pool.decide().hopeless)
    assert refused == [[], [], ["a", "b"]]
    assert pool.waiting == []
    pool.ask("c")
    assert pool.decide().hopeless == ["c"]


@pytest.mark.parametrize("spare", [0, 1])
def test_a_hopeless_function_is_tried_again_when_its_time_comes(spare: int) -> None:
    pool = Driver(spare=spare)
    pool.ask("a")
    for _ in range(5):
        pool.now = max(pool.now, pool.pool.backoff.retry_at)
        pool.ask("b")
        decision = pool.decide()
        assert decision.spawn
        assert decision.hopeless == []
        pool.fail_start()
        pool.decide()
    pool.now = pool.pool.backoff.retry_at
    pool.ask("c")
    pool.start()  # it has been mended
    assert requests_of(pool.decide().claimed) == ["c"]


def test_who_waits_is_not_refused_while_a_worker_is_there() -> None:
    pool = Driver(spare=1, max=2, requests=0)
    (worker,) = pool.start()
    pool.claim("a")
    pool.ask("b", "c")
    for _ in range(4):
        pool.now = max(pool.now, pool.pool.backoff.retry_at)
        pool.decide()
        pool.fail_start()
        assert pool.decide().hopeless == []
    assert pool.pool.backoff.hopeless
    pool.pool.release(worker, pool.now)
    assert requests_of(pool.decide().claimed) == ["b"]
    assert not pool.pool.backoff.hopeless
