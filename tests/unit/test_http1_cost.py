"""No head costs more than its bytes: no expression backtracks, nothing is searched twice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from conductor.http1.bodies import ChunkedReader
from conductor.http1.errors import ProtocolError
from conductor.http1.heads import parse_request_head, parse_response_head

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\n"


def seconds(call: Callable[[], object]) -> float:
    """Return the shortest of some runs: what else the machine does only adds."""
    best = float("inf")
    for _ in range(15):
        start = time.perf_counter()
        with contextlib.suppress(ProtocolError):
            call()
        best = min(best, time.perf_counter() - start)
    return best


def _evil(unit: bytes, end: bytes) -> Callable[[bytes, int], bytes]:
    return lambda start, size: start + unit * (size // len(unit)) + end


EVIL = {
    "fields": _evil(b"a:\r\n", b"\0\r\n\r\n"),
    "a name": _evil(b"a", b"\r\n\r\n"),
    "a value": _evil(b"a", b"\0\r\n\r\n"),
    "white space": _evil(b" ", b"\r\n\r\n"),
    "colons": _evil(b":", b"\r\n\r\n"),
    "spaces after a name": _evil(b"Connection: " + b" \t" * 200 + b"\r\n", b"\0\r\n\r\n"),
    "commas": _evil(b",", b"\r\n\r\n"),
    "specials": _evil(b"Host:\r\n", b"\r\n"),
    "nearly specials": _evil(b"proxy-authorizatio:\r\n", b"\r\n"),
    "CRs": _evil(b"\r", b"\r\n\r\n"),
    "LFs": _evil(b"\n", b"\r\n\r\n"),
}


@pytest.mark.parametrize("field", [b"", b"X: ", b"Host: ", b"Connection: ", b"Content-Length: "])
@pytest.mark.parametrize("evil", EVIL)
def test_four_times_the_bytes_cost_about_four_times_the_time(evil: str, field: bytes) -> None:
    make = EVIL[evil]
    for parse, start in ((parse_request_head, REQUEST), (parse_response_head, RESPONSE)):
        short, long = make(start + field, 15_000), make(start + field, 60_000)
        once = seconds(lambda p=parse, d=short: p(d))  # type: ignore[misc]  # bound now, for the loop
        assert seconds(lambda p=parse, d=long: p(d)) < 10 * once + 20e-6  # type: ignore[misc]  # as above


@pytest.mark.parametrize("line", [b"GET /", b"GET http://", b"HTTP/1.1 200 "])
def test_a_long_first_line_costs_no_more_than_its_bytes(line: bytes) -> None:
    parse = parse_response_head if line.startswith(b"HTTP") else parse_request_head
    end = b" x\r\nHost: a\r\n\r\n"
    short, long = line + b"a" * 15_000 + end, line + b"a" * 60_000 + end
    assert seconds(lambda: parse(long)) < 10 * seconds(lambda: parse(short)) + 20e-6


@pytest.mark.parametrize("rest", [b"X: " + b"a" * 60_000, b"a:\r\n" * 15_000, b"\r" * 60_000])
def test_one_byte_more_of_a_long_head_is_no_second_look_at_it(rest: bytes) -> None:
    request, response = REQUEST + rest, RESPONSE + rest
    seen = len(request) - 1
    assert seconds(lambda: parse_request_head(request, seen)) * 10 < seconds(
        lambda: parse_request_head(request)
    )
    seen = len(response) - 1
    assert seconds(lambda: parse_response_head(response, seen)) * 10 < seconds(
        lambda: parse_response_head(response)
    )


def test_tiny_chunks_cost_no_more_than_their_number() -> None:
    short, long = b"1\r\na\r\n" * 2_000, b"1\r\na\r\n" * 8_000
    once = seconds(lambda: ChunkedReader().feed(short))
    assert seconds(lambda: ChunkedReader().feed(long)) < 10 * once
