"""The control socket answers every line with a line, and nothing that it is sent harms it."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from conductor import dirs
from conductor.errors import ConductorError, UserError
from tests.integration.support.functions import function
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.waiting import DEADLINE, wait_until

MIB = 1024 * 1024


class Control:
    """A connection to the control socket that says what a test wants said."""

    def __init__(self, manager: ManagerProcess) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(dirs.control_socket(manager.directory))
        self._lines = self.socket.makefile("rb")

    def ask(self, line: bytes) -> dict[str, Any]:
        self.socket.sendall(line)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        line = self._lines.readline()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def is_closed(self) -> bool:
        return self._lines.readline() == b""

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


@pytest.fixture
def control(manager: ManagerProcess) -> Iterator[Control]:
    control = Control(manager)
    yield control
    control.close()


@pytest.fixture(scope="module")
def function_id(manager: ManagerProcess) -> str:
    spec = function(
        "f", "worker.py", format="http-stdio", part_id="part-of-f", limits={"requests": 0}
    )
    function_id = manager.add(spec)
    with manager.connect(function_id) as client:
        assert client.get("/hello?first").status == 200
        assert client.get("/nowhere").status == 404
        assert client.get("/die").status == 502
    manager.wait_workers(function_id, idle=1)
    return function_id


# What goes over the socket.


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"garbage\n",
        b"\xff\xfe\0\n",
        b"[]\n",
        b"{}\n",
        b'"list"\n',
        b"null\n",
        b'{"op": 1}\n',
        b'{"op": ["list"]}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_what_is_no_request_is_told_so(control: Control, line: bytes) -> None:
    answer = control.ask(line)
    assert (answer["ok"], answer["exit_status"]) == (False, 2)
    assert "a request is one line" in answer["error"]
    assert control.ask(b'{"op": "list"}\n')["ok"]  # The connection is still good.


def test_an_unknown_operation_is_told_which_there_are(control: Control) -> None:
    answer = control.ask(b'{"op": "dance"}\n')
    assert (answer["ok"], answer["exit_status"]) == (False, 2)
    assert "unknown operation 'dance'" in answer["error"]
    for name in ("add", "drain", "list", "logs", "remove", "restart", "show", "stats"):
        assert name in answer["error"]


def test_a_line_that_is_too_long_is_refused_and_the_connection_closed(control: Control) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # we are interrupted
        control.socket.sendall(b"x" * (2 * MIB))
    answer = control.answer()
    assert (answer["ok"], answer["exit_status"]) == (False, 2)
    assert "over 1048576 bytes" in answer["error"]
    assert control.is_closed()


def test_requests_sent_at_once_are_answered_in_their_order(
    control: Control, function_id: str
) -> None:
    first = control.ask(b'{"op": "list"}\n{"op": "dance"}\n{"op": "stats"}\n')
    assert "functions" in first["result"]
    assert "dance" in control.answer()["error"]
    assert "manager" in control.answer()["result"]


def test_a_client_that_leaves_at_once_is_no_harm(manager: ManagerProcess) -> None:
    for line in (b"", b'{"op": "li', b'{"op": "list"}\n', b'{"op": "logs", "follow": true}\n'):
        control = Control(manager)
        control.socket.sendall(line)
        control.close()
    assert manager.call("list")["functions"] is not None


def test_a_client_too_many_is_told_so(manager: ManagerProcess) -> None:
    clients = [Control(manager) for _ in range(64)]
    assert all(client.ask(b'{"op": "list"}\n')["ok"] for client in clients)
    one_more = Control(manager)
    answer = one_more.ask(b"")
    assert not answer["ok"]
    for client in (*clients, one_more):
        client.close()
    wait_until(lambda: answers(manager), "the others to be forgotten")


def answers(manager: ManagerProcess) -> bool:
    try:
        return bool(manager.call("list"))
    except ConductorError:
        return False


def test_only_the_owner_may_connect(manager: ManagerProcess) -> None:
    mode = os.stat(dirs.control_socket(manager.directory)).st_mode & 0o777
    assert mode == 0o600


# What there is to be known.


def test_list_and_show_tell_of_a_function(manager: ManagerProcess, function_id: str) -> None:
    (status,) = (f for f in manager.call("list")["functions"] if f["id"] == function_id)
    assert status | {"workers": {}, "last_error": ""} == {
        "id": "app.test.f",
        "name": "f",
        "part_id": "part-of-f",
        "deployment": "",
        "format": "http-stdio",
        "runtime": "",
        "state": "ready",
        "workers": {},
        "spare": 1,
        "max": 8,
        "queued": 0,
        "requests": 3,
        "failed": 1,
        "restarts": 0,
        "last_error": "",
        "retry_in": None,
        "socket": manager.socket_of(function_id),
    }
    assert status["workers"] == {"starting": 0, "idle": 1, "busy": 0, "ending": 0}
    assert "exited with status 3" in status["last_error"]
    for name in ("app.test.f", "f", "part-of-f"):
        shown = manager.show(name)
        assert shown.items() >= status.items()
        assert shown["spec"]["id"] == function_id
        (process,) = shown["processes"]
        assert process.keys() == {"pid", "state", "age", "requests"}
        assert shown["spawner_pid"] > 0


def test_stats_count(manager: ManagerProcess, function_id: str) -> None:
    stats = manager.call("stats")
    assert stats["manager"]["pid"] == manager.pid
    assert stats["manager"]["functions"] == 1
    assert 0 < stats["manager"]["rss"] < 100 * MIB
    assert stats["manager"]["uptime"] > 0
    (numbers,) = stats["functions"]
    assert numbers["statuses"] == {"2xx": 1, "4xx": 1, "5xx": 1}
    assert (numbers["requests"], numbers["failed"], numbers["refused"]) == (3, 1, 0)
    for kind in ("latency_ms", "queue_ms", "worker_ms"):
        assert numbers[kind].keys() == {"p50", "p90", "p99", "max"}
    assert 0 < numbers["latency_ms"]["p50"] <= numbers["latency_ms"]["max"]
    assert manager.stats(function_id) == numbers | {"rate": manager.stats(function_id)["rate"]}


@pytest.mark.parametrize("op", ["show", "stats", "restart", "remove", "drain", "logs"])
def test_a_name_that_nobody_has_is_told_so(manager: ManagerProcess, op: str) -> None:
    with pytest.raises(UserError, match="no function is called nobody"):
        manager.call(op, function="nobody")


@pytest.mark.parametrize("name", [1, ["f"], {}, True])
def test_a_name_that_is_none_is_told_so(manager: ManagerProcess, name: object) -> None:
    with pytest.raises(UserError, match="which function"):
        manager.call("show", function=name)


def test_an_ambiguous_name_is_told_which_there_are(manager: ManagerProcess) -> None:
    for application in ("one", "two"):
        spec = function("same", "worker.py", format="http-stdio", spare=0).to_json()
        spec |= {"id": f"{application}.test.same", "socket": manager.socket_of(application)}
        manager.call("add", spec=spec)
    with pytest.raises(UserError, match=r"several .* same: one\.test\.same, two\.test\.same"):
        manager.show("same")
    for application in ("one", "two"):
        manager.call("remove", function=f"{application}.test.same")


# Logs.


def test_logs_are_told_again(manager: ManagerProcess, function_id: str) -> None:
    entries = list(manager.client.stream("logs", timeout=DEADLINE, function="f", lines=100))
    requests = [entry for entry in entries if entry["kind"] == "request"]
    assert [entry["path"] for entry in requests] == ["/hello?first", "/nowhere", "/die"]
    assert [entry["status"] for entry in requests] == [200, 404, 502]
    assert requests[0].keys() == {
        "time", "kind", "function", "message", "method", "path", "status", "bytes",
        "queue_ms", "worker_ms", "total_ms",
    }  # fmt: skip
    lines = [entry["message"] for entry in entries if entry["kind"] == "stderr"]
    assert "out of ideas" in lines
    assert [entry["time"] for entry in entries] == sorted(entry["time"] for entry in entries)


@pytest.mark.parametrize(("lines", "count"), [(0, 0), (1, 1), (2, 2), (-5, 0), ("x", 10)])
def test_logs_are_as_many_as_wanted(manager: ManagerProcess, lines: object, count: int) -> None:
    function_id = manager.add_http(f"logs-{count}", limits={"requests": 0})
    with manager.connect(function_id) as client:
        for _ in range(12):
            client.get("/hello")
    stream = manager.client.stream("logs", timeout=DEADLINE, function=function_id, lines=lines)
    assert len(list(stream)) == count
    manager.call("remove", function=function_id)


def test_logs_can_be_followed(manager: ManagerProcess, function_id: str) -> None:
    stream = manager.client.stream(
        "logs", timeout=DEADLINE, function=function_id, lines=1, follow=True
    )
    next(stream)  # The last entry so far; from here on it follows.
    with manager.connect(function_id) as client:
        for number in range(3):
            client.get(f"/hello?{number}")
            assert next(stream)["path"] == f"/hello?{number}"
    stream.close()  # type: ignore[attr-defined]  # a generator


def test_a_follower_of_one_function_hears_of_no_other(
    manager: ManagerProcess, function_id: str
) -> None:
    other = manager.add_http("other", limits={"requests": 0})
    stream = manager.client.stream(
        "logs", timeout=DEADLINE, function=function_id, lines=1, follow=True
    )
    next(stream)
    with manager.connect(other) as client:
        client.get("/hello?other")
    with manager.connect(function_id) as client:
        client.get("/hello?mine")
    assert next(stream)["path"] == "/hello?mine"
    stream.close()  # type: ignore[attr-defined]  # a generator
    manager.call("remove", function=other)


# One manager for a run directory.


def test_a_second_manager_on_the_same_run_directory_is_refused(
    manager: ManagerProcess, function_id: str
) -> None:
    second = ManagerProcess(run_dir=manager.directory)
    assert second.process.wait(DEADLINE) == 2
    assert "another manager uses this run directory" in second.log()
    assert second.process.stdout is not None
    second.process.stdout.close()
    with manager.connect(function_id) as client:
        assert client.get("/hello").status == 200


def test_a_run_directory_that_a_killed_manager_left_is_taken_over() -> None:
    with ManagerProcess() as first:
        function_id = first.add_http("left", "quick.pl")
        first.process.kill()
        first.process.wait()
        assert os.path.exists(first.socket_of(function_id))
        with ManagerProcess(run_dir=first.directory) as second:
            second.add_http("left", "quick.pl")
            with second.connect(function_id) as client:
                assert client.get("/").status == 200
