"""Any bytes: we read them as h11 does, or refuse them; we never take what h11 refuses."""

from __future__ import annotations

from pathlib import Path

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.http1.heads import (
    RequestHead,
    WorkerResponse,
    end_to_end,
    render_request,
    render_response,
    split_fields,
)
from tests.http1_peers import (
    Message,
    Reading,
    h11_request,
    h11_response,
    normal,
    read_request,
    read_response,
)

CORPUS = Path(__file__).parent.parent / "corpus" / "http"
REQUESTS = [path.read_bytes() for path in sorted(CORPUS.glob("*/*.request"))]
RESPONSES = [path.read_bytes() for path in sorted(CORPUS.glob("*/*.response"))]

# A message is sound lines and a framing with its body, and then has up to two flaws.
_REQUEST_LINES = [
    *(b"GET / HTTP/1.1", b"POST /a?b HTTP/1.1", b"GET http://a/b HTTP/1.1", b"HEAD / HTTP/1.1"),
    *(b"GET / HTTP/1.0", b"OPTIONS * HTTP/1.1"),
]
_STATUS_LINES = [
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 x"),
    *(b"HTTP/1.1 304 x", b"HTTP/1.1 101 x", b"HTTP/1.1 103 x"),
]
_SOUND = [
    *(b"X: a", b"X:\t b ", b"Cookie: a=b", b"Accept: */*", b"X_Y: c", b"Content_Length: 7", b"Xx:"),
    *(b"Connection: close", b"connection: keep-alive, TE", b"TE: trailers", b"Trailer: A"),
    *(b"Connection: upgrade", b"Upgrade: x", b"Expect: 100-continue", b"Keep-Alive: 5"),
]
_FRAMED = [
    *([(b"", b"")] * 2),
    *[
        (b"Content-Length: 5", b"hello"),
        (b"content-length:0 ", b""),
        (b"Content-Length: 7", b"hello"),
    ],
    *[(b"Content-Length: 05", b"0\r\n\r\nGET")],
    *[
        (b"Transfer-Encoding: chunked", body)
        for body in (
            *(b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"5;a\r\nhello\r\n00\r\nA: b\r\n\r\n"),
            *(b"a\r\n\r\n0\r\n\r\n5\r\nx\r\n1\r\ny\r\n0\r\n\r\nGET / ", b"5\r\nhel"),
        )
    ],
]
_FLAWS = [
    *(b"Content-Length: 5", b"Content-Length: +5", b"Content-Length: 5, 5", b"Content-Length:"),
    *(
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Host: b",
        b"Host: a, b",
    ),
    *(b"Transfer-Encoding : chunked", b"Connection: content-length", b" folded: x", b"\tfolded"),
    *(
        b"Transfer-Encoding: \x0bchunked",
        b"X: a\rb",
        b"X: \0",
        b"\xe4: x",
        b"no colon",
        b": x",
        b"X : y",
    ),
    *(
        b"Expect: x",
        b"X: a\nContent-Length: 3",
        b"Connection: host",
        b"Content-Length: 99999999999999999999",
    ),
]
_BITS = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b",", b"\0", b"0", b"\xff", b"#", b""]
)


@st.composite
def _messages(draw: st.DrawFn, lines: list[bytes], host: list[bytes]) -> bytes:
    framing, body = draw(st.sampled_from(_FRAMED))
    fields = [*host, *draw(st.lists(st.sampled_from(_SOUND), max_size=4))]
    flaws = (
        draw(st.lists(st.sampled_from(_FLAWS), max_size=1)) if draw(st.integers(0, 3)) == 3 else []
    )
    fields = draw(st.permutations([f for f in (framing, *fields, *flaws) if f]))
    head = b"".join(line + b"\r\n" for line in (draw(st.sampled_from(lines)), *fields, b""))
    return head + body


@st.composite
def _mutated(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """Return a message with some bytes of it replaced."""
    data = draw(messages)
    for _ in range(draw(st.sampled_from([1, 1, 2]))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(_BITS) + data[at + draw(st.integers(0, 2)) :]
    return data


requests = st.one_of(
    _messages(_REQUEST_LINES, [b"Host: a"]),
    _mutated(_messages(_REQUEST_LINES, [b"Host: a"])),
    _mutated(st.sampled_from(REQUESTS)),
    st.binary(max_size=60),
)
responses = st.one_of(
    _messages(_STATUS_LINES, []),
    _mutated(_messages(_STATUS_LINES, [])),
    _mutated(st.sampled_from(RESPONSES)),
    st.binary(max_size=60),
)
thorough = settings(max_examples=300, deadline=None)


def agree(ours: Reading, theirs: Reading) -> None:
    """Check that h11 has what we have, if we have something."""
    if isinstance(ours, Message):
        assert isinstance(theirs, Message), theirs
        assert theirs.start == ours.start
        assert theirs.headers == normal(ours.headers)
        assert theirs.body == ours.body
        assert theirs.complete == ours.complete
        if ours.complete:
            assert theirs.rest == ours.rest
    elif ours is None:
        assert not isinstance(theirs, Message)


def cut(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@thorough
@given(requests)
def test_a_request_is_read_as_h11_reads_it_or_refused(data: bytes) -> None:
    head, ours = read_request([data])
    connection, theirs = h11_request(data)
    if head is None:
        agree(ours, theirs)
        return
    assert isinstance(ours, Message)
    if head.target != (original := data.split(b" ", 2)[1]):  # it was an absolute one
        assert original.lower().startswith((b"http://a", b"https://a"))
        ours.start = (head.method, original, ours.start[2])
    agree(ours, theirs)
    if connection.their_state in (h11.DONE, h11.MUST_CLOSE) and not head.http10:
        assert head.keep_alive == (connection.their_state is h11.DONE)
    if connection.their_state is h11.SEND_BODY and not ours.body:
        assert head.expect_continue == connection.they_are_waiting_for_100_continue


@thorough
@given(requests)
def test_a_request_gets_the_same_verdict_in_pieces(data: bytes) -> None:
    _, whole = read_request([data])
    assert read_request(cut(data))[1] == whole
    middle = len(data) // 2
    assert read_request([data[:middle], data[middle:]])[1] == whole


@thorough
@given(responses, st.sampled_from([b"GET", b"HEAD"]))
def test_a_response_is_read_as_h11_reads_it_or_refused(data: bytes, method: bytes) -> None:
    agree(read_response([data], method)[1], h11_response(data, method))


@thorough
@given(responses)
def test_a_response_gets_the_same_verdict_in_pieces(data: bytes) -> None:
    _, whole = read_response([data])
    assert read_response(cut(data))[1] == whole
    middle = len(data) // 2
    assert read_response([data[:middle], data[middle:]])[1] == whole


@thorough
@given(requests)
def test_what_is_forwarded_means_the_same_to_h11(data: bytes) -> None:
    head, ours = read_request([data])
    if head is None or not isinstance(ours, Message):
        return
    forwarded = head.raw if head.plain else rendered(head)
    _, theirs = h11_request(forwarded + data[head.size :])
    assert isinstance(theirs, Message), theirs
    assert theirs.start == (head.method, head.target, b"1.1")
    assert (theirs.body, theirs.complete) == (ours.body, ours.complete)
    if ours.complete:
        assert theirs.rest == ours.rest
    if head.plain:
        assert theirs.headers == ours.headers
        assert end_to_end(ours.headers) == ours.headers


def rendered(head: RequestHead) -> bytes:
    """Return the head as it is framed anew for a worker."""
    headers = [(n, v) for n, v in end_to_end(head.headers) if n.lower() != b"expect"]
    if not any(n.lower() == b"host" for n, _ in headers):
        headers.append((b"Host", b"a"))
    if head.body_length < 0:
        headers.append((b"Transfer-Encoding", b"chunked"))
    return render_request(head.method, head.target, headers)


@thorough
@given(responses)
def test_a_plain_response_means_the_same_to_h11_as_it_is(data: bytes) -> None:
    head, ours = read_response([data])
    if head is None or not isinstance(ours, Message) or not head.plain:
        return
    assert head.raw == data[: len(head.raw)]
    theirs = h11_response(data)
    assert isinstance(theirs, Message)
    assert theirs.headers == ours.headers == end_to_end(ours.headers)
    if head.status >= 200 and head.status not in (204, 304):
        assert theirs.body == data[len(head.raw) :][: head.body_length]


@thorough
@given(responses)
def test_a_response_framed_anew_means_the_same_to_h11(data: bytes) -> None:
    head, ours = read_response([data])
    if head is None or head.status < 200 or not isinstance(ours, Message):
        return
    fields = [
        (n, v) for n, v in end_to_end(split_fields(head.fields)) if n.lower() != b"content-length"
    ]
    fields.append((b"Content-Length", b"%d" % len(ours.body)))
    theirs = h11_response(render_response(head.status, head.reason, fields) + ours.body)
    assert isinstance(theirs, Message), theirs
    assert theirs.start == (b"%d" % head.status, head.reason, b"1.1")
    assert theirs.headers == fields


def test_the_heads_say_what_they_are() -> None:
    head, _ = read_request([b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"])
    assert repr(head) == "<RequestHead GET /a>"
    response, _ = read_response([b"HTTP/1.1 404 x\r\n\r\n"])
    assert isinstance(response, WorkerResponse)
    assert repr(response) == "<WorkerResponse 404>"
