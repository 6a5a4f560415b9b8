"""Messages to and from a spawner arrive whole, with their descriptors, or not at all."""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Iterator

import pytest

from conductor.fastfn import wire

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def send_raw(channel: socket.socket, data: bytes, fds: list[int]) -> None:
    rights = array.array("i", fds)
    channel.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def send_often(channel: socket.socket, message: wire.Message) -> None:
    for _ in range(1000):
        wire.send(channel, message)


def test_a_message_arrives_as_it_was_sent(pair: Pair) -> None:
    message = {"op": "stderr", "worker": 7, "lines": ["ä\0\n", "\udcff", "x" * 5000], "x": None}
    wire.send(pair[0], message)
    assert wire.receive(pair[1]) == (message, [])


def test_messages_keep_their_order_and_do_not_run_together(pair: Pair) -> None:
    for number in range(10):
        wire.send(pair[0], {"n": number})
    assert [wire.receive(pair[1])[0]["n"] for _ in range(10)] == list(range(10))


def test_descriptors_arrive_with_their_own_message(pair: Pair) -> None:
    read_end, write_end = os.pipe()
    wire.send(pair[0], {"op": "one"})
    wire.send(pair[0], {"op": "two"}, (read_end, write_end))
    wire.send(pair[0], {"op": "three"})
    os.close(read_end)
    os.close(write_end)
    assert wire.receive(pair[1]) == ({"op": "one"}, [])
    message, (read_end, write_end) = wire.receive(pair[1])
    assert message == {"op": "two"}
    assert wire.receive(pair[1]) == ({"op": "three"}, [])
    os.write(write_end, b"through")
    assert os.read(read_end, 100) == b"through"
    for fd in (read_end, write_end):
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_as_many_descriptors_as_allowed_arrive(pair: Pair) -> None:
    wire.send(pair[0], {"op": "many"}, (0,) * wire.MAX_FDS)
    _, fds = wire.receive(pair[1])
    assert len(set(fds)) == wire.MAX_FDS
    for fd in fds:
        os.close(fd)


def test_a_message_up_to_the_limit_arrives(pair: Pair) -> None:
    message = {"op": "x", "text": ""}
    message["text"] = "a" * (wire.MAX_PACKET - len(json.dumps(message, separators=(",", ":"))))
    wire.send(pair[0], message)
    assert wire.receive(pair[1])[0] == message


def test_a_message_over_the_limit_is_not_sent(pair: Pair) -> None:
    with pytest.raises(OSError, match="the message 'x' is over 196608 bytes"):
        wire.send(pair[0], {"op": "x", "text": "a" * wire.MAX_PACKET})
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        wire.receive(pair[1])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"{" + b" " * wire.MAX_PACKET + b"}", "cut off"),
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1]", "no object"),
        (b"null", "no object"),
    ],
    ids=["too long", "half", "no text", "nested", "a list", "null"],
)
def test_what_is_no_message_is_refused_and_leaves_no_descriptor(
    pair: Pair, data: bytes, problem: str
) -> None:
    before = open_fds()
    send_raw(pair[0], data, [0, 1])
    with pytest.raises(OSError, match=problem):
        wire.receive(pair[1])
    assert open_fds() == before


def test_too_many_descriptors_are_refused_and_closed(pair: Pair) -> None:
    before = open_fds()
    send_raw(pair[0], b"{}", [0] * (wire.MAX_FDS + 8))
    with pytest.raises(OSError, match="cut off"):
        wire.receive(pair[1])
    assert open_fds() == before


def test_the_other_sides_end_is_told(pair: Pair) -> None:
    wire.send(pair[0], {"op": "last"})
    pair[0].close()
    assert wire.receive(pair[1]) == ({"op": "last"}, [])
    with pytest.raises(EOFError):
        wire.receive(pair[1])


def test_an_empty_packet_with_descriptors_leaves_none(pair: Pair) -> None:
    before = open_fds()
    send_raw(pair[0], b"", [0, 1])
    with pytest.raises(EOFError):
        wire.receive(pair[1])
    assert open_fds() == before


def test_a_channel_that_does_not_take_more_says_so(pair: Pair) -> None:
    pair[0].setblocking(False)
    big = {"op": "x", "text": "a" * 100_000}
    with pytest.raises(BlockingIOError):
        send_often(pair[0], big)
    assert wire.receive(pair[1])[0] == big


def test_sending_to_nobody_is_an_error(pair: Pair) -> None:
    pair[1].close()
    with pytest.raises(OSError, match="pipe"):
        wire.send(pair[0], {"op": "x"})
