"""One HTTP/1.1 connection of the load generator, and what can go wrong on it.

The generator shares its processors with what it measures, so its own work for
a request must be next to nothing. Request bytes are made once. Of answers only
the first of a kind is read: a test asks the same question again and again, so
nearly every answer is, byte for byte (its ``Date`` changes once a second), one
that was read and found right before, and one comparison says so. Everything
that differs is framed and checked in full.

Whether, when and on which connection to ask next is the loops' matter
(``generators``): a connection reports each exchange to its owner once, with
None or with a Failure.
"""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from tests.load.framing import FramingError, read_answer

if TYPE_CHECKING:
    from collections.abc import Callable

PENDING_BYTES = 256  # of an answer, quoted when it is not the expected one


class Failure(enum.StrEnum):
    """Why an exchange was none, by kind."""

    CONNECT = "connect"  # no connection could be made
    TIMEOUT = "timeout"  # no whole answer in time
    CLOSED = "closed"  # the other side closed before its answer was whole
    MALFORMED = "malformed"  # bytes that are no answer
    STATUS = "status"  # another status than the expected one
    BODY = "body"  # the right status with the wrong body


@dataclass(frozen=True, slots=True)
class Address:
    """Where Caddy listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as it stands in a URL."""
        return f"{self.host}:{self.port}"


@dataclass(slots=True)
class Exchange:
    """A request and the answer that it must get; shared by the connections of a run."""

    request: bytes
    body: bytes
    status: int = 200
    known: bytes = field(default=b"", repr=False)  # the last whole answer that was right
    first_failure: str = ""  # what the first wrong answer looked like, for people

    @classmethod
    def get(cls, address: Address, path: str, body: bytes) -> Exchange:
        """Return the exchange of a GET of ``path`` that is answered with ``body``."""
        head = f"GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: conductor-load\r\n\r\n"
        return cls(head.encode("ascii"), body)

    def check(self, data: bytes) -> tuple[Failure | None, bool] | None:
        """Judge what has come: None while it is not whole.

        Else the failure, if any, and whether the connection may be used again.
        """
        try:
            answer = read_answer(data)
        except FramingError as error:
            self._note(f"{error}: {data[:PENDING_BYTES]!r}")
            return Failure.MALFORMED, False
        if answer is None:
            return None
        if answer.status != self.status or answer.body != self.body:
            kind = Failure.STATUS if answer.status != self.status else Failure.BODY
            self._note(f"status {answer.status}, body {answer.body[:PENDING_BYTES]!r}")
            return kind, answer.keep_alive
        if answer.keep_alive:
            self.known = data
        return None, answer.keep_alive

    def _note(self, what: str) -> None:
        self.first_failure = self.first_failure or what


class Connection(asyncio.Protocol):
    """A connection to Caddy with one exchange at a time on it."""

    __slots__ = ("_exchange", "_pending", "_report", "_transport", "busy", "open", "since")

    def __init__(
        self, exchange: Exchange, report: Callable[[Connection, Failure | None], None]
    ) -> None:
        self._exchange = exchange
        self._report = report
        self._pending = b""
        self._transport: asyncio.Transport | None = None
        self.open = False
        self.busy = False
        self.since = 0  # what latency counts from: monotonic nanoseconds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it
        self.open = True

    def send(self, since: int) -> None:
        """Ask; latency counts from ``since``. The connection must be open and not busy."""
        self.busy = True
        self.since = since
        self._transport.write(self._exchange.request)  # type: ignore[union-attr]  # it is open

    def data_received(self, data: bytes) -> None:
        """Report the exchange when its answer is whole."""
        if data == self._exchange.known and self.busy and not self._pending:
            self.busy = False
            self._report(self, None)
            return
        self._pending += data
        if not self.busy:  # Nothing was asked: whatever comes belongs to no exchange.
            self.abort()
            return
        verdict = self._exchange.check(self._pending)
        if verdict is not None:
            self._finish(*verdict)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Report an exchange that the other side left."""
        self.open = False
        if self.busy:
            self._finish(Failure.CLOSED, keep_alive=False)

    def fail(self, failure: Failure) -> None:
        """Give the exchange up and close the connection at once."""
        self._finish(failure, keep_alive=False)

    def abort(self) -> None:
        """Close the connection; what is under way on it is nobody's any more."""
        self.open = self.busy = False
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, failure: Failure | None, keep_alive: bool) -> None:
        self._pending = b""
        self.busy = False
        if not keep_alive:
            self.abort()
        self._report(self, failure)
