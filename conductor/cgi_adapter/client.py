"""The HTTP side of the adapter: one request in, one response out, over two descriptors.

They are the two ends of one accepted socket (systemd's ``Accept=yes``, inetd) or
two pipes. The head is read by the same strict codec as in the manager, and h11
does the rest; what either refuses is refused. Neither descriptor is ever made
non-blocking: the flag belongs to the open file, which others may share.

A TCP client that closes its sending side before it has its answer is taken for
gone, since that is all one sees of a client that left. On a unix socket the two
can be told apart, and so they are. With pipes only the writing one tells.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
import termios
from collections.abc import Callable

import h11

from conductor.cgi_adapter.errors import CgiError
from conductor.cgi_adapter.waiting import (
    POLLGONE,
    POLLIN,
    POLLOUT,
    POLLRDHUP,
    TimedOutError,
    Waiter,
    read_nowait,
)
from conductor.http1.errors import ProtocolError
from conductor.http1.heads import MAX_HEAD, RequestHead, parse_request_head
from conductor.http1.messages import ResponseHead, get_header

_PIECE = 64 * 1024  # bytes of one read
_PIPE_PIECE = 4096  # bytes that a pipe which polls writable takes without blocking (pipe(7))
_FAREWELL = 2.0  # seconds for a client to take its error or to stop sending
_REASONS = {
    200: b"OK",
    302: b"Found",
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}


class ClientGoneError(Exception):
    """The client left before it had its answer."""


class Client:
    """The connection that carries the one exchange."""

    def __init__(self, read_fd: int, write_fd: int, body_limit: int) -> None:
        self.read_fd = read_fd
        self.write_fd = write_fd
        self.outgoing = bytearray()
        self.body_complete = False  # nothing more of the request is to be read
        self.head_sent = False
        self.response_ended = False
        self.writing_closed = False
        self._socket = _socket_at(write_fd)
        self._tcp = self._socket is not None and self._socket.family != socket.AF_UNIX
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._closed = False
        self._follows_body = False  # whether h11 can tell where the request ends
        self._head_only = False
        self._body_limit = body_limit
        self._body_size = 0
        self._remaining: int | None = None  # bytes of a response whose length is told

    def __repr__(self) -> str:
        return f"<Client {self._http.states} {len(self.outgoing)} bytes to send>"

    @property
    def peer(self) -> tuple[bytes, int] | None:
        """Address and port of a TCP peer."""
        if self._socket is None or not self._tcp:
            return None
        host, port = self._socket.getpeername()[:2]
        return host.partition("%")[0].encode(), port

    # The request.

    def wait_for_request(self, waiter: Waiter) -> RequestHead | None:
        """Return the request's head, or None where the client left without a word.

        Raises CgiError for a request that is refused (400, 413, 431, 501, 505).
        """
        received = b""
        while (head := self._parse_head(received)) is None:
            waiter.wait({self.read_fd: POLLIN})
            data = self._receive()
            if data == b"":
                if received:
                    raise CgiError(400, "the request ended within its head")
                return None
            received += data or b""
        self._begin(head, received)
        return head

    def _parse_head(self, received: bytes) -> RequestHead | None:
        try:
            return parse_request_head(received)
        except ProtocolError as error:
            raise CgiError(error.status, str(error)) from None

    def _begin(self, head: RequestHead, received: bytes) -> None:
        self._http.receive_data(head.raw + received[head.size :])
        self._next_event()
        self._head_only = head.method == b"HEAD"
        if self._body_limit and head.body_length > self._body_limit:
            raise _too_large(self._body_limit)
        self._follows_body = True
        self.body_complete = head.body_length == 0
        if head.expect_continue and not self.body_complete:
            self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))

    def take_body(self, sink: Callable[[bytes], None]) -> None:
        """Hand on what of the body is here already. Raises CgiError (400, 413)."""
        while not self.body_complete:
            event = self._next_event()
            if isinstance(event, h11.Data):
                self._body_size += len(event.data)
                if self._body_limit and self._body_size > self._body_limit:
                    raise _too_large(self._body_limit)
                sink(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self.body_complete = True
            else:
                return

    def receive_body(self, sink: Callable[[bytes], None]) -> None:
        """Read once from a ready connection and hand on what is body. Raises CgiError."""
        data = self._receive()
        if data is not None:
            self._http.receive_data(data)
            self.take_body(sink)

    def stop_receiving(self) -> None:
        """Give up on the rest of the request."""
        self.body_complete = True

    def _next_event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise CgiError(error.error_status_hint, str(error)) from None

    def _receive(self) -> bytes | None:
        try:
            return read_nowait(self.read_fd, _PIECE)
        except ConnectionError:
            raise ClientGoneError from None

    # The response.

    def send_head(self, head: ResponseHead) -> None:
        """Queue the response's head; h11 decides how the body is framed."""
        headers = [*head.headers, (b"Connection", b"close")]
        reason = head.reason or _REASONS.get(head.status, b"")
        self._send(h11.Response(status_code=head.status, headers=headers, reason=reason))
        self.head_sent = True
        length = get_header(head.headers, b"content-length")
        if self._head_only or head.status in (204, 304):
            self._remaining = 0
        elif length is not None:
            self._remaining = int(length)

    def send_body(self, data: bytes) -> None:
        """Queue a piece of the body; what goes beyond the told length is dropped."""
        if self._remaining is not None:
            data = data[: self._remaining]
            self._remaining -= len(data)
        if data:
            self._send(h11.Data(data=data))
        if self._remaining == 0:
            self.end_response()

    def end_response(self) -> None:
        """Say that the response is whole. No-op where it was said before."""
        if not self.response_ended:
            self._send(h11.EndOfMessage())
            self.response_ended = True

    @property
    def missing(self) -> int:
        """How many bytes of the told length the response still lacks."""
        return self._remaining or 0

    def send_error(self, error: CgiError) -> None:
        """Answer with a plain page; only a client's own mistakes are explained to it."""
        reason = _REASONS.get(error.status, b"Error")
        text = b"%d %s\n" % (error.status, reason)
        if error.status < 500:
            text += f"{error}\n".encode()
        length = b"%d" % len(text)
        headers = [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Content-Length", length)]
        self.send_head(ResponseHead(error.status, reason, headers))
        self.send_body(text)

    def _send(self, event: h11.Event) -> None:
        self.outgoing += self._http.send(event) or b""

    # The connection.

    def interest(self, *, wants_body: bool) -> dict[int, int]:
        """Return what to wait for: room to write, the body if wanted, and the client's leaving."""
        wanted = {}
        if not self.writing_closed:
            wanted[self.write_fd] = POLLOUT if self.outgoing else 0
            if self._tcp and self.body_complete:
                wanted[self.write_fd] |= POLLRDHUP
        if wants_body:
            wanted[self.read_fd] = wanted.get(self.read_fd, 0) | POLLIN
        return wanted

    def is_gone(self, ready: dict[int, int]) -> bool:
        """Whether ``ready`` tells that nobody reads the answer any more."""
        return bool(ready.get(self.write_fd, 0) & (POLLGONE | POLLRDHUP))

    def write_some(self) -> None:
        """Write what the connection takes at once. Raises ClientGoneError."""
        try:
            del self.outgoing[: self._write()]
        except BlockingIOError:
            return
        except ConnectionError:
            raise ClientGoneError from None

    def _write(self) -> int:
        if self._socket is not None:
            return self._socket.send(self.outgoing, socket.MSG_DONTWAIT)
        return os.write(self.write_fd, self.outgoing[:_PIPE_PIECE])

    def close_writing(self) -> None:
        """Tell the client that this was all."""
        self.writing_closed = True
        if self._socket is None:
            os.close(self.write_fd)
            return
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.stop_receiving()  # It has left already, with its whole answer.

    def say_farewell(self) -> None:
        """Deliver what is queued and let the client finish, for a few seconds at most.

        A socket closed while it holds unread bytes takes back what the client has not
        read of its answer, so those are read and dropped (RFC 9112 §9.6).
        """
        waiter = Waiter(_FAREWELL)
        try:
            while self.outgoing:
                waiter.wait({self.write_fd: POLLOUT})
                self.write_some()
            if not self.writing_closed:
                self.close_writing()
            while self._has_unread():
                waiter.wait({self.read_fd: POLLIN})
                self._drop_some()
        except (TimedOutError, ClientGoneError):
            return

    def _has_unread(self) -> bool:
        if self._socket is None:
            return False
        if not self.body_complete:
            return True
        waiting = fcntl.ioctl(self.read_fd, termios.FIONREAD, b"\0\0\0\0")
        return bool(struct.unpack("i", waiting)[0])

    def _drop_some(self) -> None:
        data = self._receive()
        if data == b"":
            raise ClientGoneError
        if data and self._follows_body:
            try:
                self._http.receive_data(data)
                self.take_body(_drop)
            except CgiError:
                self._follows_body = False

    def abort(self) -> None:
        """Break the connection off, so that nobody takes half an answer for a whole one."""
        if self._socket is not None and self._tcp:
            reset = struct.pack("ii", 1, 0)  # linger for no time: close with RST (socket(7))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        self.close()

    def close(self) -> None:
        """Close both descriptors. No-op where they are."""
        if self._closed:
            return
        self._closed = True
        if self._socket is not None:
            self._socket.close()
        if self._socket is not None or not self.writing_closed:
            os.close(self.write_fd)
        os.close(self.read_fd)


def _socket_at(descriptor: int) -> socket.socket | None:
    """Return a socket object with a descriptor of its own, or None where it is no socket."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return None
    return socket.socket(fileno=os.dup(descriptor))


def _drop(_data: bytes) -> None:
    """Do nothing with a piece of a body that nobody wants."""


def _too_large(limit: int) -> CgiError:
    return CgiError(413, f"the request's body is longer than the {limit} bytes allowed")
