"""When the client leaves, everything that worked for it is ended: workers, children, theirs too."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import Client, request
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import is_alive, wait_gone
from tests.integration.support.waiting import wait_until


@pytest.fixture(scope="module", params=["single-shot", "multi-shot", "exec", "python"])
def function_id(manager: ManagerProcess, request: pytest.FixtureRequest) -> str:
    return add(manager, "disconnect", request.param)


def add(manager: ManagerProcess, name: str, kind: str, **settings: Any) -> str:
    name = f"{name}-{kind}"
    if kind in ("exec", "python"):
        return manager.add(function(name, "battery.py", runtime=kind, **settings))
    limits = {"requests": 1 if kind == "single-shot" else 0}
    return manager.add_http(name, limits=limits, **settings)


def start_family(client: Client, file: Path, query: str = "") -> list[int]:
    """Have a worker wait for its children; return its process id and theirs, three in all."""
    client.send(request("GET", f"/family?file={file}{query}"))
    pids = wait_until(lambda: lines_of(file, 3), "the family to be complete")
    assert all(is_alive(pid) for pid in pids)
    return pids


def lines_of(file: Path, count: int) -> list[int]:
    lines = file.read_text().split() if file.exists() else []
    return [int(line) for line in lines] if len(lines) == count else []


def test_the_worker_and_its_descendants_end_when_the_client_leaves(
    manager: ManagerProcess, function_id: str, tmp_path: Path
) -> None:
    with manager.connect(function_id) as client:
        pids = start_family(client, tmp_path / "pids", "&gentle=1")
    wait_gone(*pids)
    entry = manager.wait_logged("request", function_id, "the client closed the connection")
    assert entry["status"] == 499


def test_descendants_that_do_not_listen_are_killed(manager: ManagerProcess, tmp_path: Path) -> None:
    leaving = add(manager, "stubborn", "single-shot")
    limits = {"timeout": 0.5}
    late = manager.add_http("stubborn-late", limits=limits)
    with manager.connect(late) as client:
        timed_out = start_family(client, tmp_path / "late")
        with manager.connect(leaving) as other:
            left = start_family(other, tmp_path / "left")
        assert client.read().status == 504
    wait_gone(*left, *timed_out)


def test_a_client_that_leaves_while_it_waits_is_forgotten(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    function_id = add(manager, "waiting", "multi-shot", max=1)
    gate = tmp_path / "gate"
    gate.touch()
    with manager.connect(function_id) as first:
        first.send(request("GET", f"/wait?file={gate}"))
        manager.wait_workers(function_id, busy=1)
        with manager.connect(function_id) as second:
            second.send(request("GET", "/hello"))
            wait_until(lambda: manager.show(function_id)["queued"] == 1, "the second to wait")
        wait_until(lambda: manager.show(function_id)["queued"] == 0, "the second to be forgotten")
        gate.unlink()
        assert first.read().body == b"waited\n"
        assert first.get("/pid").text.endswith(" 2")  # The worker saw the two and no third.


def test_a_client_that_had_to_wait_is_still_watched(
    manager: ManagerProcess, function_id: str, tmp_path: Path
) -> None:
    function_id = add(manager, "watched", function_id.rpartition("disconnect-")[2], max=1)
    gate = tmp_path / "gate"
    gate.touch()
    with manager.connect(function_id) as first, manager.connect(function_id) as second:
        first.send(request("GET", f"/wait?file={gate}"))
        manager.wait_workers(function_id, busy=1)
        second.send(request("POST", f"/family?gentle=1&file={tmp_path}/pids", body=b"body"))
        wait_until(lambda: manager.show(function_id)["queued"] == 1, "the second to wait")
        gate.unlink()
        assert first.read().status == 200
        pids = wait_until(lambda: lines_of(tmp_path / "pids", 3), "the family to be complete")
        second.close()
        wait_gone(*pids)


def test_a_client_that_leaves_after_a_large_upload_is_noticed(
    manager: ManagerProcess, function_id: str, tmp_path: Path
) -> None:
    path = f"/digest_family?gentle=1&file={tmp_path}/pids"
    with manager.connect(function_id) as client:
        client.send(request("POST", path, body=bytes(2_000_000)))
        pids = wait_until(lambda: lines_of(tmp_path / "pids", 3), "the family to be complete")
    wait_gone(*pids)


def test_a_client_that_leaves_in_the_middle_of_its_body_ends_the_worker(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        client.send(request("POST", "/digest", "Content-Length: 1000"), b"x" * 10)
        (pid,) = wait_until(lambda: manager.pids(function_id, "busy"), "a worker to be busy")
    wait_gone(pid)
    with manager.connect(function_id) as client:
        assert client.get("/hello").body == b"hello\n"


def test_a_client_that_leaves_in_the_middle_of_an_answer_ends_the_worker(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        client.send(request("GET", "/zeros?size=1000000000")).read_head()
        (pid,) = manager.pids(function_id, "busy")
    wait_gone(pid)
