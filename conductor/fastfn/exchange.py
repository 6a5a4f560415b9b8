"""One request and its answer, between a client's connection and a worker's channel.

The connection reads the request and makes the exchange; a deployment finds it a
worker; the worker's channel writes the answer through it. The exchange knows
how the answer must be framed for this client (RFC 9112 §6.3) and makes sure that
it ends exactly once: ``end``, ``fail``, ``abort`` or ``lost``, whichever comes first.
"""

from __future__ import annotations

import http
import time
from typing import TYPE_CHECKING, Protocol

from conductor.http1.bodies import LAST_CHUNK, encode_chunk
from conductor.http1.heads import RequestHead, render_response
from conductor.http1.messages import Headers

if TYPE_CHECKING:
    from conductor.cgi_adapter import CgiRequest
    from conductor.fastfn.gateway import Connection
    from conductor.fastfn.spool import Spool

CLIENT_GONE = 499  # logged only, as nginx has it: nobody is there to be answered

_NO_LENGTH, _LENGTH, _CHUNKED, _CLOSE = range(4)  # how the answer's body is framed
_MONOTONIC = time.monotonic


class Receiver(Protocol):
    """What takes a request's body and can be stopped: a worker's channel."""

    def send_body(self, data: bytes) -> None:
        """Take a part of the request's body; ``b""`` says that it is complete."""

    def pause(self) -> None:
        """Stop reading the answer: the client is slower."""

    def resume(self) -> None:
        """Go on reading the answer."""

    def cancel(self) -> None:
        """End the worker: nobody waits for its answer."""


class Backend(Protocol):
    """What exchanges are given to: a deployment."""

    def withdraw(self, exchange: Exchange) -> None:
        """Forget an exchange that still waits for a worker."""

    def finished(self, exchange: Exchange) -> None:
        """Count and log an exchange that has ended."""


class Exchange:
    """A request, and its answer while it is being written."""

    __slots__ = (
        "_framing",
        "_out",
        "arrived",
        "backend",
        "body_complete",
        "broken",
        "channel",
        "claimed",
        "connection",
        "ended",
        "error",
        "head",
        "pending",
        "redirected",
        "redirects",
        "retries",
        "sent",
        "spool",
        "status",
    )

    def __init__(self, connection: Connection, head: RequestHead) -> None:
        self.connection = connection
        self.head = head
        self.arrived = self.claimed = _MONOTONIC()
        self.ended = 0.0
        self.backend: Backend | None = None
        self.channel: Receiver | None = None
        self.pending = b""  # of the body, arrived before there was a worker
        self.body_complete = True
        self.spool: Spool | None = None
        self.status = 0
        self.sent = 0  # bytes of the answer, heads and framing included
        self.error = ""
        self.retries = 0  # workers that ended before they read it
        self.broken = False  # the answer ended before its end
        self.redirects = 0
        self.redirected: CgiRequest | None = None  # what a local redirect made of the request
        self._framing = _NO_LENGTH
        self._out: list[bytes] = []

    # The answer, written by the channel.

    def is_bodyless(self, status: int) -> bool:
        """Whether an answer with ``status`` has no body, whatever it says (RFC 9112 §6.3)."""
        return self.head.method == b"HEAD" or status in (204, 304)

    @property
    def forwardable(self) -> bool:
        """Whether a whole answer with a Content-Length may be passed on byte for byte."""
        head = self.head
        keep = head.keep_alive and self.body_complete and not self.connection.closing
        return keep and not head.http10 and head.method != b"HEAD"

    @property
    def started(self) -> bool:
        """Whether the client may have seen some of the answer."""
        return self.status != 0

    def forward(self, data: bytes, status: int) -> None:
        """Pass on a whole answer as it is, and end."""
        self.status = status
        self.sent = len(data)
        self.connection.write(data)
        self._finish()

    def inform(self, status: int, reason: bytes, headers: Headers) -> None:
        """Pass on an interim answer (1xx, RFC 9110 §15.2), which HTTP/1.0 does not know."""
        if not self.head.http10:
            self.connection.write(render_response(status, reason, headers))

    def start(self, status: int, reason: bytes, headers: Headers, length: int | None) -> None:
        """Begin the answer; ``length`` is its body's in bytes, None if that is not known.

        ``headers`` hold no framing and nothing that belongs to a connection. The
        head goes out with the first bytes of the body, or at ``flush``.
        """
        self.status = status
        self.connection.begin_answer()
        headers = list(headers)
        if self.is_bodyless(status):
            self._framing = _NO_LENGTH
            if length is not None and status != 204:
                headers.append((b"Content-Length", b"%d" % length))
        elif length is not None:
            self._framing = _LENGTH
            headers.append((b"Content-Length", b"%d" % length))
        elif self.head.http10:
            self._framing = _CLOSE
        else:
            self._framing = _CHUNKED
            headers.append((b"Transfer-Encoding", b"chunked"))
        if self._framing == _CLOSE or not (self.head.keep_alive and self.body_complete):
            self.connection.closing = True  # whoever is still sending may never come to an end
        if self.connection.closing:
            headers.append((b"Connection", b"close"))
        elif self.head.http10:
            headers.append((b"Connection", b"keep-alive"))
        reason = reason or _reason(status)
        self._out.append(render_response(status, reason, headers))

    def write(self, data: bytes) -> None:
        """Add ``data`` to the answer's body; it is sent at once."""
        if data and self._framing != _NO_LENGTH:
            self._out.append(encode_chunk(data) if self._framing == _CHUNKED else data)
        self.flush()

    def flush(self) -> None:
        """Send what there is."""
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            self.sent += len(data)
            self.connection.write(data)

    def end(self) -> None:
        """Complete the answer."""
        if self.ended:
            return
        if self._framing == _CHUNKED:
            self._out.append(LAST_CHUNK)
        self.flush()
        self._finish()

    def switch(self, headers: Headers, protocol: bytes) -> None:
        """Answer 101: from here on the connection is a tunnel (RFC 9110 §7.8)."""
        self.status = 101
        self._framing = _CLOSE
        headers = [*headers, (b"Connection", b"Upgrade"), (b"Upgrade", protocol)]
        self._out.append(render_response(101, b"Switching Protocols", headers))
        self.flush()
        self.connection.closing = True
        self.connection.become_tunnel()

    def fail(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        """Answer with an error, or break the answer off if it has begun."""
        if self.ended:
            return
        self.error = message
        if self.started:
            self.abort(message)
            return
        headers = [(b"Content-Type", b"text/plain; charset=utf-8")]
        if retry_after is not None:
            headers.append((b"Retry-After", b"%d" % retry_after))
        text = f"{status} {_reason(status).decode()}\n".encode()
        self.start(status, b"", headers, len(text))
        self.write(text)
        self.end()

    def abort(self, message: str) -> None:
        """Break the answer off so that the client can tell: close without its end."""
        if self.ended:
            return
        self.error = message
        self._out.clear()
        self._finish()
        self.connection.abort()

    def lost(self) -> None:
        """Hear that the client is gone."""
        if self.ended:
            return
        self.error = self.error or "the client closed the connection"
        if not self.started:
            self.status = CLIENT_GONE
        channel, backend = self.channel, self.backend
        self._finish()
        if channel is not None:
            channel.cancel()
        elif backend is not None:
            backend.withdraw(self)

    def _finish(self) -> None:
        self.ended = _MONOTONIC()
        self.channel = None
        if self.spool is not None:
            self.spool.close()
            self.spool = None
        if self.backend is not None:
            self.backend.finished(self)
        self.connection.exchange_ended()

    # The request, read by the channel.

    @property
    def may_switch(self) -> bool:
        """Whether the client asked for another protocol, and has said all that comes before it."""
        return self.head.upgrade is not None and self.body_complete

    def take_pending(self) -> bytes:
        """Return the part of the body that came before there was a worker, once."""
        pending, self.pending = self.pending, b""
        return pending

    def __repr__(self) -> str:
        state = "ended" if self.ended else "answering" if self.started else "waiting"
        return f"<Exchange {self.head!r} {state} {self.status}>"


def _reason(status: int) -> bytes:
    try:
        return http.HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
