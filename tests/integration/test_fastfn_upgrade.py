"""Upgrade turns a connection into a tunnel that passes bytes, and ends, both ways."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.support.http import Client, request
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import wait_gone
from tests.integration.support.waiting import wait_until

UPGRADE = ("Connection: Upgrade", "Upgrade: shout")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n"


@pytest.fixture(scope="module", params=[1, 0], ids=["single-shot", "multi-shot"])
def function_id(manager: ManagerProcess, request: pytest.FixtureRequest) -> str:
    limits = {"requests": request.param, "timeout": 2}
    return manager.add_http(f"upgrade-{request.param}", limits=limits)


@pytest.fixture
def tunnel(manager: ManagerProcess, function_id: str, tmp_path: Path) -> Iterator[Client]:
    with manager.connect(function_id) as client:
        client.send(request("GET", f"/upgrade?file={tmp_path}/heard", *UPGRADE))
        assert client.receive_until(b"\r\n\r\n") == SWITCHED
        assert client.receive(8) == b"WELCOME\n"
        yield client


def test_bytes_pass_both_ways(tunnel: Client) -> None:
    for word in (b"one", b"two", b"three"):
        assert tunnel.send(word).receive(len(word)) == word.upper()


def test_what_comes_with_the_request_is_passed_on_first(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        client.send(request("GET", "/upgrade", *UPGRADE) + b"early")
        assert client.receive_until(b"\r\n\r\n") == SWITCHED
        assert client.receive(13) == b"WELCOME\nEARLY"


def test_the_client_may_end_its_side_and_still_hears_the_program(tunnel: Client) -> None:
    tunnel.send(b"bye")
    tunnel.end_writing()
    assert tunnel.receive(100) == b"BYEGOODBYE\n"


def test_all_that_the_client_sent_before_its_end_arrives(tunnel: Client) -> None:
    data = b"x" * 5_000_000

    def send() -> None:
        tunnel.send(data)
        tunnel.end_writing()

    sender = threading.Thread(target=send)
    sender.start()
    assert tunnel.receive(len(data) + 100) == data.upper() + b"GOODBYE\n"
    sender.join()


def test_the_program_may_end_its_side_and_still_hears_the_client(
    tunnel: Client, tmp_path: Path
) -> None:
    tunnel.send(b"hush\n")
    assert tunnel.receive(1) == b""
    tunnel.send(b"still ", b"talking")
    tunnel.end_writing()
    heard = tmp_path / "heard"
    wait_until(lambda: heard.exists() and heard.read_text() == "still talking", "the last words")


def test_a_tunnel_outlasts_the_time_limit_of_requests(
    manager: ManagerProcess, function_id: str, tunnel: Client
) -> None:
    with manager.connect(function_id) as other:
        assert other.get("/sleep?seconds=30").status == 504  # The limit did come.
    assert tunnel.send(b"alive").receive(5) == b"ALIVE"


def test_a_tunnels_worker_ends_with_its_client(manager: ManagerProcess, function_id: str) -> None:
    with manager.connect(function_id) as client:
        client.send(request("GET", "/upgrade", *UPGRADE)).receive_until(b"WELCOME\n")
        (pid,) = manager.pids(function_id, "busy")
    wait_gone(pid)


def test_a_client_learns_that_the_program_died(manager: ManagerProcess, function_id: str) -> None:
    with manager.connect(function_id) as client:
        client.send(request("GET", "/upgrade", *UPGRADE)).receive_until(b"WELCOME\n")
        (pid,) = manager.pids(function_id, "busy")
        manager.kill(pid)
        assert client.is_closed()


def test_a_program_that_does_not_want_a_tunnel_answers_as_ever(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        for _ in range(2):
            assert client.get("/upgrade_refused", *UPGRADE).body == b"no tunnel here\n"


def test_a_tunnel_that_nobody_asked_for_is_a_502(manager: ManagerProcess, function_id: str) -> None:
    with manager.connect(function_id) as client:
        assert client.get("/upgrade").status == 502
