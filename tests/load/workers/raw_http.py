#!/usr/bin/python3
"""A multi-shot worker: HTTP/1.1 keep-alive on its standard input, one request at a time.

The load tests run this one program in two ways, so that what differs between
them is Conductor alone:

- without arguments it serves the socket that is its file descriptor 0: an
  ``http-stdio`` function of Conductor;
- with ``--listen PATH`` it binds a unix socket and forks processes that each
  accept a connection and run the very same loop on it: the worker directly
  behind Caddy.

It is as small as a correct program can be (a heavier one would hide what the
way to it costs), and it needs nothing but the standard library. A request
with a body is answered with that body, any other with GREETING.
"""

from __future__ import annotations

import argparse
import os
import re
import socket

GREETING = b"Hello from a warm worker.\n"
MAX_HEAD = 64 * 1024  # bytes
MAX_BODY = 1024 * 1024  # bytes; it is held in memory, to be echoed
RECEIVE = 64 * 1024  # bytes asked for at a time

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*(?=\r\n|$)")
_CLOSE = re.compile(rb"\r\nconnection:[^\r\n]*\bclose\b")


class _RefusedError(Exception):
    """The request cannot be served: carries the status line's end."""


def serve(connection: socket.socket) -> None:
    """Answer the requests that come on ``connection`` until either side ends it."""
    receive, send = connection.recv, connection.sendall
    buffer = b""
    while True:
        while (end := buffer.find(b"\r\n\r\n")) < 0 and len(buffer) <= MAX_HEAD:
            data = receive(RECEIVE)
            if not data:
                return
            buffer += data
        try:
            length, close = _read_head(buffer, end)
        except _RefusedError as refusal:
            send(_answer(str(refusal).encode(), b"", close=True))
            return
        buffer = buffer[end + 4 :]
        while len(buffer) < length:
            data = receive(RECEIVE)
            if not data:
                return
            buffer += data
        send(_answer(b"200 OK", buffer[:length] if length else GREETING, close=close))
        if close:
            return
        buffer = buffer[length:]


def _read_head(buffer: bytes, end: int) -> tuple[int, bool]:
    """Return the body's length and whether this is the last request, from the head."""
    if end < 0 or end > MAX_HEAD:
        raise _RefusedError("431 Request Header Fields Too Large")
    head = buffer[:end].lower()
    if b"\r\ntransfer-encoding:" in head:
        raise _RefusedError("411 Length Required")
    lengths = _LENGTH.findall(head)
    if len(lengths) != head.count(b"\r\ncontent-length:") or len(set(lengths)) > 1:
        raise _RefusedError("400 Bad Request")
    length = int(lengths[0]) if lengths else 0
    if length > MAX_BODY:
        raise _RefusedError("413 Content Too Large")
    old = head.partition(b"\r\n")[0].endswith(b" http/1.0")
    return length, old or _CLOSE.search(head) is not None


def _answer(status: bytes, body: bytes, *, close: bool) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\n%bContent-Length: %d\r\n\r\n%b" % (
        status,
        b"Connection: close\r\n" if close else b"",
        len(body),
        body,
    )


def serve_listener(path: str, processes: int) -> None:
    """Serve a unix socket at ``path`` with ``processes`` processes, until a signal ends them."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(4096)
    for _ in range(processes):
        if os.fork() == 0:
            _accept_forever(listener)
    os.wait()  # A worker that ends is a fault: end, so that whoever started this one sees it.


def _accept_forever(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                serve(connection)
            except ConnectionError:
                continue  # Caddy went away: the next connection is another matter.


def main() -> None:
    """Serve what the command line asks for."""
    parser = argparse.ArgumentParser(description="answer HTTP/1.1 on standard input")
    parser.add_argument("--listen", metavar="PATH", help="serve this unix socket instead")
    parser.add_argument("--processes", type=int, default=8, help="with --listen (default: 8)")
    arguments = parser.parse_args()
    if arguments.listen:
        serve_listener(arguments.listen, arguments.processes)
    else:
        with socket.socket(fileno=os.dup(0)) as connection:
            serve(connection)


if __name__ == "__main__":
    main()
