"""Every state of a worker answers every event: it moves, it stays, or it refuses."""

from __future__ import annotations

import itertools
from contextlib import nullcontext

import pytest

from conductor.fastfn.pool import Pool, Worker
from conductor.fastfn.spec import Limits, Processes
from conductor.fastfn.states import NEXT, Event, IllegalTransitionError, State, next_state

# Written out a second time on purpose: whoever changes the table says so here too.
# Columns: SPAWNED, CLAIMED, RELEASED, RETIRED, EXITED; "-" is illegal.
TABLE = {
    State.STARTING: "idle     -     -     ending  gone",
    State.IDLE: "    -        busy  -     ending  gone",
    State.BUSY: "    -        -     idle  ending  gone",
    State.ENDING: "  ending   -     -     ending  gone",
    State.GONE: "    -        -     -     -       -",
}
PAIRS = list(itertools.product(State, Event))


def wanted(state: State, event: Event) -> State | None:
    word = dict(zip(Event, TABLE[state].split(), strict=True))[event]
    return None if word == "-" else State(word)


def pool_with(state: State) -> tuple[Pool[str], Worker[str]]:
    """Return a pool and a worker of it that got to ``state`` as workers do."""
    pool: Pool[str] = Pool(Processes(spare=1, max=1), Limits(requests=5))
    (worker,) = pool.decide(100.0).spawn
    if state in (State.IDLE, State.BUSY):
        pool.spawned(worker, 7, 100.0)
    if state is State.BUSY:
        assert pool.claim_nowait("request", 100.0) is worker
    if state in (State.ENDING, State.GONE):
        pool.retire(worker)
    if state is State.GONE:
        pool.exited(worker, 100.0)
    assert worker.state is state
    return pool, worker


def happen(pool: Pool[str], worker: Worker[str], event: Event) -> None:
    match event:
        case Event.SPAWNED:
            pool.spawned(worker, 8, 101.0)
        case Event.CLAIMED:
            assert pool.claim_nowait("other", 101.0) in (worker, None)
        case Event.RELEASED:
            pool.release(worker, 101.0)
        case Event.RETIRED:
            pool.retire(worker)
        case Event.EXITED:
            pool.exited(worker, 101.0)


def snapshot(pool: Pool[str], worker: Worker[str]) -> dict[str, object]:
    """Return all that an event could change."""
    values = {name: getattr(worker, name) for name in Worker.__slots__}
    backoff = (pool.backoff.deaths, pool.backoff.retry_at)
    return values | {"pool": repr(pool), "workers": dict(pool.workers), "backoff": backoff}


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_pair_is_a_move_or_illegal(state: State, event: Event) -> None:
    after = wanted(state, event)
    if after is None:
        with pytest.raises(IllegalTransitionError, match=f"^{event.value} while {state.value}$"):
            next_state(state, event)
    else:
        assert next_state(state, event) is after


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_a_pool_moves_its_worker_or_changes_nothing(state: State, event: Event) -> None:
    pool, worker = pool_with(state)
    before = snapshot(pool, worker)
    after = wanted(state, event)
    if after is None:
        claims = event is Event.CLAIMED  # a pool gives no request to a worker that is not idle
        with nullcontext() if claims else pytest.raises(IllegalTransitionError):
            happen(pool, worker, event)
        assert snapshot(pool, worker) == before
    else:
        happen(pool, worker, event)
        assert worker.state is after
        assert (worker.id in pool.workers) == (after is not State.GONE)


def test_no_state_can_be_left_behind() -> None:
    for state in State:
        if state is not State.GONE:
            assert NEXT[state, Event.EXITED] is State.GONE
