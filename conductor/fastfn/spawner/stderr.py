"""What workers write to standard error, relayed line by line with the worker's number.

Each worker has a pipe of its own, so that a line names who wrote it and a death
can be told with its last words. What is relayed is bounded in length and in
lines a second; what is over that is counted and the count is relayed.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from conductor.fastfn.wire import Message

_MAX_LINE = 8192  # bytes, longer lines are cut
_LINES_A_SECOND = 500
_READ = 65536  # bytes


class StderrRelay:
    """The read ends of the workers' standard errors."""

    def __init__(self, poll: select.epoll, send: Callable[[Message], None]) -> None:
        self._poll = poll
        self._send = send
        self._sources: dict[int, tuple[int, bytes]] = {}  # fd: worker, unfinished line
        self._fds: dict[int, int] = {}  # worker: fd
        self._second = 0
        self._lines = 0

    def add(self, fd: int, worker: int) -> None:
        """Relay what comes from ``fd`` as ``worker``'s; 0 is nobody's in particular."""
        os.set_blocking(fd, False)
        self._sources[fd] = (worker, b"")
        self._fds[worker] = fd
        self._poll.register(fd, select.EPOLLIN)

    def drain(self, worker: int) -> None:
        """Relay all that ``worker``, which has ended, left behind."""
        fd = self._fds.get(worker)
        while fd is not None and self.read(fd):
            pass

    def read(self, fd: int) -> bool:
        """Relay what is there; False when there is nothing more for now, or ever."""
        if fd not in self._sources:  # ended by an earlier event of the same round
            return False
        worker, unfinished = self._sources[fd]
        try:
            data = os.read(fd, _READ)
        except BlockingIOError:
            return False
        *lines, rest = (unfinished + data).split(b"\n")
        if not data:
            lines, rest = [rest] if rest else [], b""
        elif len(rest) > _MAX_LINE:
            lines.append(rest)
            rest = b""
        self._sources[fd] = (worker, rest)
        if lines:
            self._relay(worker, lines)
        if not data:
            self._remove(fd, worker)
        return bool(data)

    def _remove(self, fd: int, worker: int) -> None:
        self._poll.unregister(fd)
        os.close(fd)
        del self._sources[fd]
        if self._fds.get(worker) == fd:
            del self._fds[worker]

    def _relay(self, worker: int, lines: list[bytes]) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        allowed = max(0, _LINES_A_SECOND - self._lines)
        self._lines += len(lines)
        texts = [line[:_MAX_LINE].decode(errors="replace") for line in lines[:allowed]]
        if len(lines) > allowed > 0:
            texts.append(f"(more than {_LINES_A_SECOND} lines a second; some are left out)")
        for start in range(0, len(texts), 16):  # 16 of the longest lines fit a packet
            batch = texts[start : start + 16]
            self._send({"op": "stderr", "worker": worker, "lines": batch})
