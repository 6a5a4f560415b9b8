"""A client that says exactly what a test wants said, and reads answers with h11.

h11 is the stranger here: what the manager frames is judged by another parser, a
strict one. What ends too early is no answer but a BrokenAnswer.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Self

import h11

from tests.integration.support.waiting import DEADLINE

_PIECE = 65536


class BrokenAnswer(AssertionError):  # noqa: N818  # reads as what it is
    """The connection ended before the answer did, or what came is no HTTP."""


@dataclass
class Answer:
    """One whole answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    interim: list[int] = field(default_factory=list)  # the statuses of 1xx answers before it
    chunked: bool = False

    @property
    def text(self) -> str:
        """The body, decoded."""
        return self.body.decode()


class Client:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(DEADLINE)
        self.socket = connection
        self._buffer = b""
        self._parser: h11.Connection | None = None
        self._answer = Answer()

    @classmethod
    def unix(cls, path: str) -> Self:
        """Connect to a Unix socket."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE)
        connection.connect(path)
        return cls(connection)

    @classmethod
    def tcp(cls, port: int) -> Self:
        """Connect to a port of this machine."""
        return cls(socket.create_connection(("127.0.0.1", port), DEADLINE))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self.socket.close()

    def send(self, *parts: bytes) -> Self:
        """Send ``parts``, each with a system call of its own."""
        for part in parts:
            self.socket.sendall(part)
        return self

    def get(self, target: str = "/", *fields: str) -> Answer:
        """Ask for ``target`` and return the answer."""
        return self.send(request("GET", target, *fields)).read()

    def post(self, target: str, body: bytes, *fields: str) -> Answer:
        """Send ``body`` and return the answer."""
        return self.send(request("POST", target, *fields, body=body)).read()

    def read(self, method: str = "GET") -> Answer:
        """Return the next answer whole."""
        self.read_head(method)
        return self.read_rest()

    def read_rest(self) -> Answer:
        """Return the answer whose head was read, with what is left of its body."""
        answer = self._answer
        answer.body = b"".join(iter(self.next_data, b""))
        return answer

    def read_head(self, method: str = "GET") -> Answer:
        """Return the next answer as soon as its head is there; ``next_data`` gives the rest."""
        while not isinstance(self.next_event(method), h11.Response):
            continue
        return self._answer

    def next_data(self) -> bytes:
        """Return the next part of the answer's body, or nothing at its end."""
        event = self.next_event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    def next_event(self, method: str = "GET") -> h11.Event | None:
        """Return the next thing that happens in an answer, or None when it is complete."""
        if self._parser is None:
            self._begin(method)
        assert self._parser is not None
        try:
            event = self._parser.next_event()
            while event is h11.NEED_DATA:
                self._parser.receive_data(self.socket.recv(_PIECE))
                event = self._parser.next_event()
        except (h11.RemoteProtocolError, ConnectionError) as error:
            raise BrokenAnswer(str(error)) from None
        assert isinstance(event, h11.Event)
        if isinstance(event, h11.InformationalResponse | h11.Response):
            self._note(event)
        if isinstance(event, h11.ConnectionClosed):
            raise BrokenAnswer("the connection was closed without an answer")
        if not isinstance(event, h11.EndOfMessage):
            return event
        self._buffer, self._parser = self._parser.trailing_data[0], None
        return None

    def _begin(self, method: str) -> None:
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=131072)
        self._parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        self._parser.send(h11.EndOfMessage())
        self._answer = Answer()
        if self._buffer:
            self._parser.receive_data(self._buffer)

    def _note(self, event: h11.InformationalResponse | h11.Response) -> None:
        if event.status_code < 200:
            self._answer.interim.append(event.status_code)
            return
        self._answer.status = event.status_code
        for name, value in event.headers:
            key = name.decode()
            before = self._answer.headers.get(key)
            text = value.decode("latin-1")
            self._answer.headers[key] = text if before is None else f"{before}, {text}"
        self._answer.chunked = self._answer.headers.get("transfer-encoding") == "chunked"

    def peek(self) -> bool:
        """Wait until something is there to be read, be it the end."""
        self.socket.recv(1, socket.MSG_PEEK)
        return True

    def end_writing(self) -> None:
        """Say that nothing more will be sent, and go on listening."""
        self.socket.shutdown(socket.SHUT_WR)

    def is_closed(self) -> bool:
        """Wait for what comes next; whether that is the end and nothing before it."""
        try:
            return not self._buffer and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def receive(self, size: int) -> bytes:
        """Return the next ``size`` bytes as they come, or fewer at the end."""
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        while len(data) < size and (part := self.socket.recv(size - len(data))):
            data += part
        return data

    def receive_until(self, end: bytes) -> bytes:
        """Return all up to and with ``end``."""
        data = b""
        while not data.endswith(end):
            part = self.receive(1)
            if not part:
                raise BrokenAnswer(f"{data!r} and then the end, not {end!r}")
            data += part
        return data


def request(method: str, target: str, *fields: str, body: bytes | None = None) -> bytes:
    """Return a request; with a body it says its length."""
    lines = [f"{method} {target} HTTP/1.1", "Host: example.test", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(*parts: bytes) -> bytes:
    """Return ``parts`` as a body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
