"""A process that dies costs what it was doing and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import request
from tests.integration.support.load import Load
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import wait_gone
from tests.integration.support.waiting import wait_until

KINDS = ["single-shot", "multi-shot", "exec", "python"]
CHEAP = {"single-shot": "quick.pl", "multi-shot": "quick.pl", "exec": "quick.sh"}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def add(manager: ManagerProcess, kind: str) -> Callable[..., str]:
    def add(name: str, *, cheap: bool = False, **settings: Any) -> str:
        name = f"{name}-{kind}"
        if kind.endswith("shot"):
            limits = {"requests": 1 if kind == "single-shot" else 0}
            program = CHEAP[kind] if cheap else "worker.py"
            return manager.add_http(name, program, limits=limits, **settings)
        program = CHEAP.get(kind, "battery.py") if cheap else "battery.py"
        return manager.add(function(name, program, runtime=kind, **settings))

    return add


def test_a_worker_killed_in_the_middle_of_a_request_costs_that_request_alone(
    manager: ManagerProcess, add: Callable[..., str], tmp_path: Path
) -> None:
    function_id = add("killed-busy", spare=3, max=6)
    manager.wait_workers(function_id, idle=3)
    gate = tmp_path / "gate"
    gate.touch()
    with manager.connect(function_id) as victim, manager.connect(function_id) as other:
        victim.send(request("GET", f"/wait?file={gate}"))
        seen = Path(f"{gate}.seen")
        wait_until(lambda: seen.exists() and seen.read_text(), "the worker to be at it")
        pid = int(seen.read_text())
        other.send(request("GET", f"/wait?file={gate}"))
        with Load(lambda: manager.connect(function_id), clients=2, target="/hello") as load:
            load.wait_answers(5)
            manager.kill(pid)
            assert victim.read().status == 502
            load.wait_answers(5)
        assert load.failures == []
        assert victim.get("/hello").body == b"hello\n"
        gate.unlink()
        assert other.read().body == b"waited\n"
    entry = manager.wait_logged("request", function_id, "was killed by SIGKILL")
    assert entry["status"] == 502
    assert f"(pid {pid})" in entry["message"]
    assert manager.stats(function_id)["failed"] == 1


def test_a_worker_killed_while_it_is_idle_costs_nothing(
    manager: ManagerProcess, add: Callable[..., str]
) -> None:
    function_id = add("killed-idle", cheap=True, spare=3)
    with manager.connect(function_id) as client:
        for _ in range(3):
            wait_until(lambda: len(manager.pids(function_id, "idle")) >= 3, "the spares")
            pids = manager.pids(function_id, "idle")
            for pid in pids:
                manager.kill(pid)
            wait_gone(*pids)
            assert client.get("/hello").status == 200
            assert client.get("/hello").status == 200
            # Or the deaths would look like those of a program that cannot start.
            wait_until(lambda: manager.show(function_id)["retry_in"] is None, "no more back-off")


def test_a_killed_spawner_costs_no_request_and_comes_back(
    manager: ManagerProcess, add: Callable[..., str]
) -> None:
    function_id = add("killed-spawner", cheap=True, spare=2)
    with Load(lambda: manager.connect(function_id), target="/hello") as load:
        for _ in range(2):
            load.wait_answers(20)
            spawner = manager.show(function_id)["spawner_pid"]
            manager.kill(spawner)
            wait_other_spawner(manager, function_id, spawner)
            load.wait_answers(20)
    assert load.failures == []


def test_a_request_under_way_outlives_its_spawner(
    manager: ManagerProcess, add: Callable[..., str], tmp_path: Path
) -> None:
    function_id = add("orphan", spare=2)
    manager.wait_workers(function_id, idle=2)
    gate = tmp_path / "gate"
    gate.touch()
    with manager.connect(function_id) as client:
        client.send(request("GET", f"/wait?file={gate}"))
        seen = Path(f"{gate}.seen")
        wait_until(lambda: seen.exists() and seen.read_text(), "the worker to be at it")
        pid = int(seen.read_text())
        idle = manager.pids(function_id, "idle")
        spawner = manager.show(function_id)["spawner_pid"]
        manager.kill(spawner)
        wait_gone(*idle)
        gate.unlink()
        assert client.read().body == b"waited\n"
        assert client.get("/hello").body == b"hello\n"
    wait_gone(pid)
    manager.wait_logged("event", function_id, "the spawner ended unexpectedly")


def test_a_killed_zygote_comes_back_with_its_function(manager: ManagerProcess) -> None:
    function_id = manager.add(function("zygote", "battery.py", runtime="python"))
    with manager.connect(function_id) as client:
        assert client.get("/hello").body == b"hello\n"
        shown = manager.wait_workers(function_id, idle=1)
        spawner = shown["spawner_pid"]
        spare = next(p for p in shown["processes"] if p["state"] == "idle")
        zygote = parent(spare["pid"])
        assert parent(zygote) == spawner
        manager.kill(zygote)
        wait_other_spawner(manager, function_id, spawner)
        assert client.get("/hello").body == b"hello\n"


def wait_other_spawner(manager: ManagerProcess, function_id: str, before: int) -> None:
    wait_until(
        lambda: manager.show(function_id)["spawner_pid"] not in (before, None), "another spawner"
    )


def parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return int(stat.read().rpartition(") ")[2].split()[1])
