"""Whatever happens in whatever order, the pool's books are right and it wakes up when it must."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from conductor.fastfn.pool import Decision, Pool, Worker
from conductor.fastfn.spec import Limits, Processes
from conductor.fastfn.states import State

seconds = st.sampled_from([0.0, 0.01, 0.3, 1.0, 4.0, 10.0, 60.0])
some = st.integers(0, 10)
processes = st.builds(
    lambda spare, room, idle: Processes(spare=spare, max=max(1, spare + room), idle_timeout=idle),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([0.0, 2.0]),
)
limits = st.builds(
    Limits,
    requests=st.sampled_from([0, 1, 1, 3, 20]),
    queue=st.sampled_from([0, 1, 3]),
    timeout=st.sampled_from([0.0, 5.0]),
    start_timeout=st.just(8.0),
    queue_timeout=st.just(3.0),
)


class PoolMachine(RuleBasedStateMachine):
    """A deployment that does what a pool tells it, and a world that does what it likes."""

    @initialize(processes=processes, limits=limits)
    def begin(self, processes: Processes, limits: Limits) -> None:
        self.pool: Pool[str] = Pool(processes, limits)
        self.now = 1000.0
        self.asked = 0
        self.open: set[str] = set()  # requests that wait or have a worker
        self.unborn: list[Worker[str]] = []  # asked for, their process not there yet
        self.decided = False  # nothing has happened since the pool decided
        self.decide()

    # The deployment.

    def decide(self) -> Decision[str]:
        decision = self.pool.decide(self.now)
        for worker in decision.claimed:
            assert worker.request in self.open
            assert worker.state is State.BUSY
        self.open -= set(decision.expired) | set(decision.hopeless)
        for worker in decision.late_answer:
            assert worker.request is not None
        self.unborn += decision.spawn
        assert all(worker.state is State.STARTING for worker in decision.spawn)
        assert all(worker.state is State.ENDING for worker in decision.retire + decision.late_start)
        assert self.pool.decide(self.now) == Decision(), "it forgot something"
        self.decided = True
        return decision

    def workers(self, *states: State) -> list[Worker[str]]:
        return [worker for worker in self.pool.workers.values() if worker.state in states]

    def pick(self, number: int, *states: State) -> Worker[str] | None:
        found = self.workers(*states)
        return found[number % len(found)] if found else None

    def reap(self, worker: Worker[str]) -> None:
        if worker in self.unborn:
            self.unborn.remove(worker)
        self.pool.exited(worker, self.now)

    def close_request(self, worker: Worker[str]) -> None:
        assert worker.request is not None
        self.open.remove(worker.request)

    # The world.

    @rule(gap=seconds)
    def time_passes(self, gap: float) -> None:
        self.now += gap
        self.decide()

    @rule()
    def time_passes_to_the_deadline(self) -> None:
        deadline = self.pool.next_deadline(self.now)
        if deadline is not None:
            self.now = max(self.now, deadline)
        self.decide()

    @rule(burst=st.integers(1, 4))
    def requests_come(self, burst: int) -> None:
        for _ in range(burst):
            self.asked += 1
            request = f"request-{self.asked}"
            worker = self.pool.claim_nowait(request, self.now)
            if worker is not None:
                self.open.add(request)
                self.decided = False
                if self.pool.needs_attention():
                    self.decide()
            else:
                if self.pool.enqueue(request, self.now):
                    self.open.add(request)
                self.decide()

    @precondition(lambda self: self.unborn)
    @rule(number=some)
    def a_process_is_there(self, number: int) -> None:
        worker = self.unborn.pop(number % len(self.unborn))
        self.pool.spawned(worker, 100 + worker.id, self.now)
        self.decide()

    @rule(number=some)
    def an_answer_ends(self, number: int) -> None:
        worker = self.pick(number, State.BUSY)
        if worker is None:
            return
        self.close_request(worker)
        if worker.last_request:
            self.pool.retire(worker)
        else:
            self.pool.release(worker, self.now)
        self.decided = False
        if worker.last_request or self.pool.waiting or self.pool.closed:
            self.decide()

    @rule(number=some)
    def a_worker_ends(self, number: int) -> None:
        worker = self.pick(number, State.STARTING, State.IDLE, State.BUSY, State.ENDING)
        if worker is None:
            return
        if worker.state is State.BUSY:
            self.close_request(worker)
        self.reap(worker)
        self.decide()

    @rule(number=some)
    def a_client_leaves(self, number: int) -> None:
        if self.pool.waiting:
            request = self.pool.waiting[number % len(self.pool.waiting)].request
            self.pool.withdraw(request)
            self.open.remove(request)
            self.decided = False

    @precondition(lambda self: self.asked > 10)
    @rule()
    def it_drains(self) -> None:
        self.pool.closed = True
        self.decide()

    # What must hold.

    @invariant()
    def a_worker_is_where_its_state_says(self) -> None:
        pool = self.pool
        places = {
            State.STARTING: [list(pool._starting.values())],
            State.IDLE: [list(pool._idle)],
            State.BUSY: [list(pool._busy.values()), list(pool._exempt.values())],
        }
        for state, collections in places.items():
            found = [worker for collection in collections for worker in collection]
            assert sorted(w.id for w in found) == [w.id for w in self.workers(state)]
        assert all(worker.id == key for key, worker in pool.workers.items())
        assert not self.workers(State.GONE)

    @invariant()
    def the_counts_add_up(self) -> None:
        counts = self.pool.counts()
        assert sum(counts.values()) == len(self.pool.workers) <= self.pool.processes.max
        assert counts["busy"] == self.pool.busy_count
        assert len(self.pool.waiting) <= self.pool.limits.queue + self.pool.processes.max

    @invariant()
    def a_request_is_in_one_place(self) -> None:
        held = [worker.request for worker in self.workers(State.BUSY)]
        held += [waiting.request for waiting in self.pool.waiting]
        assert sorted(str(request) for request in held) == sorted(self.open)
        others = self.workers(State.STARTING, State.IDLE, State.ENDING)
        assert all(worker.request is None for worker in others)

    @invariant()
    def no_worker_answers_more_than_it_may(self) -> None:
        for worker in self.pool.workers.values():
            assert worker.lifetime == 0 or worker.served <= worker.lifetime

    @invariant()
    def what_is_looked_at_first_is_the_oldest(self) -> None:
        pool = self.pool
        for times in (
            [worker.since for worker in pool._idle],
            [worker.since for worker in pool._starting.values()],
            [worker.claimed_at for worker in pool._busy.values()],
            [waiting.deadline for waiting in pool.waiting],
        ):
            assert times == sorted(times)

    @invariant()
    def nobody_waits_beside_an_idle_worker(self) -> None:
        if self.decided:
            assert not (self.pool.waiting and self.workers(State.IDLE))

    @invariant()
    def it_wakes_up_and_does_not_spin(self) -> None:
        if not self.decided:
            return
        pool, deadline = self.pool, self.pool.next_deadline(self.now)
        assert deadline is None or deadline > self.now
        missing = pool._missing(self.now) > 0
        assert not missing or pool.backoff.retry_at > self.now, "it could have started one"
        if missing or pool.waiting or pool._starting or pool.has_surplus:
            assert deadline is not None
        if pool._busy and pool.limits.timeout:
            assert deadline is not None

    def teardown(self) -> None:
        """Check that a pool that is closed comes to its end, whatever has happened to it."""
        self.pool.closed = True
        for _ in range(1000):
            self.decide()
            if not self.pool.workers and not self.pool.waiting:
                break
            if self.unborn:
                self.a_process_is_there(0)
            for worker in self.workers(State.BUSY):
                self.close_request(worker)
                self.pool.retire(worker)
            for worker in self.workers(State.ENDING):
                self.reap(worker)
            self.now += 0.1
        assert self.open == set()
        assert self.pool.next_deadline(self.now) is None
        assert repr(self.pool).startswith("<Pool empty waiting=0")


PoolMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestPool = PoolMachine.TestCase
