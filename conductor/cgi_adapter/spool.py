"""A request body on its way to the program: first in, first out, bounded in memory.

A chunked body has no length, and CGI wants one (RFC 3875 §4.1.2), so it is spooled
whole before the program starts. A body of known length only passes through here,
unless both sides wait for each other; then this is where it goes.
"""

from __future__ import annotations

import os
from typing import IO

MEMORY = 1024 * 1024  # bytes; a longer body goes to a temporary file
PIECE = 64 * 1024  # bytes that `peek` returns at most


class Spool:
    """Bytes that wait, in memory while they are few, else in an unnamed temporary file."""

    __slots__ = ("_file", "_memory", "_read", "_written")

    def __init__(self) -> None:
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._read = 0  # how much of the file was consumed
        self._written = 0

    def __repr__(self) -> str:
        return f"<Spool {self.size} bytes in {'memory' if self._file is None else 'a file'}>"

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return len(self._memory) if self._file is None else self._written - self._read

    def append(self, data: bytes | bytearray) -> None:
        """Add ``data`` at the end. Raises OSError where the disk is full."""
        if self._file is None:
            self._memory += data
            if len(self._memory) > MEMORY:
                self._move_to_file()
        else:
            self._write(self._file, data)

    def peek(self) -> bytes:
        """Return the next bytes, which stay until they are consumed; empty when none wait."""
        if self._file is None:
            return bytes(self._memory[:PIECE])
        return os.pread(self._file.fileno(), PIECE, self._read)

    def consume(self, count: int) -> None:
        """Forget the first ``count`` bytes."""
        if self._file is None:
            del self._memory[:count]
            return
        self._read += count
        if self._read == self._written:
            self.close()

    def close(self) -> None:
        """Forget everything, the file too."""
        self._memory.clear()
        self._read = self._written = 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def _move_to_file(self) -> None:
        import tempfile  # noqa: PLC0415 - costs milliseconds of every start, and few bodies are long

        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the spool
        self._write(self._file, self._memory)
        self._memory.clear()

    def _write(self, file: IO[bytes], data: bytes | bytearray) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(file.fileno(), view, self._written)
            self._written += count
            view = view[count:]
