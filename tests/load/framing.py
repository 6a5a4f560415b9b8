"""Where an answer ends: the least of HTTP/1.1 that a load generator must know.

Only what Caddy sends to a client that asks plainly is understood: a length or
chunks (RFC 9112 §6), no answers that end with the connection, no 1xx, no
trailers. Everything else raises FramingError and is counted as a failure, so
that a gap here shows in the figures and hides nothing. No I/O and no state:
the caller keeps the bytes and asks again when more have come. That would be
quadratic for large bodies; those of the load tests fit in one read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_ANSWER = 1024 * 1024  # bytes of head and body together

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ?[^\r\n]*\Z")
_DIGITS = re.compile(rb"[0-9]{1,9}\Z")
_HEXADECIMAL = re.compile(rb"[0-9a-fA-F]{1,7}\Z")
_BODILESS = (204, 304)


class FramingError(ValueError):
    """The bytes are no answer that this module knows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    keep_alive: bool  # the connection may be used again


def read_answer(data: bytes) -> Answer | None:
    """Return the answer that ``data`` is, or None while its end has not come.

    Bytes after the end are an error: nothing more was asked for. Raises
    FramingError.
    """
    if len(data) > MAX_ANSWER:
        raise FramingError("longer than a load test's answer")
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    status_line, *lines = head.split(b"\r\n")
    match = _STATUS_LINE.match(status_line)
    if match is None:
        raise FramingError(f"unknown status line {status_line[:80]!r}")
    status, fields = int(match[1]), _fields(lines)
    body = b"" if status in _BODILESS else _body(fields, rest)
    if body is None:
        return None
    if status in _BODILESS and rest:
        raise FramingError("bytes after the answer")
    return Answer(status, body, b"close" not in fields.get(b"connection", b"").lower())


def _fields(lines: list[bytes]) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or line[:1] in b" \t":
            raise FramingError(f"unknown header line {line[:80]!r}")
        key = name.lower()
        if key in fields and key in (b"content-length", b"transfer-encoding"):
            raise FramingError("framed twice")
        fields[key] = value.strip(b" \t")
    return fields


def _body(fields: dict[bytes, bytes], rest: bytes) -> bytes | None:
    length = fields.get(b"content-length")
    coding = fields.get(b"transfer-encoding")
    if (length is None) == (coding is None):
        raise FramingError("neither a length nor chunks, or both")
    if coding is not None:
        if coding.lower() != b"chunked":
            raise FramingError(f"unknown transfer coding {coding[:80]!r}")
        return _chunks(rest)
    if length is None or not _DIGITS.match(length):
        raise FramingError("unknown length")
    if len(rest) > int(length):
        raise FramingError("bytes after the answer")
    return rest if len(rest) == int(length) else None


def _chunks(rest: bytes) -> bytes | None:
    body, position = b"", 0
    while (end := rest.find(b"\r\n", position)) >= 0:
        size = rest[position:end]
        if not _HEXADECIMAL.match(size):
            raise FramingError(f"unknown chunk size {size[:80]!r}")
        start, stop = end + 2, end + 2 + int(size, 16)
        if len(rest) < stop + 2:
            return None
        if rest[stop : stop + 2] != b"\r\n":
            raise FramingError("a chunk that does not end where it says")
        body, position = body + rest[start:stop], stop + 2
        if stop == start:
            if position != len(rest):
                raise FramingError("bytes after the answer")
            return body
    return None
