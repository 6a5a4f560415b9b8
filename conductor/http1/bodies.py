r"""Bodies: how the bytes after a head are cut, and how a body is put into chunks.

A reader is fed whatever arrived and returns the payload and what lies beyond the
message's end. It never holds payload back, so a body streams with the memory of
one read. Chunks are decoded and framed anew rather than passed on: chunk
extensions and trailers (RFC 9112 §7.1) reach nobody who could read them
differently.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from conductor.http1.errors import ProtocolError

_MAX_LINE = 4096  # bytes of a chunk's size line with its extensions, or of one trailer
_MAX_TRAILERS = 16384  # bytes of all trailers together
_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]{0,%d}+)?\r\n" % (_MAX_LINE - 16)
)
# A trailer that would change the framing afterwards is nobody's honest work (RFC 9110 §6.5.1).
_TRAILER_LINE = re.compile(
    rb"(?!(?i:content-length|transfer-encoding|host):)"
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+"
)

LAST_CHUNK = b"0\r\n\r\n"


def encode_chunk(data: bytes) -> bytes:
    """Return ``data`` (not empty: an empty chunk ends the body) as one chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class LengthReader:
    """A body of a known number of bytes."""

    __slots__ = ("remaining",)

    def __init__(self, length: int) -> None:
        self.remaining = length

    @property
    def complete(self) -> bool:
        """Whether the whole body was read."""
        return self.remaining == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the payload in ``data`` and what follows the body."""
        size = len(data)
        if size <= self.remaining:
            self.remaining -= size
            return data, b""
        cut, self.remaining = self.remaining, 0
        return data[:cut], data[cut:]


class UntilCloseReader:
    """A response's body that ends with its connection; only end of file completes it."""

    __slots__ = ()
    complete = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return all of ``data`` as payload."""
        return data, b""


class ChunkedReader:
    """A body in chunks (RFC 9112 §7.1), decoded."""

    __slots__ = ("_buffer", "_remaining", "_state", "_trailers", "complete")

    def __init__(self) -> None:
        self.complete = False
        self._buffer = b""
        self._remaining = 0
        self._state: Callable[[bytes, int, list[bytes]], int] = self._read_size
        self._trailers = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the payload in ``data`` and what follows the body; raises ProtocolError."""
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        payload: list[bytes] = []
        position = 0
        while not self.complete:
            after = self._state(data, position, payload)
            if after < 0:
                self._buffer = data[position:]
                return b"".join(payload), b""
            position = after
        return b"".join(payload), data[position:]

    def _read_size(self, data: bytes, position: int, payload: list[bytes]) -> int:
        """Read a size; and every chunk that is here whole, because they may be tiny and many."""
        begin = position
        while match := _SIZE_LINE.match(data, position):
            start = match.end()
            size = int(match[1], 16)
            end = start + size
            if size == 0:
                self._state = self._read_trailer
                return start
            if data[end : end + 2] != b"\r\n":
                self._remaining = size
                self._state = self._read_data
                return start
            payload.append(data[start:end])
            position = end + 2
        if position > begin:
            return position
        if _line_end(data, position) >= 0:
            raise ProtocolError("malformed chunk size")
        return -1

    def _read_data(self, data: bytes, position: int, payload: list[bytes]) -> int:
        available = len(data) - position
        if available == 0:
            return -1
        size = min(available, self._remaining)
        payload.append(data[position : position + size])
        self._remaining -= size
        if self._remaining == 0:
            self._state = self._read_data_end
        return position + size

    def _read_data_end(self, data: bytes, position: int, _payload: list[bytes]) -> int:
        ending = data[position : position + 2]
        if ending == b"\r\n":
            self._state = self._read_size
            return position + 2
        if ending not in (b"", b"\r"):
            raise ProtocolError("a chunk is longer than its size")
        return -1

    def _read_trailer(self, data: bytes, position: int, _payload: list[bytes]) -> int:
        end = _line_end(data, position)
        if end < 0:
            return -1
        line = data[position:end]
        self._trailers += len(line)
        if self._trailers > _MAX_TRAILERS:
            raise ProtocolError("the trailers are over 16 KiB", 431)
        if not line:
            self.complete = True
        elif not _TRAILER_LINE.fullmatch(line):
            raise ProtocolError("malformed trailer")
        return end + 2


def _line_end(data: bytes, position: int) -> int:
    """Return where the CRLF of the line at ``position`` is, or -1 while it has none."""
    end = data.find(b"\r\n", position, position + _MAX_LINE + 2)
    if end < 0:
        if len(data) - position > _MAX_LINE + 1:
            raise ProtocolError("a line of a chunked body is too long")
        if data.find(b"\n", position) >= 0:
            raise ProtocolError("bare LF in a chunked body")
    return end


BodyReader = LengthReader | ChunkedReader | UntilCloseReader
