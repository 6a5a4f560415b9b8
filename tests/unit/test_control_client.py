"""Whatever listens on the control socket, a command gets an answer or a sentence, in time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conductor.errors import ConductorError, ManagerUnreachableError, UserError
from conductor.fastfn import client
from conductor.fastfn.client import ControlClient

Behaviour = Callable[[socket.socket], object]


@contextmanager
def listening(path: Path, behave: Behaviour) -> Iterator[ControlClient]:
    """Let ``behave`` have the one connection to ``path``, in a thread, and close it afterwards."""

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            behave(connection)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=accept)
        thread.start()
        yield ControlClient(str(path))
        thread.join(10)


def answering(*pieces: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return behave


def test_an_answer_may_come_in_pieces(tmp_path: Path) -> None:
    pieces = b'{"ok": true, ', b'"result": {"a"', b": 1}}\n"
    with listening(tmp_path / "s", answering(*pieces)) as asking:
        assert asking.call("list") == {"a": 1}


def test_a_stream_has_a_result_a_line_until_the_manager_closes(tmp_path: Path) -> None:
    lines = b'{"ok": true, "result": 1}\n{"ok": true, "result": 2}\n{"ok": true, "res'
    with listening(tmp_path / "s", answering(lines)) as asking:
        assert list(asking.stream("logs", timeout=10)) == [1, 2]


@pytest.mark.parametrize(("status", "kind"), [(1, ConductorError), (2, UserError)])
def test_a_refusal_keeps_its_exit_status(
    tmp_path: Path, status: int, kind: type[ConductorError]
) -> None:
    answer = b'{"ok": false, "error": "no", "exit_status": %d}\n' % status
    with (
        listening(tmp_path / "s", answering(answer)) as asking,
        pytest.raises(kind, match=r"^no$") as raised,
    ):
        asking.call("show", function="x")
    assert raised.value.exit_status == status


@pytest.mark.parametrize(
    "answer", [b"hello\n", b"[]\n", b'"ok"\n', b"{}\n", b'{"ok": false}\n', b"\xff\n", b"1\n"]
)
def test_what_is_no_manager_is_told(tmp_path: Path, answer: bytes) -> None:
    with (
        listening(tmp_path / "s", answering(answer)) as asking,
        pytest.raises(ConductorError, match="What answers on the control socket is no manager"),
    ):
        asking.call("list")


def test_who_never_answers_is_given_up(tmp_path: Path) -> None:
    done = threading.Event()
    with listening(tmp_path / "s", lambda _: done.wait(10)) as asking:
        with pytest.raises(ManagerUnreachableError, match=r"does not answer within 0\.1s"):
            asking.call("list", timeout=0.1)
        done.set()


def test_who_answers_a_byte_at_a_time_is_given_up_all_the_same(tmp_path: Path) -> None:
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        while not done.wait(0.02):
            connection.send(b" ")

    with listening(tmp_path / "s", drip) as asking:
        with pytest.raises(ManagerUnreachableError, match="does not answer within"):
            asking.call("list", timeout=0.2)
        done.set()


def test_who_closes_without_an_answer_is_told(tmp_path: Path) -> None:
    with (
        listening(tmp_path / "s", answering()) as asking,
        pytest.raises(ManagerUnreachableError, match="closed without an answer"),
    ):
        asking.call("list")


def test_a_line_has_a_length(tmp_path: Path) -> None:
    def pour(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(b"x" * 65536)
        except ConnectionError:
            return

    with (
        listening(tmp_path / "s", pour) as asking,
        pytest.raises(ConductorError, match="too long"),
    ):
        asking.call("list")
    assert client.MAX_LINE == 16 * 1024 * 1024
