"""The client's side: HTTP/1.1 on a listening socket, from Caddy or from anyone.

A connection is a small state machine that is fed bytes: it waits for a head,
reads that request's body while the exchange lasts, and waits for the next head.
One request at a time: what comes early stays in a buffer of one read, and the
socket is not read on. Nothing here is a task or a coroutine; a request on the
way in costs one callback.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Protocol, cast

from conductor.fastfn.exchange import Backend, Exchange
from conductor.fastfn.spec import Format, FunctionSpec
from conductor.fastfn.spool import Spool, SpoolFullError
from conductor.http1.bodies import ChunkedReader, LengthReader
from conductor.http1.errors import ProtocolError
from conductor.http1.heads import CHUNKED, RequestHead, parse_request_head

HEAD_TIMEOUT = 30.0  # seconds from a head's first byte to its last
LINGER_TIMEOUT = 5.0  # seconds in which the rest of an unread body may still arrive
UNASKED_TIMEOUT = 0.5  # the same where the client waits to be asked: our proxy does not wait
LINGER_BYTES = 1024 * 1024  # of such a rest; more is not waited for
HOLD_TIME = 0.02  # seconds that our proxy is given to notice that it has sent all of a body
HOLD_BYTES = 1024 * 1024  # of a body's rest, and of the answer that is held until it was read
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Target(Backend, Protocol):
    """A backend that a connection can give an exchange to."""

    spec: FunctionSpec

    def admit(self, exchange: Exchange) -> None:
        """Find a worker for ``exchange``, now or later, or refuse it."""


Resolve = Callable[[Exchange], Target | None]


class Gateway:
    """The connections of one listening socket."""

    def __init__(self, resolve: Resolve, loop: asyncio.AbstractEventLoop, *, proxied: bool) -> None:
        self.resolve = resolve
        self.loop = loop
        self.proxied = proxied  # the clients are our own proxy: their X-Forwarded-* count
        self.connections: set[Connection] = set()

    def __call__(self) -> Connection:
        """Return the protocol for one accepted connection."""
        return Connection(self)

    def close_idle(self) -> None:
        """Close the connections that wait for a request, and the others after their answer."""
        for connection in list(self.connections):
            connection.close_when_idle()


class Connection(asyncio.Protocol):
    """One client."""

    __slots__ = (
        "_body",
        "_buffer",
        "_gateway",
        "_held",
        "_held_size",
        "_lingered",
        "_paused",
        "_room",
        "_timer",
        "_transport",
        "_tunnel",
        "closing",
        "exchange",
        "peer",
    )

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._body: LengthReader | ChunkedReader | None = None
        self._paused = False
        self._room = 0  # bytes that the body may still have
        self._tunnel = False
        self._held: list[bytes] | None = None  # an answer that came before the body's end
        self._held_size = 0
        self._lingered = -1  # bytes of an unread body thrown away so far; -1: none is expected
        self._timer: asyncio.TimerHandle | None = None
        self.exchange: Exchange | None = None
        self.closing = False  # no further request: the answer says Connection: close
        self.peer: tuple[bytes, int] | None = None

    @property
    def proxied(self) -> bool:
        """Whether the client is our own proxy."""
        return self._gateway.proxied

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._gateway.connections.add(self)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer = (str(peer[0]).encode(), int(peer[1]))

    def data_received(self, data: bytes) -> None:
        """Go on with whatever is under way."""
        exchange = self.exchange
        if exchange is None:
            if self._lingered >= 0:
                self._linger_on(data)
                return
            seen = 0
            if self._buffer:
                seen = len(self._buffer) if self._timer is not None else 0
                data, self._buffer = self._buffer + data, b""
            self._read_head(data, seen)
        elif self._tunnel and exchange.channel is not None:
            exchange.channel.send_body(data)
        elif self._body is not None:
            self._read_body(exchange, self._body, data)
        else:
            self._buffer += data
            self.pause_reading()

    def eof_received(self) -> bool:
        """Close; but a tunnel's other direction may go on."""
        if self._tunnel and self.exchange is not None and self.exchange.channel is not None:
            self.exchange.channel.send_body(b"")
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        """End."""
        self._transport = None
        self._gateway.connections.discard(self)
        self._cancel_timer()
        if self.exchange is not None:
            self.exchange.lost()

    def pause_writing(self) -> None:
        """Stop the worker: the client reads more slowly."""
        if self.exchange is not None and self.exchange.channel is not None:
            self.exchange.channel.pause()

    def resume_writing(self) -> None:
        """Let the worker go on."""
        if self.exchange is not None and self.exchange.channel is not None:
            self.exchange.channel.resume()

    # What the exchange and the channel call.

    def write(self, data: bytes) -> None:
        """Send ``data``, or keep it while an answer is held."""
        if self._held is not None:
            self._hold(data)
        elif self._transport is not None:
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Stop reading: the worker is slower, or the next request has to wait."""
        if not self._paused and self._transport is not None and self._held_size <= HOLD_BYTES:
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def send_continue(self) -> None:
        """Ask for the body, if the client waits to be asked (RFC 9110 §10.1.1)."""
        if self.exchange is not None and self.exchange.head.expect_continue and self._body:
            self.exchange.head.expect_continue = False
            self.write(_CONTINUE)

    def begin_answer(self) -> None:
        """Hold the answer back that now begins, if our proxy would spoil it.

        Go's HTTP server, and so Caddy, throws away up to 256 KiB of a request's body
        when the answer's head arrives before its end: bytes that the program would
        miss, or an answer that is broken off. A longer rest it passes on in peace.
        """
        if not self.proxied or self._body is None or self._tunnel or self.closing:
            return  # closing: where this body ends is in doubt, or nobody is there for another
        if isinstance(self._body, ChunkedReader) or self._body.remaining <= HOLD_BYTES:
            self._held = []

    def become_tunnel(self) -> None:
        """From here on pass bytes both ways; what came early goes first."""
        self._tunnel = True
        early, self._buffer = self._buffer, b""
        if early and self.exchange is not None and self.exchange.channel is not None:
            self.exchange.channel.send_body(early)
        self.resume_reading()

    def end_writing(self) -> None:
        """Tell the client that nothing more will come, and go on reading."""
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def close_when_idle(self) -> None:
        """Close now, or after the answer that is under way."""
        self.closing = True
        if self.exchange is None and self._transport is not None:
            self._transport.close()

    def exchange_ended(self) -> None:
        """Take the next request, once the rest of this one is out of the way."""
        exchange, self.exchange = self.exchange, None
        unread = self._body is not None
        if self._held is None:
            self._body = None
        self._tunnel = False
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if unread:
            unasked = exchange is not None and exchange.head.expect_continue
            self._start_lingering(UNASKED_TIMEOUT if unasked else LINGER_TIMEOUT)
        elif self._held is not None:
            return  # what is held goes out first, and then the connection is closed
        elif self.closing:
            transport.close()
        elif self._buffer or self._paused:
            self._gateway.loop.call_soon(self._next_request)

    # Heads.

    def _next_request(self) -> None:
        self.resume_reading()
        if self.exchange is None and self._buffer:
            data, self._buffer = self._buffer, b""
            self._read_head(data)

    def _read_head(self, data: bytes, seen: int = 0) -> None:
        """Go on with a head of which ``seen`` bytes were looked at before."""
        try:
            head = parse_request_head(data, seen)
        except ProtocolError as error:
            self._refuse(error)
            return
        if head is None:
            self._buffer = data
            if self._timer is None:
                self._timer = self._gateway.loop.call_later(HEAD_TIMEOUT, self._head_is_late)
            return
        if self._timer is not None:
            self._cancel_timer()
        self._begin(head, data[head.size :])

    def _head_is_late(self) -> None:
        self._timer = None
        self._refuse(ProtocolError("the request's head took too long", 408))

    def _refuse(self, error: ProtocolError) -> None:
        """Answer what is no request, and close."""
        self._cancel_timer()
        self._buffer = b""
        self.closing = True
        head = RequestHead()
        head.method, head.target, head.fields, head.raw = b"-", b"-", b"", b""
        head.http10, head.keep_alive, head.expect_continue = False, False, False
        self.exchange = exchange = Exchange(self, head)
        exchange.backend = self._gateway.resolve(exchange)
        self._body = LengthReader(LINGER_BYTES)  # whatever the client thinks it is sending
        exchange.fail(error.status, str(error))

    def _begin(self, head: RequestHead, rest: bytes) -> None:
        self.exchange = exchange = Exchange(self, head)
        target = self._gateway.resolve(exchange)
        exchange.backend = target
        if head.body_length:
            self._body = ChunkedReader() if head.body_length < 0 else LengthReader(head.body_length)
            exchange.body_complete = False
        elif rest:
            self._buffer = rest
            self.pause_reading()
        if target is None:
            exchange.fail(404, "no function is served under this path")
            return
        if self._body is None:
            target.admit(exchange)
        else:
            self._begin_body(exchange, target, rest)

    # Bodies.

    def _begin_body(self, exchange: Exchange, target: Target, rest: bytes) -> None:
        limits = target.spec.limits
        if limits.body and exchange.head.body_length > limits.body:
            exchange.fail(413, f"the body is over the limit of {limits.body} bytes")
            if rest:
                self._linger_on(rest)
            return
        self._room = limits.body or sys.maxsize
        if exchange.head.body_length == CHUNKED and target.spec.format is Format.CGI:
            exchange.spool = Spool(limits.body)
            self.send_continue()
            if limits.timeout:
                late = self._gateway.loop.call_later(limits.timeout, self._body_is_late)
                self._timer = late
        if rest:
            self._read_body(exchange, self._body, rest)
        if exchange.spool is None and not exchange.ended:
            target.admit(exchange)

    def _read_body(
        self, exchange: Exchange, body: LengthReader | ChunkedReader | None, data: bytes
    ) -> None:
        assert body is not None  # noqa: S101  # only called while a body is under way
        try:
            payload, rest = body.feed(data)
        except ProtocolError as error:
            self._break_off(exchange, error.status, str(error))
            return
        if body.complete:
            self._body = None
            if rest:
                self._buffer = rest
                self.pause_reading()
        if body.complete and self._held is not None:
            self._gateway.loop.call_later(HOLD_TIME, self._release)
        if exchange.spool is not None and not exchange.body_complete:
            self._spool(exchange, exchange.spool, payload)
        elif len(payload) > self._room:
            self._break_off(exchange, 413, "the body is over its limit")
        else:
            self._room -= len(payload)
            self._pass_body(exchange, payload)

    def _pass_body(self, exchange: Exchange, payload: bytes) -> None:
        """Give a part of the body to the worker, or keep it until there is one."""
        exchange.body_complete = self._body is None
        if exchange.channel is None:
            exchange.pending += payload
            if not exchange.body_complete:
                self.pause_reading()
            return
        if payload:
            exchange.channel.send_body(payload)
        if exchange.body_complete and exchange.channel is not None:
            exchange.channel.send_body(b"")

    def _spool(self, exchange: Exchange, spool: Spool, payload: bytes) -> None:
        try:
            spool.write(payload)
        except SpoolFullError:
            self._break_off(exchange, 413, "the body is over its limit")
            return
        except OSError as error:
            self._break_off(exchange, 507, f"the body cannot be spooled: {error.strerror}")
            return
        if self._body is None:
            self._cancel_timer()
            spool.rewind()
            exchange.body_complete = True
            exchange.head.body_length = spool.size
            cast("Target", exchange.backend).admit(exchange)

    def _break_off(self, exchange: Exchange, status: int, message: str) -> None:
        """Refuse a request in the middle of its body."""
        self._cancel_timer()
        channel = exchange.channel
        self.closing = True
        exchange.fail(status, message)
        if channel is not None:
            channel.cancel()
        elif exchange.backend is not None:
            exchange.backend.withdraw(exchange)

    def _body_is_late(self) -> None:
        self._timer = None
        if self.exchange is not None:
            self._break_off(self.exchange, 408, "the request's body took too long")

    # An answer that came before the body's end.

    def _hold(self, data: bytes) -> None:
        assert self._held is not None  # noqa: S101  # only called while an answer is held
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size > HOLD_BYTES and self.exchange is not None:
            if self.exchange.channel is not None:
                self.exchange.channel.pause()
            if isinstance(self._body, LengthReader):
                self.resume_reading()  # and not to be paused: what is left is little

    def _release(self) -> None:
        """Send what was held: the body was read."""
        if self._held is None:
            return
        held, self._held = self._held, None
        full, self._held_size = self._held_size > HOLD_BYTES, 0
        if full and self.exchange is not None and self.exchange.channel is not None:
            self.exchange.channel.resume()
        self.write(b"".join(held))
        if self.exchange is None and self._transport is not None:
            self._transport.close()

    # The rest of a body that nobody wants: a client that is still sending must not
    # lose the answer to a reset, and cannot be asked to stop.

    def _start_lingering(self, timeout: float) -> None:
        self._lingered = 0
        self.closing = True
        self._timer = self._gateway.loop.call_later(timeout, self._stop_lingering)
        self.resume_reading()
        if self._held is None:
            self.end_writing()

    def _linger_on(self, data: bytes) -> None:
        self._lingered += len(data)
        if self._lingered > LINGER_BYTES:
            self._stop_lingering()
        elif self._is_last_of_body(data):
            self._body = None
            self._gateway.loop.call_later(HOLD_TIME, self._stop_lingering)

    def _is_last_of_body(self, data: bytes) -> bool:
        if self._body is None:
            return False
        try:
            self._body.feed(data)
        except ProtocolError:
            return True
        return self._body.complete

    def _stop_lingering(self) -> None:
        self._cancel_timer()
        self._release()
        if self._transport is not None:
            self._transport.close()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
