"""Spare workers stand ready before they are asked for; where none are wanted none run."""

from typing import Any

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import request
from tests.integration.support.load import Load
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import descendants, is_alive, wait_gone
from tests.integration.support.waiting import wait_until

PROGRAMS = {"http-stdio": "quick.pl", "exec": "quick.sh", "python": "battery.py"}


@pytest.fixture(params=PROGRAMS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def add(manager: ManagerProcess, name: str, kind: str, **settings: Any) -> str:
    name = f"{name}-{kind}"
    if kind == "http-stdio":
        return manager.add_http(name, PROGRAMS[kind], **settings)
    return manager.add(function(name, PROGRAMS[kind], runtime=kind, **settings))


def test_spares_run_before_the_first_request(manager: ManagerProcess, kind: str) -> None:
    function_id = add(manager, "ready", kind, spare=3)
    shown = manager.wait_workers(function_id, idle=3, starting=0, busy=0)
    assert shown["state"] == "ready"
    assert shown["requests"] == 0
    pids = {process["pid"] for process in shown["processes"]}
    assert len(pids) == 3
    assert pids <= descendants(shown["spawner_pid"])
    assert all(process["state"] == "idle" for process in shown["processes"])


def test_a_spare_that_was_used_is_replaced(manager: ManagerProcess, kind: str) -> None:
    function_id = add(manager, "replaced", kind, spare=2)
    before = set(manager.pids(manager.wait_workers(function_id, idle=2)["id"]))
    with manager.connect(function_id) as client:
        assert client.get("/hello").status == 200
    wait_until(lambda: len(set(manager.pids(function_id, "idle")) - before) == 1, "a fresh spare")
    assert len(manager.pids(function_id, "idle")) == 2


def test_without_spares_nothing_runs_until_it_is_needed_and_nothing_after(
    manager: ManagerProcess, kind: str
) -> None:
    function_id = add(manager, "zero", kind, spare=0, idle_timeout=0.3)
    for _ in range(2):
        shown = manager.show(function_id)
        assert (shown["state"], shown["processes"], shown["spawner_pid"]) == ("idle", [], None)
        with manager.connect(function_id) as client:
            assert client.get("/hello").status == 200
            spawner = manager.show(function_id)["spawner_pid"]
            assert is_alive(spawner)
            below = {spawner, *descendants(spawner)}
        wait_until(lambda: manager.show(function_id)["spawner_pid"] is None, "the spawner to go")
        wait_gone(*below)


def test_workers_above_the_spares_are_ended_when_they_are_idle(manager: ManagerProcess) -> None:
    limits = {"requests": 0}
    function_id = manager.add_http("surplus", spare=1, max=4, idle_timeout=0.3, limits=limits)
    clients = [manager.connect(function_id) for _ in range(4)]
    for client in clients:
        client.send(request("GET", "/sleep?seconds=0.3"))
    manager.wait_workers(function_id, busy=4)
    assert [client.read().body for client in clients] == [b"slept\n"] * 4
    for client in clients:
        client.close()
    manager.wait_workers(function_id, idle=1, busy=0, ending=0)


def test_there_are_never_more_workers_than_allowed(manager: ManagerProcess, kind: str) -> None:
    function_id = add(manager, "most", kind, spare=2, max=3)
    target = "/hello"
    with Load(lambda: manager.connect(function_id), clients=8, target=target) as load:
        spawner = manager.show(function_id)["spawner_pid"]
        zygote = 1 if kind == "python" else 0
        for _ in range(20):
            load.wait_answers(5)
            assert len(manager.pids(function_id)) <= 3
            assert len(descendants(spawner)) <= 3 + zygote
    assert load.failures == []


def test_the_manager_counts_what_it_started_and_what_ended(manager: ManagerProcess) -> None:
    function_id = manager.add_http("counted", "quick.pl", spare=1)
    with manager.connect(function_id) as client:
        for _ in range(5):
            client.get("/")
    wait_until(lambda: manager.stats(function_id)["workers_exited"] == 5, "five ends")
    assert manager.stats(function_id)["workers_started"] == 6
    assert manager.stats(function_id)["statuses"] == {"2xx": 5}
