"""Heads and what they hold are bounded: 64 KiB, 256 fields, a method of 32 letters."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conductor.http1.errors import ProtocolError
from conductor.http1.heads import MAX_FIELDS, MAX_HEAD, parse_request_head, parse_response_head

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\n"
Parse = Callable[[bytes], object]


def head_of(start: bytes, size: int) -> bytes:
    """Return a head of ``size`` bytes."""
    return start + b"X: " + b"a" * (size - len(start) - 7) + b"\r\n\r\n"


def status_of(parse: Parse, data: bytes) -> tuple[int, str]:
    with pytest.raises(ProtocolError) as caught:
        parse(data)
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize(
    ("parse", "start"), [(parse_request_head, REQUEST), (parse_response_head, RESPONSE)]
)
def test_a_head_of_64_kib_is_read(parse: Parse, start: bytes) -> None:
    data = head_of(start, MAX_HEAD)
    assert len(data) == 65536
    assert parse(data[:-1]) is None
    assert parse(data) is not None
    assert parse(data + b"and more") is not None


@pytest.mark.parametrize(
    ("parse", "start", "status"),
    [(parse_request_head, REQUEST, 431), (parse_response_head, RESPONSE, 502)],
)
def test_a_head_over_64_kib_is_refused_whole_or_not_yet_over(
    parse: Parse, start: bytes, status: int
) -> None:
    data = head_of(start, MAX_HEAD + 1)
    assert status_of(parse, data)[0] == status
    assert "over 64 KiB" in status_of(parse, data)[1]
    assert status_of(parse, head_of(start, 3 * MAX_HEAD)) == status_of(parse, data)
    assert parse(data[:MAX_HEAD]) is None
    assert status_of(parse, data[:MAX_HEAD] + b"a") == status_of(parse, data)


@pytest.mark.parametrize("start", [b"GET /", b"HTTP/1.1 200 "])
def test_a_first_line_that_never_ends_is_refused_at_64_kib(start: bytes) -> None:
    parse: Parse = parse_request_head if start == b"GET /" else parse_response_head
    assert parse(start.ljust(MAX_HEAD, b"a")) is None
    assert "over 64 KiB" in status_of(parse, start.ljust(MAX_HEAD + 1, b"a"))[1]


def test_a_body_after_a_short_head_counts_for_nothing() -> None:
    assert parse_request_head(REQUEST + b"\r\n" + b"a" * 2 * MAX_HEAD) is not None
    assert parse_response_head(RESPONSE + b"\r\n" + b"a" * 2 * MAX_HEAD) is not None


def test_more_than_256_fields_are_refused() -> None:
    assert MAX_FIELDS == 256
    assert parse_request_head(REQUEST + b"A:\r\n" * 255 + b"\r\n") is not None
    assert parse_response_head(RESPONSE + b"A:\r\n" * 256 + b"\r\n") is not None
    too_many = REQUEST + b"A:\r\n" * 256 + b"\r\n"
    assert status_of(parse_request_head, too_many) == (
        431,
        "the request's head has over 256 fields",
    )
    too_many = RESPONSE + b"A:\r\n" * 257 + b"\r\n"
    assert status_of(parse_response_head, too_many)[0] == 502


def test_a_method_ends_after_32_letters() -> None:
    assert parse_request_head(b"G" * 32) is None
    assert status_of(parse_request_head, b"G" * 33)[0] == 400


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"\r",
            b"\n",
            b" ",
            b"\x16\x03\x01",
            b"G\xc3",
            b"GET /\r\n",
            b"GET / HTTP/1.1\n",
            b"<",
            b"{",
        ),
        *(b"GET / HTTP/2.0\r\n", b"CONNECT a:1 HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\n"),
    ],
)
def test_a_request_that_cannot_become_one_is_refused_before_its_end(data: bytes) -> None:
    assert status_of(parse_request_head, data)[0] in (400, 501, 505)


@pytest.mark.parametrize(
    "data",
    [b"X", b"\r", b"HTTP/2", b"http", b"HTTP/1.1 20\r\n", b"HTTP/1.1 200 OK\n", b"HTTP/1.1\r\n"],
)
def test_a_response_that_cannot_become_one_is_refused_before_its_end(data: bytes) -> None:
    status, message = status_of(parse_response_head, data)
    assert status == 502
    assert repr(data) in message


def test_an_error_quotes_little_and_no_control_character() -> None:
    _, message = status_of(parse_response_head, b"\x1b[31m" + b"a" * 1000)
    assert message.isprintable()
    assert len(message) < 120
