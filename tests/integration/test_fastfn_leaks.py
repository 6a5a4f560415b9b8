"""After thousands of requests descriptors, processes, threads and memory are what they were."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import BrokenAnswer, request
from tests.integration.support.load import Load
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import (
    count_fds,
    count_threads,
    descendants,
    resident,
)
from tests.integration.support.waiting import wait_until

MIB = 1024 * 1024
ALWAYS_TWO: dict[str, Any] = {
    "spare": 2,
    "max": 2,
}  # or demand would still be felt for half a minute
REQUESTS = {  # of each function, to recycle its workers many times
    "single-shot": 400,
    "recycled": 600,
    "exec": 400,
    "python": 400,
    "daemon": 200,
}


@pytest.fixture(scope="module")
def own() -> Iterator[ManagerProcess]:
    """A manager of this module's own: nothing else may happen in it."""
    stdio: dict[str, Any] = {"program": "quick.pl", "format": "http-stdio", **ALWAYS_TWO}
    specs = [
        function("single-shot", **stdio),
        function("recycled", **stdio, limits={"requests": 20}),
        function("exec", "quick.sh", **ALWAYS_TWO),
        function("python", "word.py", runtime="python", arguments=("x",), **ALWAYS_TWO),
        function("daemon", "daemon.py", format="sdactivate", **ALWAYS_TWO),
        function("worker", "worker.py", format="http-stdio", **ALWAYS_TWO),
    ]
    with ManagerProcess(specs) as manager:
        yield manager


def serve(manager: ManagerProcess, share: float) -> None:
    """Serve a share of all requests, right ones and wrong ones."""
    for name, count in REQUESTS.items():
        target = f"/cgi/app.test.{name}/"
        with Load(manager.connect_tcp, clients=4, target=target) as load:
            load.wait_answers(int(count * share))
        assert load.failures == []
    for _ in range(int(20 * share) + 1):
        misbehave(manager)


def misbehave(manager: ManagerProcess) -> None:
    with manager.connect("app.test.worker") as client:
        client.send(b"nonsense\r\n\r\n").read()
    with manager.connect("app.test.worker") as client, pytest.raises(BrokenAnswer):
        client.get("/cut")
    with manager.connect("app.test.worker") as client:
        assert client.get("/die").status == 502
    with manager.connect("app.test.worker") as client:
        client.send(request("GET", "/sleep?seconds=100"))
        wait_until(lambda: manager.pids("worker", "busy"), "the worker to be busy")


def used(manager: ManagerProcess) -> dict[str, object]:
    """Return what is counted, of the manager and of each spawner."""
    spawners = [f["id"] for f in manager.call("list")["functions"]]
    pids = {name: manager.show(name)["spawner_pid"] for name in spawners}
    return {
        "fds": count_fds(manager.pid),
        "threads": count_threads(manager.pid),
        "processes": len(descendants(manager.pid)),
        "spawners' fds": {name: count_fds(pid) for name, pid in pids.items()},
    }


def is_at_rest(manager: ManagerProcess) -> bool:
    states = [function["workers"] for function in manager.call("list")["functions"]]
    idle = {"starting": 0, "idle": 2, "busy": 0, "ending": 0}
    return all(state == idle for state in states)


def test_two_thousand_requests_leave_nothing_behind(own: ManagerProcess) -> None:
    serve(own, share=0.1)  # What is made once is there.
    wait_until(lambda: is_at_rest(own), "rest")
    before, memory = used(own), resident(own.pid)
    serve(own, share=1)
    wait_until(lambda: is_at_rest(own) and used(own) == before, f"{before} again")
    assert resident(own.pid) - memory < 8 * MIB
