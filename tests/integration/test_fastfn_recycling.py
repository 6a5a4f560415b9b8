"""Workers are replaced after their number of requests, and no request is the worse for it."""

from collections import Counter

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import request
from tests.integration.support.load import Load
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import wait_gone


@pytest.mark.parametrize("body", [None, b"x" * 1000], ids=["GET", "POST"])
def test_recycling_under_load_fails_no_request(manager: ManagerProcess, body: bytes | None) -> None:
    limits = {"requests": 20}
    program = "quick.pl" if body is None else "quick_body.pl"
    function_id = manager.add_http("recycled", program, spare=2, max=4, limits=limits)
    with Load(lambda: manager.connect(function_id), clients=6, body=body) as load:
        load.wait_answers(1500)
    assert load.failures == []
    served = Counter(answer.split()[0] for answer in load.answers)
    assert max(served.values()) <= 20
    assert len(served) >= 1500 / 20
    assert len(set(served.values())) > 1  # Not all after the same number: there is jitter.


@pytest.mark.parametrize(("runtime", "program"), [("exec", "quick.sh"), ("python", "battery.py")])
def test_a_cgi_worker_serves_one_request(
    manager: ManagerProcess, runtime: str, program: str
) -> None:
    function_id = manager.add(function(f"once-{runtime}", program, runtime=runtime, spare=2))
    with Load(lambda: manager.connect(function_id), target="/process") as load:
        load.wait_answers(100)
    assert load.failures == []
    assert max(Counter(answer.split()[0] for answer in load.answers).values()) == 1


def test_the_last_request_of_a_worker_asks_it_to_close(manager: ManagerProcess) -> None:
    function_id = manager.add_http("last", limits={"requests": 2})
    with manager.connect(function_id) as client:
        seen = [client.get("/head").text for _ in range(4)]
    assert ["Connection: close" in text for text in seen] == [False, True, False, True]


def test_a_recycled_worker_ends(manager: ManagerProcess) -> None:
    function_id = manager.add_http("ends", "quick.pl", spare=1)
    with manager.connect(function_id) as client:
        pids = [int(client.get("/").text.split()[0]) for _ in range(5)]
    assert len(set(pids)) == 5
    wait_gone(*pids)


@pytest.mark.parametrize("body", [None, b""], ids=["GET", "POST"])
def test_workers_that_close_when_they_are_idle_lose_no_request(
    manager: ManagerProcess, body: bytes | None
) -> None:
    """The pauses are about as long as a worker's patience: often it closes as the next comes."""
    function_id = manager.add_http(
        "impatient",
        "quick.pl" if body is None else "quick_body.pl",
        spare=2,
        limits={"requests": 0},
        arguments=("x", "0.005"),
    )
    pauses = tuple(0.004 + i * 0.0001 for i in range(20))
    with Load(lambda: manager.connect(function_id), body=body, pauses=pauses) as load:
        load.wait_answers(600)
    assert load.failures == []
    assert len({answer.split()[0] for answer in load.answers}) > 20  # They did close.


def test_a_request_that_a_closing_worker_never_read_goes_to_another(
    manager: ManagerProcess,
) -> None:
    function_id = manager.add_http("deaf", spare=2, limits={"requests": 0})
    manager.wait_workers(function_id, idle=2)
    with manager.connect(function_id) as client:
        assert client.get("/deaf?seconds=0.3").body == b"deaf\n"  # It has answered, and sleeps.
        client.send(request("GET", "/hello"))
        assert client.read().body == b"hello\n"
