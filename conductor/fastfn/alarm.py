"""One timer for many deadlines: whoever has one says it, and the earliest rings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_NEVER = float("inf")


class Alarm:
    """Calls ``ring`` at the earliest deadline it was told; it is told them anew after that."""

    __slots__ = ("_at", "_loop", "_ring", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._at = _NEVER

    def wake_by(self, deadline: float) -> None:
        """Ring at ``deadline`` (seconds, monotonic) at the latest."""
        if deadline >= self._at:
            return
        self.cancel()
        self._at = deadline
        delay = max(0.0, deadline - time.monotonic())
        self._timer = self._loop.call_later(delay, self._on_timer)

    def cancel(self) -> None:
        """Forget all deadlines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._at = _NEVER

    def _on_timer(self) -> None:
        self._timer = None
        self._at = _NEVER
        self._ring()
