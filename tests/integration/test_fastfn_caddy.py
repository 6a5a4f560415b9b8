"""The same promises with a real Caddy in front, as in production."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import Client, chunked, request
from tests.integration.support.load import Load
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import wait_gone
from tests.integration.support.waiting import wait_until

UPGRADE = ("Connection: Upgrade", "Upgrade: shout")


@pytest.fixture(scope="module")
def caddy() -> Iterator[ManagerProcess]:
    quick = {"program": "quick.pl", "format": "http-stdio"}
    specs = [
        function("stdio", "worker.py", format="http-stdio", path_info_strip=2),
        function("cgi", "battery.py", path_info_strip=2, part_id="0123abcd"),
        function("python", "battery.py", runtime="python", path_info_strip=2),
        function("daemon", "daemon.py", format="sdactivate", spare=0, path_info_strip=2),
        function("recycled", **quick, spare=2, limits={"requests": 20}),  # type: ignore[arg-type]  # plain data
        function("kept", **quick, spare=2, limits={"requests": 0}),  # type: ignore[arg-type]  # likewise
        function("exec", "quick.sh", spare=2),
    ]
    with ManagerProcess(specs, caddy=True) as manager:
        yield manager


@pytest.fixture
def client(caddy: ManagerProcess) -> Iterator[Client]:
    with caddy.connect_tcp() as client:
        yield client


@pytest.mark.parametrize("name", ["stdio", "cgi", "python", "daemon"])
def test_every_format_answers(client: Client, name: str) -> None:
    for _ in range(3):
        answer = client.get(f"/cgi/app.test.{name}/hello")
        assert (answer.status, answer.body) == (200, b"hello\n")


def test_a_part_id_leads_to_its_function(client: Client) -> None:
    assert client.get("/cgi/0123abcd/hello").body == b"hello\n"


def test_another_path_is_not_found(client: Client) -> None:
    for path in ("/", "/cgi/", "/cgi/app.test.unknown/", "/cgi/app.test.cgix/hello"):
        answer = client.get(path)
        assert (answer.status, answer.body) == (404, b"No function here.\n")


@pytest.mark.parametrize("name", ["stdio", "cgi", "python"])
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_bodies_arrive_whole(client: Client, name: str, size: int) -> None:
    body = os.urandom(size)
    digest = f"{size} {hashlib.sha256(body).hexdigest()}"
    target = f"/cgi/app.test.{name}/digest"
    assert client.post(target, body).text == digest
    client.send(request("POST", target, "Transfer-Encoding: chunked"))
    client.send(chunked(*(body[i : i + 70_000] for i in range(0, size, 70_000))))
    assert client.read().text == digest


def test_a_download_arrives_whole(client: Client) -> None:
    assert len(client.get("/cgi/app.test.cgi/zeros?size=5000000").body) == 5_000_000


def test_the_client_is_asked_for_its_body(client: Client) -> None:
    client.send(
        request("POST", "/cgi/app.test.cgi/echo", "Expect: 100-continue", "Content-Length: 5")
    )
    assert client.receive_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert client.send(b"hello").read().body == b"hello"


def test_head_and_its_length_pass(client: Client) -> None:
    for name in ("stdio", "cgi", "python"):
        answer = client.send(request("HEAD", f"/cgi/app.test.{name}/of_head")).read("HEAD")
        assert answer.headers["content-length"] == "123456"


def test_the_program_learns_who_the_client_is(client: Client) -> None:
    fields = ("X-Forwarded-For: 192.0.2.1", "Proxy: http://evil.test", "Conductor-User: root")
    seen = client.get("/cgi/app.test.cgi/a/environment", *fields).text
    assert '"REMOTE_ADDR": "127.0.0.1"' in seen
    assert '"SCRIPT_NAME": "/cgi/app.test.cgi"' in seen
    assert '"PATH_INFO": "/a/environment"' in seen
    assert '"SERVER_NAME": "example.test"' in seen
    for lie in ("evil", "192.0.2.1", "CONDUCTOR_USER"):
        assert lie not in seen


@pytest.mark.parametrize("name", ["stdio", "cgi", "python"])
def test_events_arrive_as_they_are_written(client: Client, tmp_path: Path, name: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    client.send(request("GET", f"/cgi/app.test.{name}/events?pipe={pipe}"))
    assert client.read_head().headers["content-type"] == "text/event-stream"
    with open(pipe, "wb", buffering=0) as next_one:
        for number in range(5):
            assert client.next_data() == b"data: %d\n\n" % number
            next_one.write(b".")
        assert client.next_data() == b"data: 5\n\n"
    assert client.next_data() == b""


def test_upgrade_makes_a_tunnel(client: Client) -> None:
    client.send(request("GET", "/cgi/app.test.stdio/upgrade", *UPGRADE))
    assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    assert client.receive(8) == b"WELCOME\n"
    for word in (b"one", b"two"):
        assert client.send(word).receive(3) == word.upper()


@pytest.mark.parametrize("name", ["stdio", "cgi", "python"])
def test_a_client_that_leaves_ends_what_worked_for_it(
    caddy: ManagerProcess, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "pids"
    with caddy.connect_tcp() as client:
        client.send(request("GET", f"/cgi/app.test.{name}/family?gentle=1&file={file}"))
        pids = wait_until(lambda: lines_of(file, 3), "the family to be complete")
    wait_gone(*pids)


def lines_of(file: Path, count: int) -> list[int]:
    lines = file.read_text().split() if file.exists() else []
    return [int(line) for line in lines] if len(lines) == count else []


@pytest.mark.parametrize("name", ["recycled", "kept", "exec"])
def test_restarts_and_recycling_under_load_lose_no_request(
    caddy: ManagerProcess, name: str
) -> None:
    target = f"/cgi/app.test.{name}/"
    with Load(caddy.connect_tcp, clients=6, target=target) as load:
        for _ in range(2):
            load.wait_answers(100)
            caddy.call("restart", function=name)
        load.wait_answers(100)
    assert load.failures == []


def test_a_killed_worker_costs_one_request(caddy: ManagerProcess, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    with caddy.connect_tcp() as victim, caddy.connect_tcp() as other:
        victim.send(request("GET", f"/cgi/app.test.stdio/wait?file={gate}"))
        seen = Path(f"{gate}.seen")
        wait_until(lambda: seen.exists() and seen.read_text(), "the worker to be at it")
        caddy.kill(int(seen.read_text()))
        assert victim.read().status == 502
        assert other.get("/cgi/app.test.stdio/hello").body == b"hello\n"
        assert victim.get("/cgi/app.test.stdio/hello").body == b"hello\n"


def test_caddy_keeps_its_connections_to_the_manager(caddy: ManagerProcess) -> None:
    def connections() -> int:
        count: int = caddy.call("stats")["manager"]["connections"]
        return count

    target = "/cgi/app.test.kept/"
    with Load(caddy.connect_tcp, clients=4, target=target) as load:
        load.wait_answers(50)
        before = connections()
        load.wait_answers(200)
        assert connections() <= before + 1
    assert load.failures == []


def test_what_caddy_is_given_stays_the_same_when_a_function_is_replaced(
    caddy: ManagerProcess, client: Client
) -> None:
    config = Path(caddy.directory, "caddy", "caddy.json")
    before = config.read_bytes()
    caddy.add(function("kept", "quick.pl", format="http-stdio", arguments=("new",)))
    assert client.get("/cgi/app.test.kept/").text.endswith(" new")
    assert config.read_bytes() == before
