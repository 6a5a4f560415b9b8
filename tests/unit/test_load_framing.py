"""Where answers end: held to h11, an independent reader, on whole and split answers."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.framing import MAX_ANSWER, Answer, FramingError, read_answer

LENGTH = b"HTTP/1.1 200 OK\r\nServer: Caddy\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"


@pytest.mark.parametrize("whole", [LENGTH, CHUNKS])
def test_an_answer_is_whole_at_its_last_byte_and_not_before(whole: bytes) -> None:
    for end in range(len(whole)):
        assert read_answer(whole[:end]) is None
    assert read_answer(whole) == Answer(200, b"hello", keep_alive=True)


@pytest.mark.parametrize("whole", [LENGTH, CHUNKS])
def test_bytes_after_an_answer_are_an_error(whole: bytes) -> None:
    with pytest.raises(FramingError):
        read_answer(whole + b"H")


def test_an_answer_without_a_body_is_whole_with_its_head() -> None:
    assert read_answer(b"HTTP/1.1 204 No Content\r\n\r\n") == Answer(204, b"", keep_alive=True)


def test_a_connection_that_is_to_close_is_not_kept() -> None:
    answer = read_answer(LENGTH.replace(b"Server: Caddy", b"Connection: Close"))
    assert answer == Answer(200, b"hello", keep_alive=False)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 OK\r\nContent-Length: 0",
        b"SSH-2.0-OpenSSH",
        b"HTTP/1.1 200 OK\r\nServer: Caddy",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5 5",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 0",
    ],
)
def test_a_head_that_leaves_the_end_open_is_an_error(head: bytes) -> None:
    with pytest.raises(FramingError):
        read_answer(head + b"\r\n\r\n")


@pytest.mark.parametrize("chunks", [b"g\r\n", b"\r\n", b"2;a=b\r\nhe\r\n", b"2\r\nhello\r\n"])
def test_a_chunk_that_is_none_is_an_error(chunks: bytes) -> None:
    with pytest.raises(FramingError):
        read_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)


def test_what_grows_beyond_the_limit_is_an_error() -> None:
    with pytest.raises(FramingError):
        read_answer(b"H" * (MAX_ANSWER + 1))


@given(
    status=st.sampled_from([200, 201, 404, 500, 502]),
    pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    chunked=st.booleans(),
    close=st.booleans(),
)
def test_what_h11_writes_is_read_as_it_was_meant(
    status: int, pieces: list[bytes], chunked: bool, close: bool
) -> None:
    body = b"".join(pieces)
    headers = [("Connection", "close")] if close else []
    headers += [] if chunked else [("Content-Length", str(len(body)))]
    writer = h11.Connection(h11.SERVER)
    writer.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    writer.next_event()
    events = [h11.Response(status_code=status, headers=headers)]
    events += [h11.Data(data=piece) for piece in pieces]  # type: ignore[misc]  # h11 events have no common type
    data = b"".join(writer.send(event) or b"" for event in [*events, h11.EndOfMessage()])
    assert read_answer(data) == Answer(status, body, keep_alive=not close)


@given(st.binary(max_size=200), st.sampled_from([b"", LENGTH[:30], CHUNKS[:50]]))
def test_any_bytes_are_an_answer_or_no_answer_yet_or_an_error(tail: bytes, head: bytes) -> None:
    try:
        answer = read_answer(head + tail)
    except FramingError:
        return
    assert answer is None or isinstance(answer, Answer)
