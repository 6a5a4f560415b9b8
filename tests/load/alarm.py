"""A clock that wakes the event loop within microseconds of a planned moment.

libuv's timers (and select's) count whole milliseconds, and latency is measured
from the planned moment: through them the generator would add up to a
millisecond of its own to answers that take one or two. Linux's timerfd keeps
nanoseconds and is a descriptor like any other. ``os.timerfd_create`` came with
Python 3.13, so it is called through ctypes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from typing import TYPE_CHECKING

from tests.load.timetable import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

_ABSOLUTE = 1  # TFD_TIMER_ABSTIME, timerfd_create(2)
_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Alarm:
    """Calls ``wake`` on the running loop when the moment last set has come."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        flags = os.O_NONBLOCK | os.O_CLOEXEC  # What TFD_NONBLOCK and TFD_CLOEXEC are defined as.
        self._descriptor = _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, flags))
        self._loop.add_reader(self._descriptor, self._fired)

    def set(self, moment: int) -> None:
        """Wake at ``moment`` on ``time.monotonic_ns``'s clock, at once when it is past."""
        seconds, nanoseconds = divmod(max(moment, 1), NANOSECONDS)  # All zero would disarm it.
        value = _Itimerspec(_Timespec(0, 0), _Timespec(seconds, nanoseconds))
        _checked(_libc.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(value), None))

    def close(self) -> None:
        """Forget the moment and free the descriptor."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _fired(self) -> None:
        # Set again meanwhile, the timer has nothing to read, and its time will come.
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 8)
            self._wake()


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
