"""The one place where the adapter waits: for descriptors, a deadline or a signal.

``select.poll`` and not the selectors module, because POLLRDHUP tells that a client
has gone while nothing is read from it, and because descriptors with nothing to do
still report hang-ups. Interest is told anew for each wait: it follows from the
state of the exchange, and there is no second copy of it to keep right.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress

POLLIN, POLLOUT, POLLRDHUP = select.POLLIN, select.POLLOUT, select.POLLRDHUP
POLLGONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


class TimedOutError(Exception):
    """The deadline has passed."""


class StoppedError(Exception):
    """A signal asked this process to end."""


class Waiter:
    """Waits until one deadline, ``timeout`` seconds from its making; 0 means none."""

    __slots__ = ("_deadline", "_signals")

    def __init__(self, timeout: float, signals: int | None = None) -> None:
        self._deadline = time.monotonic() + timeout if timeout else None
        self._signals = signals

    def wait(self, interest: dict[int, int], until: float | None = None) -> dict[int, int]:
        """Return the descriptors with something to do and their events.

        Empty when ``until`` (of time.monotonic) has come. Raises TimedOutError at the
        deadline and StoppedError after a signal.
        """
        poll = select.poll()
        for descriptor, events in interest.items():
            poll.register(descriptor, events)
        if self._signals is not None:
            poll.register(self._signals, POLLIN)
        ready = dict(poll.poll(self._milliseconds(until)))
        if self._signals in ready:
            raise StoppedError
        if not ready and self._deadline is not None and time.monotonic() >= self._deadline:
            raise TimedOutError
        return ready

    def _milliseconds(self, until: float | None) -> float | None:
        ends = [moment for moment in (until, self._deadline) if moment is not None]
        # One more, for poll counts whole milliseconds and must not wake early.
        return max(0, min(ends) - time.monotonic()) * 1000 + 1 if ends else None


def catch_signals() -> int:
    """Turn SIGTERM, SIGINT and SIGHUP into bytes on a descriptor, and return it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _ignore)
    return reading


def _ignore(_number: int, _frame: object) -> None:
    """Do nothing: the byte on the descriptor tells."""


def read_nowait(descriptor: int, size: int) -> bytes | None:
    """Return what a ready descriptor holds, b"" at its end, None where it held nothing."""
    with suppress(BlockingIOError):
        return os.read(descriptor, size)
    return None
