"""What a CGI program prints, read as an HTTP response head (RFC 3875 §6).

A codec: bytes are fed in, a ResponseHead comes out, and what is no head raises
CgiError(502) with a sentence for the program's owner. Bodies are not looked at.
Output is read strictly, since it goes on to a client, but what real programs do and
other servers allow is allowed:

- Lines end with LF or CRLF; an empty one ends the head, which may hold 64 KiB. A
  head without any header is fine, and so is one without Content-Type.
- ``Status: 404`` with or without a reason, 200 to 599. Anything else is refused, 1xx
  too: a program has one response. A first line ``HTTP/1.x 404 Not Found`` means the
  same, and both together have to agree.
- ``Location`` makes the status 302 unless one is given. A path alone (no Status, no
  other header of the program's) is a local redirect: ``local_redirect`` tells it, and
  the head is a 302 to it for whoever cannot follow. ``//host/path`` and a path with
  a fragment are for the client to follow.
- Status, Location, Content-Type and Content-Length have one value: repeats that
  differ are refused, equal ones become one. All else is kept, Set-Cookie repeats too.
- Folded lines, names that are no token, control characters, bare CR: refused. Output
  before any header is refused as soon as its first line is there.
- Headers about the connection (Connection, Transfer-Encoding, ...) are dropped: the
  connection is the server's (§6.3.4), and so is Content-Length on a 204.
- ``response_headers`` come first, as if the program had printed them; of the four
  above the program's own wins. With ``no_response_headers`` they are the whole head
  and the program prints nothing but the body, which may be empty.
- A non-parsed-header program (``nph-*``, §5) has to begin with a status line. What it
  says before as 1xx is dropped. It may not use Transfer-Encoding: its body goes on in
  the server's own framing. Its Location changes no status, since it gave one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from conductor.cgi_adapter.errors import CgiError
from conductor.http1.heads import MAX_HEAD
from conductor.http1.messages import Headers, ResponseHead, get_header

_HEAD_END = re.compile(rb"(?:\A|\n)\r?\n")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9])[ \t]+([1-5][0-9]{2}(?:[ \t].*)?)")
_STATUS = re.compile(rb"([1-5][0-9]{2})(?:[ \t]+([\t\x20-\x7e\x80-\xff]*))?")
_LENGTH = re.compile(rb"([0-9]{1,18})(?:[ \t]*,[ \t]*\1)*")
_SINGLE = {
    b"content-type": b"Content-Type",
    b"content-length": b"Content-Length",
    b"location": b"Location",
    b"status": b"Status",
}
_CONNECTION = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
_QUOTED = 60  # bytes of a program's line that an error shows


class ResponseReader:
    """Finds and reads the head of one program's output."""

    __slots__ = (
        "_bare",
        "_buffer",
        "_declared",
        "_nph",
        "_searched",
        "_started",
        "local_redirect",
        "rest",
    )

    rest: bytes  # what came after the head: the beginning of the body
    local_redirect: bytes | None  # path and query to answer with instead (RFC 3875 §6.2.2)

    def __init__(self, *, response_headers: Headers, no_response_headers: bool, nph: bool) -> None:
        self._declared = response_headers
        self._bare = no_response_headers
        self._nph = nph
        self._buffer = b""
        self._searched = 0  # how much of the buffer cannot hold the start of the head's end
        self._started = False  # whether the first line was checked
        self.rest = b""
        self.local_redirect = None

    def __repr__(self) -> str:
        return f"<ResponseReader {len(self._buffer)} bytes waiting>"

    def feed(self, data: bytes) -> ResponseHead | None:
        """Return the head once it is complete; not to be called again after that.

        Raises CgiError with status 502.
        """
        if self._bare:
            self.rest = data
            return self._head([], None)
        self._buffer += data
        while match := _HEAD_END.search(self._buffer, self._searched, MAX_HEAD):
            block, self.rest = self._buffer[: match.start()], self._buffer[match.end() :]
            head = self._read(block)
            if head is not None:
                return head
            self._buffer, self._searched, self._started = self.rest, 0, False
        if not self._started:
            self._check_start(at_end=False)
        if len(self._buffer) > MAX_HEAD:
            raise CgiError(502, "the program's response head is over 64 KiB")
        self._searched = max(0, len(self._buffer) - 2)
        return None

    def finish(self) -> ResponseHead:
        """Return the head at the output's end, where no head was complete before.

        Only a program that need not print one gets here without CgiError(502).
        """
        if self._bare:
            return self._head([], None)
        if not self._buffer:
            raise CgiError(502, "the program ended without printing a response")
        self._check_start(at_end=True)
        raise CgiError(502, "the program ended before the empty line that ends its headers")

    def _check_start(self, *, at_end: bool) -> None:
        """Refuse output that does not begin with a header while more may still come."""
        end = self._buffer.find(b"\n", 0, MAX_HEAD)
        if end >= 0 or at_end:
            self._started = True
            self._read_start(_chomp(self._buffer[: end if end >= 0 else MAX_HEAD]))

    def _read_start(self, line: bytes) -> re.Match[bytes] | None:
        """Return the status line, or None for a header line."""
        match = _STATUS_LINE.fullmatch(line)
        if match is None and (self._nph or not _FIELD.fullmatch(line)):
            wanted = "a status line" if self._nph else "a header such as Content-Type: text/plain"
            raise CgiError(502, f"the program's output begins with {_quote(line)}, not {wanted}")
        return match

    def _read(self, block: bytes) -> ResponseHead | None:
        """Return the head that ``block`` is, or None for an interim one."""
        lines = [_chomp(line) for line in block.split(b"\n")] if block else []
        status_line = self._read_start(lines[0] if lines else b"") if lines or self._nph else None
        if status_line is not None:
            del lines[0]
            if self._nph and status_line[2].startswith(b"1") and status_line[2][:3] != b"101":
                return None
        try:
            own = [_parse_field(line) for line in lines]
            if self._nph and get_header(own, b"transfer-encoding") is not None:
                raise ValueError("an nph program may not use Transfer-Encoding")  # noqa: TRY301 - told like the others
            return self._head(own, status_line)
        except ValueError as error:
            raise CgiError(502, f"the program's response head is malformed: {error}") from None

    def _head(self, own: Headers, status_line: re.Match[bytes] | None) -> ResponseHead:
        if status_line is not None:
            own = [(b"Status", status_line[2].strip(b" \t")), *own]
        elif len(own) == 1 and own[0][0].lower() == b"location" and _is_local(own[0][1]):
            self.local_redirect = own[0][1]
        head = _compose(self._declared, own)
        head.http10 = self._nph and status_line is not None and status_line[1] == b"0"
        return head


def parse_header_lines(lines: Iterable[str]) -> Headers:
    """Return the headers that a declaration's ``response_headers`` are.

    Raises ValueError with a sentence where a line is no header, where it is about
    the connection, or where the lines contradict each other.
    """
    headers = [_parse_field(line.encode()) for line in lines]
    for name, _ in headers:
        if name.lower() in _CONNECTION:
            raise ValueError(f"{name.decode()} is for the server to set, not for a function")
    _compose([], headers)
    return headers


def _chomp(line: bytes) -> bytes:
    return line[:-1] if line[-1:] == b"\r" else line


def _parse_field(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise ValueError(_why_no_field(line))
    return match[1], match[2].strip(b" \t")


def _why_no_field(line: bytes) -> str:
    shown = _quote(line)
    if line[:1] in (b" ", b"\t"):
        return f"the line {shown} is folded onto the one before it (RFC 9112 §5.2)"
    name, colon, _ = line.partition(b":")
    if not colon:
        return f"the line {shown} has no colon; write it like Content-Type: text/plain"
    if not _FIELD.fullmatch(name + colon):
        return f"the line {shown} has no valid header name before its colon"
    return f"the value in the line {shown} holds a control character"


def _quote(line: bytes) -> str:
    """Return the start of ``line`` in printable form."""
    shown = line[:_QUOTED].decode("utf-8", "backslashreplace")
    return repr(shown) + ("..." if len(line) > _QUOTED else "")


def _is_local(location: bytes) -> bool:
    return location[:1] == b"/" and location[:2] != b"//" and b"#" not in location


def _compose(declared: Headers, own: Headers) -> ResponseHead:
    """Return the head of ``declared`` and ``own`` headers, or raise ValueError."""
    single = _single_valued(declared) | _single_valued(own)
    location = single.get(b"location")
    if location == b"":
        raise ValueError("Location is empty")
    status, reason = _parse_status(single.pop(b"status", b"200" if location is None else b"302"))
    if status == 204:
        single.pop(b"content-length", None)  # RFC 9110 §8.6
    headers = [(_SINGLE[key], value) for key, value in single.items()]
    for field in (*declared, *own):
        key = field[0].lower()
        if key not in _SINGLE and key not in _CONNECTION:
            headers.append(field)
    return ResponseHead(status, reason, headers)


def _single_valued(headers: Headers) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        key = name.lower()
        if key in _SINGLE:
            checked = _parse_length(value) if key == b"content-length" else value
            if found.setdefault(key, checked) != checked:
                raise ValueError(f"{_SINGLE[key].decode()} is given twice with different values")
    return found


def _parse_length(value: bytes) -> bytes:
    """Return Content-Length's one number; equal repeats in a list are one (RFC 9110 §8.6)."""
    match = _LENGTH.fullmatch(value)
    if match is None:
        raise ValueError(f"Content-Length is {_quote(value)}, not a number of bytes")
    return b"%d" % int(match[1])


def _parse_status(value: bytes) -> tuple[int, bytes]:
    match = _STATUS.fullmatch(value)
    if match is None or value[:1] == b"1":
        raise ValueError(f"Status is {_quote(value)}, not a number from 200 to 599 and a reason")
    return int(match[1]), match[2] or b""
