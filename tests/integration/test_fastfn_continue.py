"""Expect: 100-continue is answered when the body is wanted, and only then (RFC 9110 §10.1.1)."""

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import Client, chunked, request
from tests.integration.support.manager import ManagerProcess

EXPECT = "Expect: 100-continue"


@pytest.fixture(scope="module", params=["http-stdio", "cgi"])
def function_id(manager: ManagerProcess, request: pytest.FixtureRequest) -> str:
    program = "worker.py" if request.param == "http-stdio" else "battery.py"
    limits = {"body": 1000, "queue": 0}
    name = f"continue-{request.param}"
    return manager.add(function(name, program, format=request.param, limits=limits, max=1))


def ask(client: Client, length: int) -> None:
    client.socket.settimeout(3)
    client.send(request("POST", "/echo", EXPECT, f"Content-Length: {length}"))


def test_the_client_is_asked_for_the_body_before_it_sends_it(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        ask(client, 5)
        assert client.receive_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        assert client.read().body == b"hello"


def test_a_client_with_chunks_is_asked_too(manager: ManagerProcess, function_id: str) -> None:
    manager.wait_workers(function_id, idle=1)
    with manager.connect(function_id) as client:
        client.send(request("POST", "/echo", EXPECT, "Transfer-Encoding: chunked"))
        assert client.receive_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(chunked(b"hel", b"lo"))
        assert client.read().body == b"hello"


def test_a_client_that_did_not_wait_is_not_asked(manager: ManagerProcess, function_id: str) -> None:
    manager.wait_workers(function_id, idle=1)
    with manager.connect(function_id) as client:
        ask_and_tell = request("POST", "/echo", EXPECT, body=b"hello")
        answer = client.send(ask_and_tell).read()
        assert (answer.body, answer.interim) == (b"hello", [])


def test_a_body_over_the_limit_is_not_asked_for(manager: ManagerProcess, function_id: str) -> None:
    with manager.connect(function_id) as client:
        ask(client, 1001)
        answer = client.read()
        assert (answer.status, answer.interim) == (413, [])
        assert client.is_closed()


def test_a_body_is_not_asked_for_when_there_is_no_worker(
    manager: ManagerProcess, function_id: str
) -> None:
    manager.wait_workers(function_id, idle=1)
    with manager.connect(function_id) as first, manager.connect(function_id) as second:
        ask(first, 5)
        assert first.receive_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        ask(second, 5)
        answer = second.read()
        assert (answer.status, answer.interim) == (503, [])


def test_a_body_is_not_asked_for_where_no_function_is(manager: ManagerProcess) -> None:
    with manager.connect_tcp() as client:
        ask(client, 5)
        answer = client.read()
        assert (answer.status, answer.interim) == (404, [])


def test_http_1_0_is_not_asked(manager: ManagerProcess, function_id: str) -> None:
    manager.wait_workers(function_id, idle=1)
    with manager.connect(function_id) as client:
        client.send(b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
        assert client.receive_until(b"\r\n").startswith(b"HTTP/1.1 200")
