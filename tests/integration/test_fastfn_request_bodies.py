"""Bodies reach the program whole and in order, however they come."""

import hashlib
import os
from collections.abc import Iterator

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import Client, chunked, request
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.waiting import wait_until

CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module", params=["single-shot", "multi-shot", "exec", "python"])
def function_id(manager: ManagerProcess, request: pytest.FixtureRequest) -> str:
    kind = request.param
    if kind in ("exec", "python"):
        return manager.add(function(f"bodies-{kind}", "battery.py", runtime=kind))
    limits = {"requests": 1 if kind == "single-shot" else 0}
    return manager.add_http(f"bodies-{kind}", limits=limits)


@pytest.fixture
def client(manager: ManagerProcess, function_id: str) -> Iterator[Client]:
    with manager.connect(function_id) as client:
        yield client


def digest_of(body: bytes) -> str:
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}"


@pytest.mark.parametrize("size", [0, 1, 4096, 65_535, 65_536, 65_537, 1_000_000])
def test_a_body_arrives_whole(client: Client, size: int) -> None:
    body = os.urandom(size)
    assert client.post("/digest", body).text == digest_of(body)


@pytest.mark.parametrize("size", [1, 65_536, 3_000_000])
def test_a_chunked_body_arrives_whole(client: Client, size: int) -> None:
    body = os.urandom(size)
    client.send(request("POST", "/digest", CHUNKED))
    pieces = [body[i : i + 50_000] for i in range(0, size, 50_000)]
    client.send(chunked(*pieces))
    assert client.read().text == digest_of(body)


def test_an_empty_chunked_body_arrives(client: Client) -> None:
    assert client.send(request("POST", "/digest", CHUNKED) + chunked()).read().text == digest_of(
        b""
    )


def test_chunks_that_come_byte_by_byte_arrive(client: Client) -> None:
    data = chunked(b"one", b"two")
    client.send(request("POST", "/digest", CHUNKED), *(data[i : i + 1] for i in range(len(data))))
    assert client.read().text == digest_of(b"onetwo")


def test_chunk_extensions_and_trailers_reach_nobody(client: Client) -> None:
    body = b"3;name=value\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"
    answer = client.send(request("POST", "/echo", CHUNKED) + body).read()
    assert answer.body == b"abc"
    assert "x-trailer" not in answer.headers
    assert client.get("/hello").body == b"hello\n"


def test_a_body_that_the_program_does_not_read_is_no_harm(client: Client) -> None:
    for _ in range(3):
        assert client.post("/hello", b"x" * 3).body == b"hello\n"


def test_a_client_that_is_still_sending_gets_the_early_answer(client: Client) -> None:
    client.send(request("POST", "/early", "Content-Length: 3000000"), b"x" * 100_000)
    answer = client.read()
    assert (answer.status, answer.body) == (403, b"no, thank you\n")
    assert answer.headers["connection"] == "close"
    client.send(b"x" * 100_000)  # What it still sends does no harm.
    assert client.is_closed()


def test_an_early_answer_costs_only_its_own_connection(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        client.send(request("POST", "/early", "Content-Length: 3000000"), b"x" * 100_000)
        assert client.read().status == 403
        with manager.connect(function_id) as other:
            assert other.get("/hello").body == b"hello\n"


def test_a_cgi_program_is_told_the_length_of_a_chunked_body(manager: ManagerProcess) -> None:
    function_id = manager.add(function("bodies-length", "battery.py"))
    with manager.connect(function_id) as client:
        client.send(request("POST", "/length", CHUNKED) + chunked(b"hel", b"lo"))
        assert client.read().text == "5"
        assert client.post("/length", b"four").text == "4"
        assert client.post("/length", b"").text == "None"
        assert client.get("/length").text == "None"


def test_a_program_sees_a_large_chunked_body_only_when_it_is_complete(
    manager: ManagerProcess,
) -> None:
    function_id = manager.add(function("bodies-spooled", "battery.py"))
    body = os.urandom(100_000)
    with manager.connect(function_id) as client:
        client.send(request("POST", "/digest", CHUNKED))
        for i in range(30):
            client.send(b"%x\r\n%s\r\n" % (len(body), body))
            assert i % 10 or manager.show(function_id)["workers"]["busy"] == 0
        client.send(b"0\r\n\r\n")
        assert client.read().text == digest_of(body * 30)


def test_a_spooled_body_leaves_no_file_when_its_client_leaves(manager: ManagerProcess) -> None:
    function_id = manager.add(function("bodies-left", "battery.py"))

    def spools() -> list[str]:
        fds = f"/proc/{manager.pid}/fd"
        files = []
        for fd in os.listdir(fds):
            try:
                files.append(os.readlink(f"{fds}/{fd}"))
            except FileNotFoundError:
                continue
        return [file for file in files if file.endswith("(deleted)")]

    with manager.connect(function_id) as client:
        client.send(request("POST", "/digest", CHUNKED))
        client.send(*[b"%x\r\n%s\r\n" % (100_000, bytes(100_000))] * 30)
        wait_until(spools, "the body to be spooled to a file")
    wait_until(lambda: not spools(), "the file to be given back")


def test_a_chunked_body_that_takes_too_long_is_answered_408(manager: ManagerProcess) -> None:
    limits = {"timeout": 0.3}
    function_id = manager.add(function("bodies-late", "battery.py", limits=limits))
    with manager.connect(function_id) as client:
        client.send(request("POST", "/digest", CHUNKED), b"3\r\nabc\r\n")
        assert client.read().status == 408
        assert client.is_closed()
    assert manager.stats(function_id)["workers_exited"] == 0


def test_a_spooled_body_waits_for_a_worker_as_long_as_any_other(manager: ManagerProcess) -> None:
    limits = {"queue_timeout": 1.5}
    function_id = manager.add(function("bodies-waits", "battery.py", max=1, limits=limits))
    with manager.connect(function_id) as slow, manager.connect(function_id) as client:
        client.send(request("POST", "/digest", CHUNKED), b"3\r\nabc\r\n")
        slow.send(request("GET", "/sleep?seconds=2"))
        assert slow.read().body == b"slept\n"
        slow.send(request("GET", "/sleep?seconds=0.5"))
        manager.wait_workers(function_id, busy=1)
        client.send(b"0\r\n\r\n")
        assert client.read().status == 200
