"""A manager that is asked to stop finishes what is under way and leaves nothing behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import Client, request
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import descendants, wait_gone
from tests.integration.support.waiting import wait_until

KINDS = {
    "single-shot": {"program": "worker.py", "format": "http-stdio"},
    "multi-shot": {"program": "worker.py", "format": "http-stdio", "limits": {"requests": 0}},
    "exec": {"program": "battery.py"},
    "python": {"program": "battery.py", "runtime": "python"},
    "daemon": {"program": "daemon.py", "format": "sdactivate"},
}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ManagerProcess]:
    """A manager of the test's own, which it may stop, with a function of every kind."""
    specs = [function(kind, **settings) for kind, settings in KINDS.items()]  # type: ignore[arg-type]  # plain data
    with ManagerProcess(specs) as manager:
        yield manager


def begin(manager: ManagerProcess, kind: str, gate: Path) -> Client:
    """Have a function of ``kind`` wait for ``gate`` to go."""
    gate.touch()
    client = manager.connect(f"app.test.{kind}")
    client.send(request("GET", f"/wait?file={gate}", "Connection: close"))
    wait_until(Path(f"{gate}.seen").exists, f"{kind} to be at it")
    return client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_under_way_are_finished_and_no_process_and_no_socket_is_left(
    own: ManagerProcess, tmp_path: Path, number: signal.Signals
) -> None:
    clients = {kind: begin(own, kind, tmp_path / kind) for kind in KINDS}
    idle = own.connect("app.test.multi-shot")
    assert idle.get("/hello").status == 200
    processes = descendants(own.pid)
    assert len(processes) > 2 * len(KINDS)
    own.process.send_signal(number)
    assert idle.is_closed()
    for kind, client in clients.items():
        os.unlink(tmp_path / kind)
        answer = client.read()
        assert (kind, answer.status, answer.body) == (kind, 200, b"waited\n")
        client.close()
    assert own.process.wait(10) == 0
    wait_gone(*processes)
    left = [path for path in Path(own.directory).rglob("*") if path.is_socket()]
    assert left == []


def test_requests_that_wait_for_a_worker_are_served_before_the_end(tmp_path: Path) -> None:
    with ManagerProcess([function("f", "worker.py", format="http-stdio", max=1)]) as manager:
        first = begin(manager, "f", tmp_path / "gate")
        with manager.connect("app.test.f") as second:
            second.send(request("GET", "/hello"))
            wait_until(lambda: manager.show("f")["queued"] == 1, "the second to wait")
            manager.process.send_signal(signal.SIGTERM)
            (tmp_path / "gate").unlink()
            assert first.read().body == b"waited\n"
            answer = second.read()
            assert (answer.body, answer.headers["connection"]) == (b"hello\n", "close")
        first.close()
        assert manager.process.wait(10) == 0


def test_a_second_signal_ends_at_once_with_all_processes(own: ManagerProcess) -> None:
    with own.connect("app.test.single-shot") as client:
        client.send(request("GET", "/sleep?seconds=1000"))
        own.wait_workers("app.test.single-shot", busy=1)
        processes = descendants(own.pid)
        own.process.send_signal(signal.SIGTERM)
        assert client_is_refused(own)
        own.process.send_signal(signal.SIGTERM)
        assert own.process.wait(5) == 130
    wait_gone(*processes)


def client_is_refused(manager: ManagerProcess) -> bool:
    def refused() -> bool:
        try:
            manager.connect("app.test.exec").close()
        except OSError:
            return True
        return False

    return wait_until(refused, "new connections to be refused")


def test_a_killed_manager_takes_all_its_processes_with_it(
    own: ManagerProcess, tmp_path: Path
) -> None:
    clients = [begin(own, kind, tmp_path / kind) for kind in KINDS]
    processes = descendants(own.pid)
    own.process.kill()
    own.process.wait()
    os.unlink(tmp_path / "daemon")  # A daemon may finish its requests first.
    wait_gone(*processes)
    for client in clients:
        client.close()
