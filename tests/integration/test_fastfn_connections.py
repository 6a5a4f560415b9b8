"""A client's connection is kept for request after request, and closed when it is time."""

from collections.abc import Iterator

import pytest

from tests.integration.support.http import Client, request
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.waiting import wait_until


@pytest.fixture(scope="module", params=[1, 0], ids=["single-shot", "multi-shot"])
def function_id(manager: ManagerProcess, request: pytest.FixtureRequest) -> str:
    return manager.add_http(f"connections-{request.param}", limits={"requests": request.param})


@pytest.fixture
def client(manager: ManagerProcess, function_id: str) -> Iterator[Client]:
    with manager.connect(function_id) as client:
        yield client


def test_a_connection_serves_many_requests(client: Client) -> None:
    for _ in range(20):
        answer = client.get("/hello")
        assert (answer.status, answer.body) == (200, b"hello\n")
        assert "connection" not in answer.headers


def test_requests_sent_at_once_are_answered_in_their_order(client: Client) -> None:
    sizes = [3, 100_000, 0, 70_000, 1]
    client.send(b"".join(request("GET", f"/zeros?size={size}") for size in sizes))
    assert [len(client.read().body) for _ in sizes] == sizes


def test_requests_with_bodies_sent_at_once_are_answered_in_their_order(client: Client) -> None:
    bodies = [b"one", b"", b"x" * 100_000, b"last"]
    client.send(b"".join(request("POST", "/echo", body=body) for body in bodies))
    assert [client.read().body for _ in bodies] == bodies


def test_a_request_that_comes_byte_by_byte_is_answered(client: Client) -> None:
    data = request("POST", "/echo", body=b"slowly")
    client.send(*(data[i : i + 1] for i in range(len(data))))
    assert client.read().body == b"slowly"


def test_connection_close_is_answered_and_then_the_connection_is_closed(client: Client) -> None:
    answer = client.get("/hello", "Connection: close")
    assert answer.body == b"hello\n"
    assert answer.headers["connection"] == "close"
    assert client.is_closed()


def test_what_follows_a_request_that_closes_is_not_answered(client: Client) -> None:
    client.send(request("GET", "/hello", "Connection: close") + request("GET", "/hello"))
    assert client.read().body == b"hello\n"
    assert client.is_closed()


def test_an_http_1_0_client_gets_its_answer_and_the_end(client: Client) -> None:
    client.send(b"GET /until_close HTTP/1.0\r\n\r\n")
    answer = client.read()
    assert answer.body == b"first\nlast\n"
    assert not answer.chunked
    assert client.is_closed()


def test_an_http_1_0_client_that_asks_for_it_keeps_its_connection(client: Client) -> None:
    for _ in range(3):
        client.send(b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = client.read()
        assert answer.headers["connection"] == "keep-alive"
        assert answer.body == b"hello\n"


def test_an_http_1_0_client_is_told_of_no_interim_answer(client: Client) -> None:
    client.send(b"GET /hints HTTP/1.0\r\n\r\n")
    answer = client.read()
    assert (answer.interim, answer.body) == ([], b"hinted\n")


def test_a_worker_that_says_goodbye_does_not_cost_the_client_its_connection(client: Client) -> None:
    for _ in range(3):
        answer = client.get("/last")
        assert answer.body == b"goodbye\n"
        assert "connection" not in answer.headers


def test_what_belongs_to_the_clients_connection_does_not_reach_the_program(client: Client) -> None:
    seen = client.get("/head", "Connection: keep-alive, X-Private", "X-Private: 1", "Keep-Alive: 5")
    assert "private" not in seen.text.lower()
    assert "keep-alive" not in seen.text.lower()


def test_connections_are_counted_while_they_last(manager: ManagerProcess, function_id: str) -> None:
    def count() -> int:
        connections: int = manager.call("stats")["manager"]["connections"]
        return connections

    before = count()
    with manager.connect(function_id) as one, manager.connect(function_id) as two:
        one.get("/hello")
        two.get("/hello")
        assert count() == before + 2
    wait_until(lambda: count() == before, "the connections to be forgotten")
