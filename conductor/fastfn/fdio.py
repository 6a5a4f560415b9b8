"""Reading and writing a worker's pipes and sockets, on the loop but without transports.

A transport queues what is written until the end of the loop's round and costs a
task to make. Here a write is a write(2) at once, and only what does not fit waits
for the descriptor to become writable.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

READ_SIZE = 65536  # bytes: what a pipe holds


class FdWriter:
    """The writing side of a non-blocking descriptor that somebody else owns."""

    __slots__ = ("_fd", "_loop", "_on_drained", "_on_error", "_waiting")

    def __init__(
        self,
        fd: int,
        loop: asyncio.AbstractEventLoop,
        on_drained: Callable[[], None],
        on_error: Callable[[OSError], None],
    ) -> None:
        self._fd = fd
        self._loop = loop
        self._on_drained = on_drained
        self._on_error = on_error
        self._waiting = b""

    @property
    def waiting(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._waiting)

    def write(self, data: bytes) -> bool:
        """Write ``data``; False when some of it waits, and ``on_drained`` will be called.

        Raises OSError when the other side is gone.
        """
        if self._waiting:
            self._waiting += data
            return False
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        if written == len(data):
            return True
        self._waiting = data[written:]
        self._loop.add_writer(self._fd, self._on_writable)
        return False

    def stop(self) -> None:
        """Forget what waits."""
        if self._waiting:
            self._waiting = b""
            self._loop.remove_writer(self._fd)

    def _on_writable(self) -> None:
        try:
            written = os.write(self._fd, self._waiting)
        except BlockingIOError:
            return
        except OSError as error:
            self.stop()
            self._on_error(error)
            return
        self._waiting = self._waiting[written:]
        if not self._waiting:
            self._loop.remove_writer(self._fd)
            self._on_drained()
