"""What is no request that every parser reads alike is refused, once, and the connection closed."""

from collections.abc import Iterator

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import Client, request
from tests.integration.support.manager import ManagerProcess

HOST = b"Host: a\r\n"


@pytest.fixture(scope="module")
def function_id(manager: ManagerProcess) -> str:
    return manager.add_http("refusals", limits={"requests": 0, "body": 1000})


@pytest.fixture
def client(manager: ManagerProcess, function_id: str) -> Iterator[Client]:
    with manager.connect(function_id) as client:
        yield client


def assert_refused(client: Client, status: int) -> None:
    client.socket.settimeout(3)  # It comes at once.
    answer = client.read()
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert answer.text.startswith(str(status))
    assert client.is_closed()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A : b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A: b\0c\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\nx",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        b"POST / HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello, is anybody there?\r\n\r\n",
    ],
)
def test_a_malformed_head_is_refused(client: Client, data: bytes) -> None:
    client.send(data)
    assert_refused(client, 400)


def test_a_head_over_64_kib_is_refused(client: Client) -> None:
    client.send(b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 66_000 + b"\r\n\r\n")
    assert_refused(client, 431)


def test_a_head_without_end_is_refused_before_all_of_it_is_read(client: Client) -> None:
    client.send(b"GET / HTTP/1.1\r\n" + HOST + b"A: " + b"b" * 200_000)
    assert_refused(client, 431)


def test_another_version_of_http_is_refused(client: Client) -> None:
    client.send(b"GET / HTTP/3.0\r\n" + HOST + b"\r\n")
    assert_refused(client, 505)


def test_another_transfer_coding_is_refused(client: Client) -> None:
    client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n")
    assert_refused(client, 501)


def test_an_unknown_expectation_is_refused(client: Client) -> None:
    client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Expect: the worst\r\n\r\n")
    assert_refused(client, 417)


def test_a_body_that_says_that_it_is_over_the_limit_is_refused(client: Client) -> None:
    client.send(request("POST", "/echo", body=b"x" * 1001))
    assert_refused(client, 413)


def test_a_body_over_the_limit_is_refused_unread(manager: ManagerProcess, function_id: str) -> None:
    with manager.connect_tcp() as client:
        client.send(request("POST", f"/cgi/{function_id}/echo", "Content-Length: 1001"))
        assert_refused(client, 413)


def test_a_body_of_just_the_limit_is_taken(client: Client) -> None:
    assert client.post("/echo", b"x" * 1000).body == b"x" * 1000


def test_a_broken_chunk_is_refused(client: Client) -> None:
    head = b"POST /digest HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    client.send(head + b"3\r\nabc\r\nnonsense\r\n")
    assert_refused(client, 400)


def test_a_chunked_body_over_the_limit_is_refused_as_it_comes(client: Client) -> None:
    head = b"POST /digest HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    client.send(head, *[b"64\r\n" + b"x" * 100 + b"\r\n"] * 11)
    assert_refused(client, 413)


def test_the_requests_before_a_malformed_one_are_answered(client: Client) -> None:
    client.send(request("GET", "/hello") * 2 + b"nonsense\r\n\r\n")
    assert client.read().status == 200
    assert client.read().status == 200
    assert_refused(client, 400)


def test_the_worker_of_a_refused_request_is_not_used_up(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        assert client.get("/hello").status == 200
        pids = manager.pids(function_id)
        client.send(b"nonsense\r\n\r\n")
        assert client.read().status == 400
    assert manager.pids(function_id) == pids


def test_a_refused_request_is_logged_with_its_reason(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        client.send(b"GET / HTTP/2.5\r\n" + HOST + b"\r\n").read()
    entry = manager.wait_logged("request", function_id, "only HTTP/1.0 and HTTP/1.1")
    assert entry["status"] == 505


@pytest.mark.parametrize(
    "path", ["/", "/cgi", "/cgi/", "/cgi//", "/cgi/unknown/", "/app.test.refusals/", "//cgi/x"]
)
def test_a_path_that_leads_to_no_function_is_not_found(manager: ManagerProcess, path: str) -> None:
    manager.add(function("no-part-id", "worker.py", format="http-stdio", spare=0))
    with manager.connect_tcp() as client:
        assert client.get(path).status == 404
        assert client.get("/cgi/app.test.refusals/hello").body == b"hello\n"  # It is kept.
