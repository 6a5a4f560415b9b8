"""The adapter: answers the one request of a connection with one CGI program.

What a systemd unit with ``Accept=yes`` runs for each connection (``activation:
systemd``), where the manager with its warm workers is not wanted. It ends with
status 0 whatever became of the exchange, for units that fail on a client's whim
would pile up; what went wrong stands on stderr.
"""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass

from conductor.cgi_adapter.child import Child
from conductor.cgi_adapter.client import Client, ClientGoneError
from conductor.cgi_adapter.environment import (
    CgiRequest,
    follow_local_redirect,
    is_meta_variable,
    meta_variables,
)
from conductor.cgi_adapter.errors import CgiError
from conductor.cgi_adapter.relay import BrokenOffError, Relay
from conductor.cgi_adapter.response import ResponseReader
from conductor.cgi_adapter.spool import Spool
from conductor.cgi_adapter.waiting import StoppedError, TimedOutError, Waiter
from conductor.http1.heads import CHUNKED, RequestHead
from conductor.http1.messages import Headers, get_header

_MAX_REDIRECTS = 10  # as Apache's LimitInternalRecursion
_SYSTEMD = (b"LISTEN_FDS", b"LISTEN_FDNAMES", b"LISTEN_PID")  # told to this process, not to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the program is run."""

    program: str  # absolute path
    arguments: list[str]
    path_info_strip: int
    stderr_as_stdout: bool
    response_headers: Headers
    no_response_headers: bool
    timeout: float  # seconds for the exchange, 0: no limit
    body_limit: int  # bytes, 0: no limit


class Adapter:
    """One exchange, from the first byte of the request to the end of the program."""

    def __init__(self, options: Options, client: Client, waiter: Waiter) -> None:
        self._options = options
        self._client = client
        self._waiter = waiter
        self._body = Spool()
        self._child: Child | None = None

    def answer(self) -> None:
        """Answer the client, and end what was started. Raises nothing but bugs."""
        failed = True
        try:
            failed = not self._exchange()
        finally:
            self._client.close()
            self._body.close()
            if self._child is not None:
                self._child.end(whole_group=failed)

    def _exchange(self) -> bool:
        """Carry the exchange through, or tell everyone why not; return whether it was."""
        try:
            self._run()
        except CgiError as error:
            self._refuse(error)
        except TimedOutError:
            self._refuse(CgiError(504, "it took longer than the time limit"))
        except OSError as error:  # the spool's disk is full, or there are no more processes
            self._refuse(CgiError(500, f"it could not be served: {error}"))
        except BrokenOffError as error:
            self._break_off(str(error))
        except ClientGoneError:
            self._break_off("its client left")
        except StoppedError:
            self._break_off("a signal stopped the adapter")
        else:
            return True
        return False

    def _run(self) -> None:
        request = self._receive_request()
        for _ in range(1 + _MAX_REDIRECTS):
            if request is None:
                self._client.say_farewell()
                return
            request = self._run_program(request)
        raise CgiError(502, f"it redirected to itself more than {_MAX_REDIRECTS} times")

    def _receive_request(self) -> CgiRequest | None:
        """Return the request, with a chunked body spooled whole, or None where none came."""
        try:
            head = self._client.wait_for_request(self._waiter)
            if head is None:
                return None
            self._client.take_body(self._body.append)
            if head.body_length == CHUNKED:
                self._spool_body()
        except TimedOutError:
            raise CgiError(408, "the request did not come within the time limit") from None
        return self._request(head)

    def _spool_body(self) -> None:
        client = self._client
        while not client.body_complete:
            ready = self._waiter.wait(client.interest(wants_body=True))
            if client.outgoing:
                client.write_some()  # 100 Continue, without which the body may not come
            if client.read_fd in ready:
                client.receive_body(self._body.append)

    def _request(self, head: RequestHead) -> CgiRequest:
        headers, peer = head.headers, self._client.peer
        length: int | None = head.body_length
        if length == CHUNKED:
            length = self._body.size
        elif get_header(headers, b"content-length") is None:
            length = None
        return CgiRequest(
            method=head.method,
            target=head.target,
            headers=headers,
            version=b"1.0" if head.http10 else b"1.1",
            content_length=length,
            path_info_strip=self._options.path_info_strip,
            program=os.fsencode(self._options.program),
            directory=os.getcwdb(),
            peer=peer,
            behind_proxy=peer is None,
        )

    def _run_program(self, request: CgiRequest) -> CgiRequest | None:
        """Let the program answer; return the request that it answers with instead."""
        options = self._options
        environment = _inherited() | meta_variables(request)
        if self._child is not None:
            self._child.end(whole_group=False)
            self._child = None
        self._child = child = Child(
            [options.program, *options.arguments],
            environment,
            stderr_as_stdout=options.stderr_as_stdout,
        )
        if not request.content_length:
            child.close_input()
        reader = ResponseReader(
            response_headers=options.response_headers,
            no_response_headers=options.no_response_headers,
            nph=os.path.basename(options.program).startswith("nph-"),
        )
        follow = functools.partial(follow_local_redirect, request)
        return Relay(self._client, child, reader, self._body, follow).run(self._waiter)

    def _refuse(self, error: CgiError) -> None:
        if self._client.response_ended:
            self._log(f"after its answer: {error}")
            self._client.say_farewell()
        elif self._client.head_sent:
            self._break_off(str(error))
        else:
            self._log(f"{error.status}: {error}")
            self._client.send_error(error)
            self._client.say_farewell()

    def _break_off(self, why: str) -> None:
        self._log(why)
        self._client.abort()

    def _log(self, text: str) -> None:
        print(f"conductor.cgi_adapter: {self._options.program}: {text}", file=sys.stderr)


def _inherited() -> dict[bytes, bytes]:
    """Return this process's environment without what would be taken for the request's."""
    return {
        name: value
        for name, value in os.environb.items()
        if not is_meta_variable(name) and name not in _SYSTEMD
    }
