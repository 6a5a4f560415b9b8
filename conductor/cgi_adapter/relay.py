"""One program's run: the body to it, its output to the client, both as they come.

Nothing is held back and little is held: the client is read when the program takes
input, and the program when the client takes output. One knot would tie: a client
that sends everything before it reads, with a program that prints before it has
read everything. So when output is stuck, input goes on into the spool.

The response ends with the output (its last writer has closed it), or with its
Content-Length, or with its head where it has no body. At the output's end the exit
is awaited for a moment, because a program killed half-way must not look finished.
An exit status other than 0 means nothing: the shell's is that of its last command.
A program that has answered may run on for the rest of the time limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from conductor.cgi_adapter.child import Child
from conductor.cgi_adapter.client import Client, ClientGoneError
from conductor.cgi_adapter.environment import CgiRequest
from conductor.cgi_adapter.errors import CgiError
from conductor.cgi_adapter.response import ResponseReader
from conductor.cgi_adapter.spool import Spool
from conductor.cgi_adapter.waiting import POLLIN, POLLOUT, Waiter

_INPUT = 64 * 1024  # bytes of body that may wait for the program
_OUTPUT = 256 * 1024  # bytes of response that may wait for the client
_EXIT = 0.1  # seconds that the exit may lag behind the end of the output


class BrokenOffError(Exception):
    """The program ended within its response: a sentence says how."""


class Relay:
    """Everything that happens between a program's start and its end."""

    def __init__(
        self,
        client: Client,
        child: Child,
        reader: ResponseReader,
        body: Spool,
        follow: Callable[[bytes], CgiRequest | None],
    ) -> None:
        self._client = client
        self._child = child
        self._reader = reader
        self._body = body
        self._follow = follow  # what a local redirect means, None: for the client to follow
        self._redirect: CgiRequest | None = None
        self._output_ended: float | None = None  # time.monotonic

    def run(self, waiter: Waiter) -> CgiRequest | None:
        """Carry the exchange through; return the request that a local redirect asks for.

        Raises CgiError where the client can still be told, BrokenOffError and
        ClientGoneError where it cannot, and what ``waiter`` raises.
        """
        while not self._is_done():
            until = None if self._output_ended is None else self._output_ended + _EXIT
            waiting_for_exit = self._output_ended is not None and not self._is_answered()
            ready = waiter.wait(self._interest(), until if waiting_for_exit else None)
            self._serve_client(ready)
            self._serve_input(ready)
            self._serve_output(ready)
            self._settle()
        return self._redirect

    def _is_answered(self) -> bool:
        return self._redirect is not None or self._client.response_ended

    def _is_done(self) -> bool:
        if not self._child.has_exited:
            return False
        return self._redirect is not None or self._client.writing_closed

    def _interest(self) -> dict[int, int]:
        client, child = self._client, self._child
        wanted = client.interest(wants_body=self._wants_body())
        if not child.has_exited:
            wanted[child.pidfd] = POLLIN
        if child.stdin_fd is not None:
            wanted[child.stdin_fd] = POLLOUT if self._body.size else 0
        if child.stdout_fd is not None and not self._is_output_stuck():
            wanted[child.stdout_fd] = POLLIN
        return wanted

    def _wants_body(self) -> bool:
        if self._client.body_complete:
            return False
        if self._child.stdin_fd is None:
            return True  # to be dropped, so that a client which only sends comes to an end
        return self._body.size < _INPUT or self._is_output_stuck()

    def _is_output_stuck(self) -> bool:
        return len(self._client.outgoing) >= _OUTPUT

    def _serve_client(self, ready: dict[int, int]) -> None:
        client = self._client
        try:
            if client.is_gone(ready):
                raise ClientGoneError  # noqa: TRY301 - a failing read or write tells the same
            if client.read_fd in ready and not client.body_complete:
                client.receive_body(self._take_body)
            if ready.get(client.write_fd, 0) & POLLOUT:
                client.write_some()
        except (ClientGoneError, CgiError):
            if not client.response_ended:
                raise
            client.outgoing.clear()  # It had its answer, or wanted no more of it.
            client.stop_receiving()

    def _take_body(self, data: bytes) -> None:
        if self._child.stdin_fd is not None:
            self._body.append(data)

    def _serve_input(self, ready: dict[int, int]) -> None:
        child = self._child
        if child.stdin_fd in ready:
            self._write_input()
        if child.stdin_fd is None:
            self._body.close()
        elif self._client.body_complete and not self._body.size:
            child.close_input()

    def _write_input(self) -> None:
        if self._body.size:
            self._body.consume(self._child.write_input(self._body.peek()))
        else:
            self._child.close_input()  # The program has: the pipe reports nothing else.

    def _serve_output(self, ready: dict[int, int]) -> None:
        child = self._child
        if child.stdout_fd is None or child.stdout_fd not in ready:
            return
        data = child.read_output()
        if data:
            self._forward(data)
        elif data is not None:
            self._output_ended = time.monotonic()

    def _forward(self, data: bytes) -> None:
        if self._is_answered():
            return
        client, reader = self._client, self._reader
        if not client.head_sent:
            head = reader.feed(data)
            if head is None:
                return
            if reader.local_redirect is not None:
                self._redirect = self._follow(reader.local_redirect)
                if self._redirect is not None:
                    return
            client.send_head(head)
            data = reader.rest
        client.send_body(data)

    def _settle(self) -> None:
        """Draw the conclusions: the output has ended, the response is delivered."""
        client = self._client
        if self._output_ended is not None and not self._is_answered():
            lag = time.monotonic() - self._output_ended
            if self._child.has_exited or lag >= _EXIT:
                self._end_response()
        if client.response_ended and not client.outgoing and not client.writing_closed:
            client.close_writing()

    def _end_response(self) -> None:
        client, child = self._client, self._child
        if not client.head_sent:
            self._end_head()
        elif child.killed_by is not None:
            raise BrokenOffError(f"half-way through its answer {child.fate}")
        if client.missing:
            missing = f"{client.missing} bytes of its Content-Length are missing"
            raise BrokenOffError(f"{missing}, and {child.fate}")
        client.end_response()

    def _end_head(self) -> None:
        child = self._child
        if child.killed_by is not None:
            raise CgiError(502, f"before it answered {child.fate}")
        try:
            self._client.send_head(self._reader.finish())
        except CgiError as error:
            raise CgiError(502, f"{error}; {child.fate}") from None
