"""The programs that the load tests measure answer rightly; a wrong one would measure nothing."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.load.targets import WORKERS
from tests.load.workers.raw_http import GREETING, MAX_BODY, MAX_HEAD

DEADLINE = 10.0  # seconds


@pytest.fixture
def worker() -> Iterator[socket.socket]:
    ours, its = socket.socketpair()
    ours.settimeout(DEADLINE)
    command = [sys.executable, os.path.join(WORKERS, "raw_http.py")]
    with subprocess.Popen(command, stdin=its.fileno()) as process:
        its.close()
        with ours:
            yield ours
        assert process.wait(DEADLINE) == 0


def answer(worker: socket.socket) -> tuple[bytes, bytes]:
    """Return an answer's head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += worker.recv(4096)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.rpartition(b"Content-Length: ")[2])
    while len(body) < length:
        body += worker.recv(65536)
    assert len(body) == length
    return head, body


def test_requests_are_answered_one_after_the_other_on_one_connection(worker: socket.socket) -> None:
    for _ in range(3):
        worker.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer(worker) == (answer_head(len(GREETING)), GREETING)


def answer_head(length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d" % length


@pytest.mark.parametrize("size", [1, 70_000, MAX_BODY])
def test_a_body_is_answered_with_itself(worker: socket.socket, size: int) -> None:
    body = os.urandom(size)
    worker.sendall(b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: %d\r\n\r\n" % size)
    worker.sendall(body)
    assert answer(worker)[1] == body
    worker.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer(worker)[1] == GREETING


def test_a_head_that_comes_byte_by_byte_is_answered(worker: socket.socket) -> None:
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\n\r\n":
        worker.sendall(bytes([byte]))
    assert answer(worker)[1] == GREETING


@pytest.mark.parametrize(
    "request_", [b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"]
)
def test_the_last_request_is_answered_and_then_the_connection_closed(
    worker: socket.socket, request_: bytes
) -> None:
    worker.sendall(request_)
    head, body = answer(worker)
    assert b"Connection: close" in head
    assert body == GREETING
    assert worker.recv(1) == b""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Transfer-Encoding: chunked", b"411"),
        (b"Content-Length: x", b"400"),
        (b"Content-Length: 1\r\nContent-Length: 2", b"400"),
        (b"Content-Length: 999999999999", b"413"),
        (b"A: " + b"b" * MAX_HEAD, b"431"),
    ],
)
def test_what_cannot_be_served_is_refused_and_the_connection_closed(
    worker: socket.socket, head: bytes, status: bytes
) -> None:
    worker.sendall(b"POST / HTTP/1.1\r\n" + head + b"\r\n\r\n")
    assert answer(worker)[0].split()[1] == status
    assert worker.recv(1) == b""
