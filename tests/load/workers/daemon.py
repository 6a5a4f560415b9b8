#!/usr/bin/python3
"""A small HTTP/1.1 daemon that takes many connections at once in one process.

Without arguments it serves the listening socket that socket activation left as
file descriptor 3 (sd_listen_fds(3)): an ``sdactivate`` function of Conductor.
With ``--listen PATH`` it binds a unix socket itself: the same daemon directly
behind Caddy. Requests have no bodies here; one that announces a body is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import socket

GREETING = b"Hello from a daemon.\n"
MAX_HEAD = 64 * 1024  # bytes
FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)

_BODY = re.compile(rb"\r\n(?:transfer-encoding|content-length:[ \t]*0*[1-9])")
_CLOSE = re.compile(rb"\r\nconnection:[^\r\n]*\bclose\b")
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (
    len(GREETING),
    GREETING,
)
_REFUSAL = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection; answers its requests in the order they come."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request whose head is whole."""
        transport = self._transport
        assert transport is not None
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0 and not transport.is_closing():
            head, self._buffer = self._buffer[:end].lower(), self._buffer[end + 4 :]
            refused = _BODY.search(head) is not None
            transport.write(_REFUSAL if refused else _ANSWER)
            if refused or _CLOSE.search(head):
                transport.close()
        if len(self._buffer) > MAX_HEAD:
            transport.abort()


def _listener(path: str | None) -> socket.socket:
    if path is not None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(4096)
        return listener
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        raise SystemExit("daemon.py: start it with --listen PATH or by socket activation")
    return socket.socket(fileno=FIRST_DESCRIPTOR)


async def serve(listener: socket.socket) -> None:
    """Serve ``listener`` until SIGTERM."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    listener.settimeout(0)
    await loop.create_unix_server(Connection, sock=listener)
    await ended.wait()


def main() -> None:
    """Serve what the command line asks for."""
    parser = argparse.ArgumentParser(description="answer HTTP/1.1 on a unix socket")
    parser.add_argument("--listen", metavar="PATH", help="bind this unix socket")
    asyncio.run(serve(_listener(parser.parse_args().listen)))


if __name__ == "__main__":
    main()
