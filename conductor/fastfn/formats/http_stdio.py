"""Workers that speak HTTP/1.1 on a socket: single-shot, multi-shot, and daemons' connections.

The answer that costs least is the usual one: its head and body come in one read,
say their length and belong to the connection in nothing; that is passed on as it
came. Everything else is taken apart and framed anew for the client.

A Unix socket tells two ends apart: when the peer closed with something unread the
next read gives ECONNRESET, when it had read everything it gives the end of file
(unix(7), unix_release_sock). So a worker that closed while idle, just before the
request came, is known not to have seen it, and the request goes to another one;
a worker that had read it and died gets its request a 502.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import termios

from conductor.fastfn.exchange import Exchange
from conductor.fastfn.fdio import READ_SIZE, FdWriter
from conductor.fastfn.formats.channel import Channel, ChannelOwner
from conductor.http1.bodies import (
    LAST_CHUNK,
    BodyReader,
    ChunkedReader,
    LengthReader,
    UntilCloseReader,
    encode_chunk,
)
from conductor.http1.errors import ProtocolError
from conductor.http1.heads import (
    CHUNKED,
    UNTIL_CLOSE,
    RequestHead,
    WorkerResponse,
    end_to_end,
    parse_response_head,
    render_request,
    split_fields,
)
from conductor.http1.messages import Headers

_NO_BODY = LengthReader(0)
_OURS = (b"expect", b"x-forwarded-prefix")  # request fields that only the manager has a say in
_HANDS_OFF = 0.002  # seconds after a request with a body in which its worker is not used again
_MAX_INTERIM = 64  # heads in one read


class HttpStdioChannel(Channel):
    """One worker's socket."""

    def __init__(self, owner: ChannelOwner, worker: int, fd: int, strip: int) -> None:
        super().__init__(owner, worker)
        self._fd = fd
        self._strip = strip  # leading path segments that the program does not see
        os.set_blocking(fd, False)
        self._writer = FdWriter(fd, owner.loop, self._on_drained, self._on_write_error)
        self._buffer = b""
        self._head: WorkerResponse | None = None
        self._body: BodyReader = _NO_BODY
        self._last = False
        self._chunked = False  # the request's body goes out in chunks
        self._tunnel = False
        self._client_ended = False  # its direction of the tunnel
        self._paused = False
        owner.loop.add_reader(fd, self._on_readable)

    # The request.

    def start(self, exchange: Exchange, *, last: bool) -> None:
        """Write the request's head and what there is of its body."""
        self.exchange = exchange
        self._last = last
        self._head = None
        head = exchange.head
        as_it_is = head.plain and not last and not self._strip
        data = head.raw if as_it_is else _render(head, self._strip, last=last)
        self._chunked = head.body_length == CHUNKED
        try:
            written = self._writer.write(data)
        except OSError:
            self._not_read(exchange)
            return
        if head.body_length:
            self._start_body(exchange, written)

    def _start_body(self, exchange: Exchange, written: bool) -> None:
        exchange.connection.send_continue()
        pending = exchange.take_pending()
        if pending:
            self.send_body(pending)
        if self.exchange is not exchange:
            return
        if exchange.body_complete:
            self.send_body(b"")
        elif written and not self._writer.waiting:
            exchange.connection.resume_reading()

    def send_body(self, data: bytes) -> None:
        """Pass on a part of the body, or of a tunnel's bytes; ``b""`` is its end."""
        if self._tunnel and not data:
            self._end_client_side()
            return
        if self._chunked and not self._tunnel:
            data = encode_chunk(data) if data else LAST_CHUNK
        if not data:
            return
        try:
            if not self._writer.write(data) and self.exchange is not None:
                self.exchange.connection.pause_reading()
        except OSError as error:
            self._on_write_error(error)

    def _end_client_side(self) -> None:
        """Pass the end of the client's direction on, after what was sent before it."""
        self._client_ended = True
        if not self._writer.waiting:
            socket_end(self._fd)

    def _on_drained(self) -> None:
        if self._client_ended:
            socket_end(self._fd)
        elif self.exchange is not None:
            self.exchange.connection.resume_reading()

    def _on_write_error(self, _error: OSError) -> None:
        """Let the answer say what happened: a program may refuse a body that it did not read."""
        self._writer.stop()
        if self._tunnel and self.exchange is not None:
            self._end_tunnel(self.exchange)
            return
        if self.exchange is not None:
            self.exchange.connection.pause_reading()

    def _not_read(self, exchange: Exchange) -> None:
        self.exchange = None
        self.owner.channel_broken(self, unread=exchange)

    # The answer.

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self._on_reset()
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        exchange = self.exchange
        if not data:
            self._on_end()
        elif exchange is None:
            self.owner.channel_broken(self)  # it spoke unasked: what it says next is in doubt
        elif self._tunnel:
            exchange.write(data)
        elif self._head is None:
            seen = len(self._buffer)
            if seen:
                data, self._buffer = self._buffer + data, b""
            self._on_head(exchange, data, seen)
        else:
            self._on_body(exchange, data)

    def _on_head(self, exchange: Exchange, data: bytes, seen: int = 0) -> None:
        """Read the answer's head, and the interim ones before it (RFC 9110 §15.2)."""
        for _ in range(_MAX_INTERIM):
            try:
                head = parse_response_head(data, seen)
            except ProtocolError as error:
                self.fail(502, str(error))
                return
            if head is None:
                self._buffer = data
                return
            if head.status >= 200 or head.status == 101:
                self._on_final_head(exchange, head, data)
                return
            if head.status != 100:  # the connection has asked for the body itself
                exchange.inform(head.status, head.reason, _headers(head))
            data, seen = data[len(head.raw) :], 0
        self.fail(502, f"the program gave {_MAX_INTERIM} interim answers and none that is final")

    def _on_final_head(self, exchange: Exchange, head: WorkerResponse, data: bytes) -> None:
        size = len(head.raw)
        whole = head.plain and len(data) - size == head.body_length
        if whole and head.status not in (204, 304) and exchange.forwardable:
            exchange.forward(data, head.status)
            self._done(exchange, keep_alive=True)
            return
        self._take_apart(exchange, head, data[size:])

    def _take_apart(self, exchange: Exchange, head: WorkerResponse, rest: bytes) -> None:
        headers = _headers(head)
        if head.status == 101:
            self._switch(exchange, head, headers, rest)
            return
        self._head = head
        length = self._choose_body(exchange, head)
        exchange.start(head.status, head.reason, headers, length)
        if rest or self._body.complete:
            self._on_body(exchange, rest)
        else:
            exchange.flush()

    def _choose_body(self, exchange: Exchange, head: WorkerResponse) -> int | None:
        """Set the reader of the answer's body and return its length if the head tells it."""
        length = head.body_length if head.body_length >= 0 else None
        if exchange.is_bodyless(head.status):
            self._body = _NO_BODY
        elif head.body_length == CHUNKED:
            self._body = ChunkedReader()
        elif head.body_length == UNTIL_CLOSE:
            self._body = UntilCloseReader()
        else:
            self._body = LengthReader(head.body_length)
        return length

    def _on_body(self, exchange: Exchange, data: bytes) -> None:
        try:
            payload, rest = self._body.feed(data)
        except ProtocolError as error:
            self.fail(502, str(error))
            return
        if payload:
            exchange.write(payload)
        if self._body.complete and self.exchange is exchange:
            assert self._head is not None  # noqa: S101  # there is a body because there was a head
            keep_alive = self._head.keep_alive and not rest
            exchange.end()
            self._done(exchange, keep_alive=keep_alive)

    def _done(self, exchange: Exchange, *, keep_alive: bool) -> None:
        self.exchange = None
        self._head = None
        if self._paused:
            self.resume()
        complete = exchange.body_complete and not self._writer.waiting
        reusable = keep_alive and complete and not self._last
        if reusable and exchange.head.body_length:
            # A program that answered without reading the body takes it for the next request.
            if unread_by_peer(self._fd):
                reusable = False
            else:
                self.owner.loop.call_later(_HANDS_OFF, self._on_hands_off_over)
                return
        self.owner.channel_done(self, reusable=reusable)

    def _on_hands_off_over(self) -> None:
        """Take the worker back if it did not speak unasked, as one with a body left over does."""
        if self._fd >= 0:
            self.owner.channel_done(self, reusable=True)

    def _switch(
        self,
        exchange: Exchange,
        head: WorkerResponse,
        headers: list[tuple[bytes, bytes]],
        rest: bytes,
    ) -> None:
        if head.upgrade is None or not exchange.may_switch:
            self.fail(502, "the program switched to a protocol that nobody asked for")
            return
        self._tunnel = True
        exchange.switch(headers, head.upgrade)
        if rest:
            exchange.write(rest)

    # The end.

    def _on_reset(self) -> None:
        exchange = self.exchange
        if self._head is not None and isinstance(self._body, UntilCloseReader):
            self._on_end()  # it left some of the request unread, and all of its answer is here
            return
        if exchange is not None and not (
            exchange.started or self._buffer or exchange.head.body_length
        ):
            self._not_read(exchange)
        elif exchange is not None:
            self._answer_broke_off(exchange)
        else:
            self.owner.channel_broken(self)

    def _on_end(self) -> None:
        """Read the end of file: an answer's end, one broken off, or an idle worker's exit."""
        exchange = self.exchange
        self.owner.loop.remove_reader(self._fd)
        if exchange is None:
            self.owner.channel_broken(self)
        elif self._tunnel:
            self._on_tunnel_end(exchange)
        elif self._head is not None and isinstance(self._body, UntilCloseReader):
            self.await_exit()
        else:
            self._answer_broke_off(exchange)

    def _on_tunnel_end(self, exchange: Exchange) -> None:
        """End the tunnel, or only the worker's direction while it still listens."""
        if self._client_ended or self.exit_status is not None or has_hung_up(self._fd):
            self._end_tunnel(exchange)
        else:
            exchange.connection.end_writing()

    def _end_tunnel(self, exchange: Exchange) -> None:
        self.exchange = None
        exchange.end()
        self.owner.channel_done(self, reusable=False)

    def _answer_broke_off(self, exchange: Exchange) -> None:
        """Fail the exchange, with the worker's last words if they come soon."""
        self.owner.loop.remove_reader(self._fd)
        exchange.broken = True
        self.await_exit()

    def conclude(self) -> None:
        """End the exchange that the end of file has ended."""
        exchange = self.exchange
        if exchange is not None and exchange.broken:
            self.stop_waiting()
            self.fail(502, self.owner.explain_death(self.worker))
            return
        super().conclude()

    def drain_after_exit(self) -> None:
        """Read what is left; a child of the worker may hold the other end open."""
        while self.exchange is not None and self._exit_timer is None and not self._paused:
            try:
                data = os.read(self._fd, READ_SIZE)
            except BlockingIOError:
                data = b""
            except OSError:
                self._on_reset()
                return
            self._take(data)
            if not data:
                break
        if self._exit_timer is not None:
            self.conclude()

    def pause(self) -> None:
        """Stop reading the answer."""
        if not self._paused:
            self._paused = True
            self.owner.loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Go on reading the answer."""
        if self._paused and self._fd >= 0:
            self._paused = False
            self.owner.loop.add_reader(self._fd, self._on_readable)

    def close(self) -> None:
        """Close the socket."""
        if self._fd < 0:
            return
        self.stop_waiting()
        self._writer.stop()
        self.owner.loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1


def has_hung_up(fd: int) -> bool:
    """Whether the other side of the socket ``fd`` neither writes nor reads any more."""
    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(0))


def unread_by_peer(fd: int) -> bool:
    """Whether the other side of the Unix socket ``fd`` has left some of what was sent unread."""
    return fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0") != b"\0\0\0\0"


def socket_end(fd: int) -> None:
    """Tell the other side of ``fd`` that nothing more will come."""
    with socket.socket(fileno=os.dup(fd)) as copy:
        copy.shutdown(socket.SHUT_WR)


def _headers(head: WorkerResponse) -> Headers:
    """Return the fields of an answer that are the client's business, but for its framing."""
    fields = end_to_end(split_fields(head.fields))
    return [(n, v) for n, v in fields if n.lower() != b"content-length"]


def _render(head: RequestHead, strip: int, *, last: bool) -> bytes:
    """Return the head for a worker: its own framing and connection, the stripped target."""
    target, prefix = strip_target(head.target, strip)
    headers = end_to_end(head.headers)
    headers = [(n, v) for n, v in headers if n.lower() not in _OURS]
    if prefix:
        headers.append((b"X-Forwarded-Prefix", prefix))
    if not any(n.lower() == b"host" for n, _ in headers):
        headers.append((b"Host", b"localhost"))
    if head.body_length == CHUNKED:
        headers.append((b"Transfer-Encoding", b"chunked"))
    if head.upgrade is not None:
        headers += [(b"Connection", b"Upgrade"), (b"Upgrade", head.upgrade)]
    elif last:
        headers.append((b"Connection", b"close"))
    return render_request(head.method, target, headers)


def strip_target(target: bytes, count: int) -> tuple[bytes, bytes]:
    """Return ``target`` without its first ``count`` path segments, and those.

    >>> strip_target(b"/cgi/app.demo.f/a?b", 2)
    (b'/a?b', b'/cgi/app.demo.f')
    """
    path, mark, query = target.partition(b"?")
    position = 0
    for _ in range(count):
        after = path.find(b"/", position + 1)
        if after < 0:
            return b"/" + mark + query, path.rstrip(b"/")
        position = after
    return path[position:] + mark + query, path[:position]
