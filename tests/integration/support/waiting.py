"""Waiting for a condition, with a deadline; nothing in the tests sleeps and hopes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 15.0  # seconds: far more than anything takes, on a machine that is busy too
_POLL = 0.01  # seconds between two looks


def wait_until(
    condition: Callable[[], T], what: str, deadline: float = DEADLINE, poll: float = _POLL
) -> T:
    """Return the first true value of ``condition``; fail after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not in {deadline:g} s: {what}; last seen: {value!r}")
        time.sleep(poll)
