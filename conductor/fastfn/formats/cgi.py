"""CGI workers: variables and body go in by one pipe, the response comes by another.

The waiting worker reads its variables from the pipe that is the program's standard
input, exactly as many bytes as it is told, and the body follows in the same pipe:
one write gives a small request whole. The answer ends when the output does and
the worker is known to have ended well: a harness says farewell before it closes
its output; a program run by ``exec`` cannot, so its exit is awaited for a moment.
A child that the program left behind may hold the output open; the farewell or
the exit ends the answer all the same.
"""

from __future__ import annotations

import contextlib
import os

from conductor.cgi_adapter import (
    CgiError,
    CgiRequest,
    ResponseReader,
    follow_local_redirect,
    meta_variables,
    parse_header_lines,
)
from conductor.fastfn.exchange import Exchange
from conductor.fastfn.fdio import READ_SIZE, FdWriter
from conductor.fastfn.formats.channel import Channel, ChannelOwner
from conductor.fastfn.runtimes import pack_variables
from conductor.fastfn.spec import FunctionSpec
from conductor.http1.messages import Headers, ResponseHead

MAX_REDIRECTS = 5  # local redirects for one request (RFC 3875 §6.2.2)


class CgiSettings:
    """What every request to one CGI function has in common."""

    __slots__ = ("bare", "directory", "headers", "nph", "program", "strip")

    def __init__(self, spec: FunctionSpec) -> None:
        self.program = os.fsencode(spec.program)
        self.directory = os.fsencode(spec.directory)
        self.strip = spec.path_info_strip
        self.headers: Headers = parse_header_lines(spec.response_headers)
        self.bare = spec.no_response_headers
        self.nph = os.path.basename(spec.program).startswith("nph-")

    def request(self, exchange: Exchange) -> CgiRequest:
        """Return ``exchange``'s request as CGI takes it."""
        head = exchange.head
        connection = exchange.connection
        return CgiRequest(
            method=head.method,
            target=head.target,
            headers=head.headers,
            version=b"1.0" if head.http10 else b"1.1",
            content_length=head.body_length or None,
            path_info_strip=self.strip,
            program=self.program,
            directory=self.directory,
            peer=connection.peer,
            behind_proxy=connection.proxied,
        )

    def reader(self) -> ResponseReader:
        """Return a reader for one program's output."""
        return ResponseReader(
            response_headers=self.headers, no_response_headers=self.bare, nph=self.nph
        )


class CgiChannel(Channel):
    """One worker's two pipes; it serves one request."""

    def __init__(
        self, owner: ChannelOwner, worker: int, stdin: int, stdout: int, settings: CgiSettings
    ) -> None:
        super().__init__(owner, worker)
        self._stdin = stdin
        self._stdout = stdout
        self._settings = settings
        os.set_blocking(stdin, False)
        os.set_blocking(stdout, False)
        self._writer = FdWriter(stdin, owner.loop, self._on_drained, self._on_write_error)
        self._reader = settings.reader()
        self._request: CgiRequest | None = None
        self._head: ResponseHead | None = None
        self._remaining: int | None = None  # bytes of the answer's body, if its head tells

    # The request.

    def start(self, exchange: Exchange, *, last: bool) -> None:  # noqa: ARG002  # always the last
        """Write the variables and what there is of the body."""
        self.exchange = exchange
        self._request = exchange.redirected or self._settings.request(exchange)
        try:
            data = pack_variables(meta_variables(self._request))
        except CgiError as error:
            self._refuse(exchange, error)
            return
        self.owner.loop.add_reader(self._stdout, self._on_readable)
        pending = exchange.take_pending()
        try:
            written = self._writer.write(data + pending)
        except OSError:
            self.exchange = None
            exchange.pending = pending
            self.owner.channel_broken(self, unread=exchange)
            return
        if exchange.head.body_length:
            self._start_body(exchange, written)
        elif written:
            self._close_stdin()

    def _refuse(self, exchange: Exchange, error: CgiError) -> None:
        """Answer a request that no program should see; the worker was not touched."""
        self.exchange = None
        exchange.fail(error.status, str(error))
        self.owner.channel_done(self, reusable=True)

    def _start_body(self, exchange: Exchange, written: bool) -> None:
        exchange.connection.send_continue()
        if written:
            self._on_drained()
        elif not exchange.body_complete:
            exchange.connection.pause_reading()

    def send_body(self, data: bytes) -> None:
        """Pass on a part of the body; ``b""`` is its end."""
        if self._stdin < 0:
            return  # the program does not read: its answer counts, not its appetite
        if not data:
            if not self._writer.waiting:
                self._close_stdin()
            return
        try:
            if not self._writer.write(data) and self.exchange is not None:
                self.exchange.connection.pause_reading()
        except OSError as error:
            self._on_write_error(error)

    def _on_drained(self) -> None:
        """Go on with the spooled body, or with what the client sends."""
        exchange = self.exchange
        if exchange is None:
            return
        if exchange.spool is not None:
            self._pump_spool(exchange)
        else:
            if exchange.body_complete:
                self._close_stdin()
            exchange.connection.resume_reading()  # also to see the client leave

    def _pump_spool(self, exchange: Exchange) -> None:
        assert exchange.spool is not None  # noqa: S101  # looked at by the caller
        while data := exchange.spool.read(READ_SIZE):
            try:
                if not self._writer.write(data):
                    return
            except OSError as error:
                self._on_write_error(error)
                return
        self._close_stdin()

    def _on_write_error(self, _error: OSError) -> None:
        """Stop passing the body on: the program has closed its input (RFC 3875 §4.2 allows it)."""
        self._close_stdin()
        if self.exchange is not None:
            self.exchange.connection.resume_reading()  # the rest of the body is thrown away

    def _close_stdin(self) -> None:
        if self._stdin >= 0:
            self._writer.stop()
            os.close(self._stdin)
            self._stdin = -1

    # The answer.

    def _on_readable(self) -> None:
        try:
            data = os.read(self._stdout, READ_SIZE)
        except BlockingIOError:
            return
        if not data:
            self._on_end()
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        if self._head is not None:
            self._write_body(exchange, data)
            return
        try:
            head = self._reader.feed(data)
        except CgiError as error:
            self.fail(error.status, str(error))
            return
        if head is not None:
            self._on_head(exchange, head)

    def _on_head(self, exchange: Exchange, head: ResponseHead) -> None:
        self._head = head
        if self._redirect(exchange):
            return
        rest, self._reader.rest = self._reader.rest, b""
        headers, length = _split_length(head.headers)
        ended = False
        bodyless = exchange.is_bodyless(head.status)
        if length is None and not bodyless:
            more, ended = self._read_on()
            rest += more
            length = len(rest) if ended and self._said_farewell() else None
        self._remaining = None if bodyless else length
        exchange.start(head.status, head.reason, headers, length)
        if rest:
            self._write_body(exchange, rest)
        else:
            exchange.flush()
        if self.exchange is exchange and (length == 0 or ended):
            self._on_end()

    def _read_on(self) -> tuple[bytes, bool]:
        """Read once more, at once: a short answer is often there whole, its end included."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._stdout, READ_SIZE)
            if not data:
                return b"", True
            with contextlib.suppress(BlockingIOError):
                more = os.read(self._stdout, READ_SIZE)
                return data + more, not more
            return data, False
        return b"", False

    def _write_body(self, exchange: Exchange, data: bytes) -> None:
        if self._remaining is not None:
            data = data[: self._remaining]  # what is over the announced length is no answer
            self._remaining -= len(data)
        exchange.write(data)
        if self._remaining == 0 and self.exchange is exchange:
            self._complete(exchange)

    def _redirect(self, exchange: Exchange) -> bool:
        """Answer with what a local redirect names, from a fresh worker (RFC 3875 §6.2.2)."""
        location = self._reader.local_redirect
        if location is None or self._request is None:
            return False
        if exchange.redirects >= MAX_REDIRECTS:
            self.fail(
                502, f"the program redirected {MAX_REDIRECTS} times; the last to {location!r}"
            )
            return True
        redirected = follow_local_redirect(self._request, location)
        if redirected is None or not exchange.body_complete:
            return False
        exchange.redirects += 1
        exchange.redirected = redirected
        exchange.head.body_length = 0
        self.exchange = None
        self.owner.channel_redirected(self, exchange)
        return True

    # The end.

    def _on_end(self) -> None:
        """Read the end of the output."""
        self._stop_reading()
        exchange = self.exchange
        if exchange is None:
            return
        if self._head is None or self._remaining:
            self.await_exit()
        elif self._remaining == 0 or self._said_farewell():
            self._complete(exchange)
        else:
            self.await_exit()

    def _said_farewell(self) -> bool:
        return self.owner.take_farewell(self.worker) is not None

    def _complete(self, exchange: Exchange) -> None:
        self.stop_waiting()
        self.exchange = None
        exchange.end()
        self.owner.channel_done(self, reusable=False)

    def conclude(self) -> None:
        """End the answer as the output and the exit have it."""
        exchange = self.exchange
        if exchange is None:
            self.stop_waiting()
        elif self._remaining:
            self.stop_waiting()
            self.fail(502, "the program printed less than its Content-Length says")
        elif self._head is None:
            self.stop_waiting()
            self._conclude_headless(exchange)
        else:
            super().conclude()

    def _conclude_headless(self, exchange: Exchange) -> None:
        if self.was_killed():
            self.fail(502, self.owner.explain_death(self.worker))
            return
        try:
            head = self._reader.finish()
        except CgiError as error:
            death = self.owner.explain_death(self.worker)
            self.fail(error.status, f"{error}; {death}")
            return
        exchange.start(head.status, head.reason, _split_length(head.headers)[0], 0)
        self._complete(exchange)

    def drain_after_exit(self) -> None:
        """Read what the program left in the pipe; a child of its may hold the other end open."""
        while self.exchange is not None and self._stdout >= 0 and self._exit_timer is None:
            try:
                data = os.read(self._stdout, READ_SIZE)
            except BlockingIOError:
                data = b""
            if not data:
                self._on_end()
                break
            self._take(data)
        self.conclude()

    def pause(self) -> None:
        """Stop reading the answer."""
        if self._stdout >= 0:
            self.owner.loop.remove_reader(self._stdout)

    def resume(self) -> None:
        """Go on reading the answer."""
        if self._stdout >= 0 and self._exit_timer is None:
            self.owner.loop.add_reader(self._stdout, self._on_readable)

    def _stop_reading(self) -> None:
        if self._stdout >= 0:
            self.owner.loop.remove_reader(self._stdout)

    def close(self) -> None:
        """Close both pipes."""
        self.stop_waiting()
        self._close_stdin()
        if self._stdout >= 0:
            self._stop_reading()
            os.close(self._stdout)
            self._stdout = -1


def _split_length(headers: Headers) -> tuple[Headers, int | None]:
    """Return ``headers`` without Content-Length, and its value."""
    length = None
    kept: Headers = []
    for name, value in headers:
        if name.lower() == b"content-length":
            length = int(value)
        else:
            kept.append((name, value))
    return kept, length
