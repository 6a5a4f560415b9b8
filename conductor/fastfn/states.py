"""The life of a worker, as a table.

Every pair of a state and an event is either a move written here or illegal; an
illegal pair raises and changes nothing. Whoever changes a worker's state asks
``next_state``, so that what a pool counts is what the table allows.
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """Where a worker stands."""

    STARTING = "starting"  # asked for, not there yet
    IDLE = "idle"  # ready: a spare
    BUSY = "busy"  # answers a request
    ENDING = "ending"  # takes nothing more, its exit is awaited
    GONE = "gone"  # its process is reaped

    __hash__ = object.__hash__  # Enum's own hashes the name, in Python, on the hot path


class Event(enum.Enum):
    """What can happen to a worker."""

    SPAWNED = "spawned"  # its process runs and its descriptors are here
    CLAIMED = "claimed"  # it was given a request
    RELEASED = "released"  # it answered, and can take another request
    RETIRED = "retired"  # it shall not take another request
    EXITED = "exited"  # its process ended

    __hash__ = object.__hash__  # as above


class IllegalTransitionError(Exception):
    """An event came to a worker that its state does not know."""


NEXT: dict[tuple[State, Event], State] = {
    (State.STARTING, Event.SPAWNED): State.IDLE,
    (State.STARTING, Event.RETIRED): State.ENDING,
    (State.STARTING, Event.EXITED): State.GONE,
    (State.IDLE, Event.CLAIMED): State.BUSY,
    (State.IDLE, Event.RETIRED): State.ENDING,
    (State.IDLE, Event.EXITED): State.GONE,
    (State.BUSY, Event.RELEASED): State.IDLE,
    (State.BUSY, Event.RETIRED): State.ENDING,
    (State.BUSY, Event.EXITED): State.GONE,
    (State.ENDING, Event.SPAWNED): State.ENDING,  # it was retired while it started
    (State.ENDING, Event.RETIRED): State.ENDING,  # retired for a second reason
    (State.ENDING, Event.EXITED): State.GONE,
}


def next_state(state: State, event: Event) -> State:
    """Return where ``event`` leads from ``state``, or raise IllegalTransitionError."""
    try:
        return NEXT[state, event]
    except KeyError:
        raise IllegalTransitionError(f"{event.value} while {state.value}") from None
