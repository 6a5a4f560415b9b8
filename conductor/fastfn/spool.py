"""A request's body kept until its length is known: in memory, then in a nameless file.

CGI needs CONTENT_LENGTH before the program starts (RFC 3875 §4.1.2), and a body
in chunks has none. A file in the temporary directory takes what is over 1 MiB;
it has no name, so nobody else opens it and nothing is left behind.
"""

from __future__ import annotations

import tempfile

_IN_MEMORY = 1024 * 1024  # bytes
MAX_SPOOL = 4 * 1024**3  # bytes, where the function sets no limit of its own


class SpoolFullError(Exception):
    """The body is over its limit: 413."""


class Spool:
    """Written first, then read from its start."""

    __slots__ = ("_file", "_limit", "size")

    def __init__(self, limit: int) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # lives as long as its exchange
        self._limit = limit or MAX_SPOOL
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add ``data``; raises SpoolFullError, and OSError when the disk is full."""
        self.size += len(data)
        if self.size > self._limit:
            raise SpoolFullError
        self._file.write(data)

    def rewind(self) -> None:
        """Go to the start, to read."""
        self._file.seek(0)

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes at most; nothing at the end."""
        return self._file.read(size)

    def close(self) -> None:
        """Give the memory or the file back."""
        self._file.close()
