"""Bodies are cut where h11 cuts them, however they arrive, and nothing is held back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.http1.bodies import (
    LAST_CHUNK,
    BodyReader,
    ChunkedReader,
    LengthReader,
    UntilCloseReader,
    encode_chunk,
)
from conductor.http1.errors import ProtocolError
from tests.http1_peers import Message, h11_request

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

_SIZES = [b"%x", b"%X", b"00%x", b"%x;a", b'%x;a="b";c', b"%x ;a", b"%x ", b"+%x", b"0x%x", b"%x_0"]
_TRAILERS = [
    *(b"", b"", b"", b"A: b\r\n", b"A:\r\nC: \td\r\n", b"A : b\r\n", b" A: b\r\n", b"A\r\n"),
    *(
        b"Content-Length: 5\r\n",
        b"content-length: x\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"A: b\n",
    ),
]


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    """Return a body in chunks, mostly sound, with something after it."""
    styles = st.sampled_from(_SIZES[:6] * 4 + _SIZES)
    body = b""
    for payload in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4)):
        size = len(payload) + draw(st.sampled_from([0] * 12 + [1, -1]))
        body += draw(styles) % size + b"\r\n" + payload + b"\r\n"
    body += draw(styles) % 0 + b"\r\n" + draw(st.sampled_from(_TRAILERS)) + b"\r\n"
    body += draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\n", b"\n"]))
    if draw(st.booleans()):
        return body
    at = draw(st.integers(0, len(body)))
    return body[:at] + draw(st.binary(max_size=2)) + body[at + draw(st.integers(0, 2)) :]


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return ``data`` cut at ``cuts``, those beyond its end left out."""
    places = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


cuts = st.lists(st.integers(1, 120), max_size=6)


def feed(reader: BodyReader, pieces: list[bytes]) -> tuple[bytes, bytes]:
    payload = rest = b""
    for piece in pieces:
        more, beyond = reader.feed(piece)
        payload += more
        rest += beyond
    return payload, rest


def verdict(pieces: list[bytes]) -> tuple[bytes, bool, bytes] | int:
    reader = ChunkedReader()
    try:
        payload, rest = feed(reader, pieces)
    except ProtocolError as error:
        return error.status
    return payload, reader.complete, rest


@settings(max_examples=500, deadline=None)
@given(chunked_bodies(), cuts)
def test_chunks_are_read_as_h11_reads_them_or_refused(data: bytes, places: list[int]) -> None:
    ours = verdict([data])
    assert verdict(pieces_of(data, places)) == ours
    assert verdict([data[i : i + 1] for i in range(len(data))]) == ours
    if isinstance(ours, int):
        assert ours == 400
        return
    _, theirs = h11_request(HEAD + data)
    assert isinstance(theirs, Message), theirs
    payload, complete, rest = ours
    assert (theirs.body, theirs.complete) == (payload, complete)
    if complete:
        assert theirs.rest == rest


@given(st.lists(st.binary(min_size=1), max_size=8), cuts)
def test_what_is_put_into_chunks_comes_out_again(payloads: list[bytes], places: list[int]) -> None:
    data = b"".join(encode_chunk(payload) for payload in payloads) + LAST_CHUNK
    whole = b"".join(payloads)
    assert verdict(pieces_of(data + b"rest", places)) == (whole, True, b"rest")
    _, theirs = h11_request(HEAD + data)
    assert isinstance(theirs, Message)
    assert (theirs.body, theirs.complete, theirs.rest) == (whole, True, b"")


@given(st.binary(min_size=1, max_size=50), st.integers(0, 60))
def test_no_payload_is_held_back(payload: bytes, size: int) -> None:
    line, rest = b"%x\r\n" % len(payload), payload + b"\r\n"
    reader = ChunkedReader()
    assert reader.feed(line + rest[:size]) == (payload[:size], b"")
    assert reader.feed(rest[size:])[0] == payload[size:]


@given(st.binary(max_size=60), st.integers(0, 60), cuts)
def test_a_known_length_is_cut_off_exactly(data: bytes, length: int, places: list[int]) -> None:
    reader = LengthReader(length)
    payload, rest = feed(reader, pieces_of(data, places))
    assert (payload, rest) == (data[:length], data[length:])
    assert reader.complete == (len(data) >= length)
    assert reader.remaining == max(0, length - len(data))


def test_a_body_until_close_is_all_that_comes() -> None:
    reader = UntilCloseReader()
    assert feed(reader, [b"0\r\n", b"\r\n"]) == (b"0\r\n\r\n", b"")
    assert not reader.complete


def test_what_comes_after_the_last_chunk_is_not_looked_at() -> None:
    reader = ChunkedReader()
    assert reader.feed(b"0\r\n\r\n") == (b"", b"")
    assert reader.feed(b"zz\n") == (b"", b"zz\n")


def test_an_extension_may_have_almost_4_kib() -> None:
    line = b"1;" + b"a" * 4080
    assert verdict([line + b"\r\nx\r\n0\r\n\r\n"]) == (b"x", True, b"")
    assert verdict([line + b"a\r\nx\r\n0\r\n\r\n"]) == 400


@pytest.mark.parametrize("start", [b"5;", b"", b"0\r\nA: "])
def test_a_line_that_never_ends_is_refused_after_4_kib(start: bytes) -> None:
    reader = ChunkedReader()
    reader.feed(start)
    with pytest.raises(ProtocolError, match="too long"):
        feed(reader, [b"a"] * 5000)


@pytest.mark.parametrize("start", [b"", b"5;a", b"0\r\n", b"0\r\nA: b"])
def test_a_bare_lf_is_refused_at_once(start: bytes) -> None:
    with pytest.raises(ProtocolError):
        ChunkedReader().feed(start + b"\n")


def test_trailers_are_bounded_together() -> None:
    reader = ChunkedReader()
    reader.feed(b"0\r\n")
    with pytest.raises(ProtocolError, match="16 KiB") as caught:
        feed(reader, [b"A: %s\r\n" % (b"b" * 100)] * 200)
    assert caught.value.status == 431
