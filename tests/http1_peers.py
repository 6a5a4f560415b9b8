"""One message read by our codecs and by h11, the strict reference, told in the same words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import h11

from conductor.http1.bodies import BodyReader, ChunkedReader, LengthReader, UntilCloseReader
from conductor.http1.errors import ProtocolError
from conductor.http1.heads import (
    CHUNKED,
    UNTIL_CLOSE,
    RequestHead,
    WorkerResponse,
    parse_request_head,
    parse_response_head,
    split_fields,
)
from conductor.http1.messages import Headers

Head = RequestHead | WorkerResponse


@dataclass
class Message:
    """What a reader made of the bytes."""

    start: tuple[bytes, ...]  # method and target, or status and reason; then the version
    headers: Headers
    body: bytes = b""
    complete: bool = False
    rest: bytes = b""  # what lies beyond the message


@dataclass(frozen=True)
class Refused:
    """The bytes are no message."""

    status: int


INCOMPLETE = None  # the head goes on
Reading = Message | Refused | None


def normal(headers: Headers) -> Headers:
    """Return ``headers`` as h11 has them: it lowers the coding's name."""
    return [(n, v.lower() if n.lower() == b"transfer-encoding" else v) for n, v in headers]


def request_body_reader(head: RequestHead) -> BodyReader:
    return ChunkedReader() if head.body_length == CHUNKED else LengthReader(head.body_length)


def response_body_reader(head: WorkerResponse, method: bytes) -> BodyReader:
    """Choose as a gateway must (RFC 9112 §6.3)."""
    if method == b"HEAD" or head.status < 200 or head.status in (204, 304):
        return LengthReader(0)
    if head.body_length == CHUNKED:
        return ChunkedReader()
    return UntilCloseReader() if head.body_length == UNTIL_CLOSE else LengthReader(head.body_length)


def read_request(pieces: Iterable[bytes]) -> tuple[RequestHead | None, Reading]:
    """Read one request out of ``pieces`` as a connection does."""
    buffer, seen = b"", 0
    rest = iter(pieces)
    try:
        for piece in rest:
            buffer += piece
            head = parse_request_head(buffer, seen)
            if head is not None:
                version = b"1.0" if head.http10 else b"1.1"
                message = Message((head.method, head.target, version), head.headers)
                body = request_body_reader(head)
                return head, _read_body(message, body, [buffer[head.size :], *rest])
            seen = len(buffer)
    except ProtocolError as error:
        return None, Refused(error.status)
    return None, INCOMPLETE


def read_response(
    pieces: Iterable[bytes], method: bytes = b"GET"
) -> tuple[WorkerResponse | None, Reading]:
    """Read one response, interim ones counted, out of ``pieces`` as a channel does."""
    buffer, seen = b"", 0
    rest = iter(pieces)
    try:
        for piece in rest:
            buffer += piece
            head = parse_response_head(buffer, seen)
            if head is not None:
                version = b"1.0" if head.http10 else b"1.1"
                start = (b"%d" % head.status, head.reason, version)
                message = Message(start, split_fields(head.fields))
                body = response_body_reader(head, method)
                return head, _read_body(message, body, [buffer[len(head.raw) :], *rest])
            seen = len(buffer)
    except ProtocolError as error:
        return None, Refused(error.status)
    return None, INCOMPLETE


def _read_body(message: Message, body: BodyReader, pieces: Iterable[bytes]) -> Message:
    for piece in pieces:
        payload, rest = body.feed(piece)
        message.body += payload
        message.rest += rest
    message.complete = body.complete
    return message


def h11_request(data: bytes) -> tuple[h11.Connection, Reading]:
    """Return what h11 makes of ``data`` as a server."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)
    try:
        connection.receive_data(data)
        event = connection.next_event()
        if not isinstance(event, h11.Request):
            return connection, INCOMPLETE
        start = (bytes(event.method), bytes(event.target), bytes(event.http_version))
        message = Message(start, event.headers.raw_items())
        return connection, _h11_body(connection, message)
    except h11.RemoteProtocolError as error:
        return connection, Refused(error.error_status_hint)


def h11_response(data: bytes, method: bytes = b"GET") -> Reading:
    """Return what h11 makes of ``data`` as a client that asked with ``method``."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
    headers = [("Host", "a"), ("Connection", "Upgrade"), ("Upgrade", "x")]
    connection.send(h11.Request(method=method, target="/", headers=headers))
    connection.send(h11.EndOfMessage())
    try:
        connection.receive_data(data)
        event = connection.next_event()
        if not isinstance(event, h11.Response | h11.InformationalResponse):
            return INCOMPLETE
        start = (b"%d" % event.status_code, bytes(event.reason), bytes(event.http_version))
        message = Message(start, event.headers.raw_items())
        if isinstance(event, h11.Response):
            return _h11_body(connection, message)
        message.complete, message.rest = True, connection.trailing_data[0]
    except h11.RemoteProtocolError as error:
        return Refused(error.error_status_hint)
    return message


def _h11_body(connection: h11.Connection, message: Message) -> Message:
    while not message.complete:
        event = connection.next_event()
        if isinstance(event, h11.Data):
            message.body += event.data
        elif isinstance(event, h11.EndOfMessage):
            message.complete = True
        else:
            return message
    message.rest = connection.trailing_data[0]
    return message
