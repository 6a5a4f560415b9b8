"""Any output gives a head that h11 accepts, or CgiError; and declared headers are checked."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.cgi_adapter import CgiError, ResponseReader, parse_header_lines
from conductor.http1.heads import parse_response_head, render_response
from conductor.http1.messages import ResponseHead

_WORDS = [
    *(b"Content-Type", b"Status", b"Location", b"Content-Length", b"Set-Cookie", b"X", b"text/x"),
    *(b"HTTP/1.1 200 OK", b"HTTP/1.0 404", b"HTTP/1.1 100", b"200", b"404 Gone", b"/local", b"5"),
    *(b":", b": ", b"\n", b"\r\n", b"\r", b" ", b"\t", b"\0", b"\x0b", b"\xff", b"\x7f", b","),
    *(b"Transfer-Encoding: chunked", b"Connection: close", b"\n\n", b"\r\n\r\n"),
]
outputs = st.one_of(st.binary(), st.lists(st.sampled_from(_WORDS), max_size=14).map(b"".join))


def read(pieces: list[bytes], *, nph: bool = False) -> tuple[ResponseHead, bytes]:
    reader = ResponseReader(response_headers=[], no_response_headers=False, nph=nph)
    for count, piece in enumerate(pieces, 1):
        head = reader.feed(piece)
        if head is not None:
            return head, reader.rest + b"".join(pieces[count:])
    return reader.finish(), b""


def verdict(pieces: list[bytes], *, nph: bool) -> tuple[ResponseHead, bytes] | tuple[int, str]:
    try:
        return read(pieces, nph=nph)
    except CgiError as error:
        return error.status, str(error)


@given(outputs, st.booleans())
def test_any_bytes_give_a_head_or_a_cgi_error_and_the_same_in_pieces(
    output: bytes, nph: bool
) -> None:
    whole = verdict([output], nph=nph)
    assert isinstance(whole[0], ResponseHead) or whole[0] == 502
    assert isinstance(whole[1], bytes) or whole[1].isprintable()
    assert verdict([output[i : i + 1] for i in range(len(output))], nph=nph) == whole
    middle = len(output) // 2
    assert verdict([output[:middle], output[middle:]], nph=nph) == whole


@given(outputs, st.booleans())
def test_what_is_forwarded_is_accepted_by_h11_and_by_our_own_reader(
    output: bytes, nph: bool
) -> None:
    head, _ = verdict([output], nph=nph)
    if not isinstance(head, ResponseHead):
        return
    sent = render_response(head.status, head.reason, head.headers)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.receive_data(sent)
    event = client.next_event()
    assert isinstance(event, h11.Response)
    assert event.status_code == head.status
    assert event.headers.raw_items() == head.headers
    assert parse_response_head(sent) is not None


@given(st.binary(max_size=300))
def test_without_response_headers_any_output_is_the_body(output: bytes) -> None:
    reader = ResponseReader(response_headers=[(b"X", b"1")], no_response_headers=True, nph=False)
    assert reader.feed(output) == ResponseHead(200, b"", [(b"X", b"1")])
    assert reader.rest == output


def test_text_instead_of_headers_is_refused_with_its_first_line() -> None:
    reader = ResponseReader(response_headers=[], no_response_headers=False, nph=False)
    assert reader.feed(b"PING localhost") is None
    with pytest.raises(CgiError, match="begins with 'PING localhost', not a header"):
        reader.feed(b"\n64 bytes")


def test_declared_lines_are_headers() -> None:
    lines = ["Content-Type: text/plain; charset=utf-8", "X: ä ", "Status: 404 Gone"]
    assert parse_header_lines(lines) == [
        (b"Content-Type", b"text/plain; charset=utf-8"),
        (b"X", "ä".encode()),
        (b"Status", b"404 Gone"),
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("text/plain", "'text/plain' has no colon; write it like Content-Type: text/plain"),
        ("", "'' has no colon"),
        ("Content Type: x", "no valid header name"),
        ("X: a\nY: b", "control character"),
        ("X: a\r\n", "control character"),
        (" X: a", "folded"),
        ("Status: OK", "Status is 'OK', not a number from 200 to 599"),
        ("Content-Length: x", "Content-Length is 'x'"),
        ("Location:", "Location is empty"),
        ("transfer-encoding: chunked", "transfer-encoding is for the server to set"),
        ("Connection: close", "Connection is for the server to set"),
    ],
)
def test_a_declared_line_that_is_no_header_is_explained(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        parse_header_lines([line])
    assert problem in str(caught.value)


def test_declared_lines_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="Content-Type is given twice"):
        parse_header_lines(["Content-Type: a/b", "content-type: a/c"])
