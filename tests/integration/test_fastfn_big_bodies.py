"""Bodies stream: however large they are, up or down, the manager's memory stays as it was."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import request
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import resident
from tests.integration.support.waiting import wait_until

MIB = 1024 * 1024
SIZE = 256 * MIB
GROWTH = 60 * MIB
BLOCK = bytes(range(256)) * 4096  # one MiB


@pytest.fixture(scope="module", params=["http-stdio", "exec", "python"])
def function_id(manager: ManagerProcess, request: pytest.FixtureRequest) -> str:
    kind = request.param
    if kind == "http-stdio":
        return manager.add_http("big")
    return manager.add(function(f"big-{kind}", "battery.py", runtime=kind))


@contextmanager
def bounded_memory(manager: ManagerProcess) -> Iterator[None]:
    """Fail when the manager's largest size meanwhile is too far above what it was."""
    with open(f"/proc/{manager.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # Sets VmHWM back to VmRSS: proc_pid_clear_refs(5).
    before = resident(manager.pid)
    yield
    assert resident(manager.pid, "VmHWM") - before < GROWTH


def test_a_large_download_is_not_kept_in_memory(manager: ManagerProcess, function_id: str) -> None:
    with bounded_memory(manager), manager.connect(function_id) as client:
        client.send(request("GET", f"/zeros?size={SIZE}")).read_head()
        received = 0
        while data := client.next_data():
            received += len(data)
        assert received == SIZE


def test_a_large_upload_is_not_kept_in_memory(manager: ManagerProcess, function_id: str) -> None:
    with bounded_memory(manager), manager.connect(function_id) as client:
        client.send(request("POST", "/count", f"Content-Length: {SIZE}"))
        client.send(*[BLOCK] * (SIZE // MIB))
        assert client.read().text == f"{SIZE}"


def test_a_large_chunked_upload_is_not_kept_in_memory(
    manager: ManagerProcess, function_id: str
) -> None:
    digest = hashlib.sha256()
    with bounded_memory(manager), manager.connect(function_id) as client:
        client.send(request("POST", "/digest", "Transfer-Encoding: chunked"))
        for _ in range(64):
            digest.update(BLOCK)
            client.send(b"%x\r\n" % len(BLOCK), BLOCK, b"\r\n")
        client.send(b"0\r\n\r\n")
        assert client.read().text == f"{64 * MIB} {digest.hexdigest()}"


def test_a_client_that_reads_slowly_holds_the_program_up_and_not_the_memory(
    manager: ManagerProcess, function_id: str
) -> None:
    with bounded_memory(manager), manager.connect(function_id) as client:
        client.send(request("GET", f"/zeros?size={SIZE}")).read_head()
        wait_held_up(manager, function_id)
        assert written(manager, function_id) < GROWTH
        assert sum(map(len, iter(client.next_data, b""))) == SIZE


def test_a_program_that_reads_slowly_holds_the_client_up_and_not_the_memory(
    manager: ManagerProcess, function_id: str
) -> None:
    with bounded_memory(manager), manager.connect(function_id) as client:
        client.send(request("POST", "/slow_start", f"Content-Length: {SIZE}"))
        sender = threading.Thread(target=client.send, args=[BLOCK] * (SIZE // MIB))
        sender.start()
        assert client.read().text == f"{SIZE}"
        sender.join()


def test_a_body_goes_through_both_ways_at_once(manager: ManagerProcess) -> None:
    function_id = manager.add_http("big-echo", limits={"requests": 0})
    with bounded_memory(manager), manager.connect(function_id) as client:
        client.send(request("POST", "/echo", f"Content-Length: {64 * MIB}"))
        sender = threading.Thread(target=client.send, args=[BLOCK] * 64)
        sender.start()
        assert hashlib.sha256(client.read().body).digest() == hashlib.sha256(BLOCK * 64).digest()
        sender.join()


def written(manager: ManagerProcess, function_id: str) -> int:
    """Return how many bytes the busy worker has written (proc_pid_io(5))."""
    (pid,) = manager.pids(function_id, "busy")
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("wchar:"))


def wait_held_up(manager: ManagerProcess, function_id: str) -> None:
    """Wait until the busy worker writes nothing more."""
    seen = [-1]

    def held_up() -> bool:
        seen.append(written(manager, function_id))
        return seen[-1] == seen[-2]

    wait_until(held_up, "the program to be held up", poll=0.1)
