"""Requests wait for a worker in their order, so many and so long as allowed."""

import time
from pathlib import Path

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import BrokenAnswer, Client, request
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import wait_gone
from tests.integration.support.waiting import wait_until


def occupy(manager: ManagerProcess, function_id: str, gate: Path) -> Client:
    """Keep the function's only worker busy until ``gate`` is gone."""
    gate.touch()
    client = manager.connect(function_id)
    client.send(request("GET", f"/wait?file={gate}"))
    manager.wait_workers(function_id, busy=1)
    return client


def wait_queued(manager: ManagerProcess, function_id: str, count: int) -> None:
    wait_until(lambda: manager.show(function_id)["queued"] == count, f"{count} to wait")


def test_requests_that_wait_are_answered_in_their_order(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    function_id = manager.add_http("order", max=1, limits={"requests": 0})
    clients = [occupy(manager, function_id, tmp_path / "gate")]
    for count in range(1, 4):
        clients.append(manager.connect(function_id).send(request("GET", "/pid")))
        wait_queued(manager, function_id, count)
    (tmp_path / "gate").unlink()
    assert clients[0].read().body == b"waited\n"
    assert [client.read().text.split()[1] for client in clients[1:]] == ["2", "3", "4"]
    for client in clients:
        client.close()


def test_one_too_many_is_refused_at_once_and_told_when_to_come_back(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    function_id = manager.add_http("full", max=1, limits={"queue": 1})
    with (
        occupy(manager, function_id, tmp_path / "gate") as first,
        manager.connect(function_id) as second,
        manager.connect(function_id) as third,
    ):
        second.send(request("GET", "/hello"))
        wait_queued(manager, function_id, 1)
        answer = third.get("/hello")
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) >= 1
        (tmp_path / "gate").unlink()
        assert first.read().status == 200
        assert second.read().status == 200
        assert third.get("/hello").status == 200  # Its connection is still good.
    assert manager.stats(function_id)["refused"] == 1
    manager.wait_logged("request", function_id, "the queue is full")


def test_who_waits_too_long_is_told_so(manager: ManagerProcess, tmp_path: Path) -> None:
    function_id = manager.add_http("long", max=1, limits={"queue_timeout": 0.3})
    with (
        occupy(manager, function_id, tmp_path / "gate") as first,
        manager.connect(function_id) as second,
    ):
        begin = time.monotonic()
        assert second.get("/hello").status == 504
        assert 0.2 < time.monotonic() - begin < 5
        (tmp_path / "gate").unlink()
        assert first.read().body == b"waited\n"
    manager.wait_logged("request", function_id, "waited too long for a worker")


def test_without_a_queue_nobody_waits(manager: ManagerProcess, tmp_path: Path) -> None:
    function_id = manager.add_http("none", max=1, limits={"queue": 0})
    with (
        occupy(manager, function_id, tmp_path / "gate") as first,
        manager.connect(function_id) as second,
    ):
        assert second.get("/hello").status == 503
        (tmp_path / "gate").unlink()
        assert first.read().status == 200


def test_a_body_that_breaks_while_its_request_waits_leaves_the_queue(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    function_id = manager.add_http("broken", max=1, limits={"requests": 0})
    with (
        occupy(manager, function_id, tmp_path / "gate") as first,
        manager.connect(function_id) as second,
    ):
        second.send(request("POST", "/digest", "Transfer-Encoding: chunked"))
        wait_queued(manager, function_id, 1)
        second.send(b"nonsense\r\n")
        assert second.read().status == 400
        assert manager.show(function_id)["queued"] == 0
        (tmp_path / "gate").unlink()
        assert first.read().status == 200
        assert first.get("/hello").body == b"hello\n"


@pytest.mark.parametrize("kind", ["single-shot", "multi-shot", "exec", "python"])
def test_a_request_over_its_time_is_told_so_and_its_processes_are_ended(
    manager: ManagerProcess, tmp_path: Path, kind: str
) -> None:
    limits = {"timeout": 1.5, "requests": 0 if kind == "multi-shot" else 1}
    if kind.endswith("shot"):
        function_id = manager.add_http(f"late-{kind}", limits=limits)
    else:
        function_id = manager.add(
            function(f"late-{kind}", "battery.py", runtime=kind, limits=limits)
        )
    file = tmp_path / "pids"
    with manager.connect(function_id) as client:
        assert client.get(f"/family?gentle=1&file={file}").status == 504
        pids = [int(line) for line in file.read_text().split()]
        assert len(pids) == 3
        wait_gone(*pids)
        assert client.get("/hello").body == b"hello\n"
    manager.wait_logged("request", function_id, "did not answer in 1.5 s")


def test_an_answer_over_its_time_is_broken_off(manager: ManagerProcess, tmp_path: Path) -> None:
    function_id = manager.add(function("late-body", "battery.py", limits={"timeout": 1}))
    with manager.connect(function_id) as client:
        client.send(request("GET", f"/begin_and_wait?file={tmp_path}"))
        assert client.read_head().status == 200
        with pytest.raises(BrokenAnswer):
            client.read_rest()
