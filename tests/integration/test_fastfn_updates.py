"""A function is restarted, replaced, drained and removed without losing a request."""

import threading
from pathlib import Path
from typing import Any

import pytest

from conductor.errors import ConductorError, UserError
from conductor.fastfn.spec import FunctionSpec
from tests.integration.support.functions import function
from tests.integration.support.http import request
from tests.integration.support.load import Load
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import is_alive, wait_gone
from tests.integration.support.waiting import wait_until

KINDS = ["single-shot", "multi-shot", "exec", "python"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def spec(name: str, kind: str, word: str = "first", **settings: Any) -> FunctionSpec:
    name = f"{name}-{kind}"
    limits = {"requests": 0 if kind == "multi-shot" else 1}
    if kind.endswith("shot"):
        shape: dict[str, Any] = {"format": "http-stdio", "limits": limits}
        return function(name, "quick.pl", arguments=(word,), **shape, **settings)
    if kind == "exec":
        return function(name, "quick.sh", arguments=(word,), **settings)
    return function(name, "word.py", arguments=(word,), runtime="python", **settings)


def word_of(answer: str) -> str:
    return answer.split()[2]


def test_a_restart_under_load_loses_no_request(manager: ManagerProcess, kind: str) -> None:
    function_id = manager.add(spec("restarted", kind, spare=2))
    with Load(lambda: manager.connect(function_id)) as load:
        load.wait_answers(20)
        spawner = manager.show(function_id)["spawner_pid"]
        old = manager.pids(function_id)
        result = manager.call("restart", function=function_id)
        assert result["function"] == function_id
        assert result["workers"] >= 1
        assert not is_alive(spawner)
        assert not any(map(is_alive, old))
        load.wait_answers(20)
    assert load.failures == []
    assert manager.show(function_id)["restarts"] == 1


def test_another_spec_takes_over_under_load_without_losing_a_request(
    manager: ManagerProcess, kind: str
) -> None:
    function_id = manager.add(spec("updated", kind, "old", spare=2))
    with Load(lambda: manager.connect(function_id)) as load:
        load.wait_answers(20)
        manager.add(spec("updated", kind, "new", spare=2))
        with manager.connect(function_id) as client:
            assert word_of(client.get("/").text) == "new"
        load.wait_answers(20)
    assert load.failures == []
    words = [word_of(answer) for answer in load.answers]
    assert set(words) == {"old", "new"}
    assert set(words[-10:]) == {"new"}


def test_a_request_under_way_ends_where_it_began(manager: ManagerProcess, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    function_id = manager.add_http("under-way")
    with manager.connect(function_id) as client:
        client.send(request("GET", f"/wait?file={gate}"))
        old = manager.wait_workers(function_id, busy=1)
        restart = threading.Thread(
            target=manager.call, args=["restart"], kwargs={"function": function_id}
        )
        restart.start()
        wait_until(
            lambda: manager.show(function_id)["spawner_pid"] != old["spawner_pid"], "the switch"
        )
        with manager.connect(function_id) as other:
            assert other.get("/hello").body == b"hello\n"
        gate.unlink()
        assert client.read().body == b"waited\n"
        restart.join()
    wait_gone(old["spawner_pid"])


def test_a_spec_that_does_not_start_leaves_the_old_one_serving(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    function_id = manager.add(spec("kept", "multi-shot"))
    before = manager.show(function_id)
    with Load(lambda: manager.connect(function_id), clients=2) as load:
        load.wait_answers(10)
        broken = function("kept-multi-shot", str(tmp_path / "missing"), format="http-stdio")
        with pytest.raises(ConductorError, match=r"does not start: .*No such file"):
            manager.add(broken)
        load.wait_answers(10)
    assert load.failures == []
    after = manager.show(function_id)
    assert after["spec"] == before["spec"]
    assert after["spawner_pid"] == before["spawner_pid"]
    assert after["restarts"] == 0


def test_a_program_that_dies_in_its_first_moments_does_not_take_over(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    function_id = manager.add(spec("moments", "multi-shot"))
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nsleep 0.05\necho 'bad configuration' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(ConductorError, match="bad configuration"):
        manager.add(function("moments-multi-shot", str(program), format="http-stdio"))
    with manager.connect(function_id) as client:
        assert word_of(client.get("/").text) == "first"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": "nonsense"}, "format must be one of"),
        ({"limits": {"queue": -1}}, "limits.queue must be int"),
        ({"nonsense": 1}, "nonsense is unknown"),
        ({"runtime": "cobol"}, "runtime"),
        ({"response_headers": ["no header"]}, "no header"),
        ({"processes": {"max": 0}}, "max"),
        ({"program": ""}, "program"),
        ({"id": "../../etc/passwd"}, "id"),
    ],
)
def test_a_spec_that_is_none_is_refused_in_a_sentence(
    manager: ManagerProcess, change: dict[str, object], why: str
) -> None:
    data = function("refused", "quick.sh").to_json()
    data["socket"] = manager.socket_of("app.test.refused")
    with pytest.raises(UserError, match=why):
        manager.call("add", spec=data | change)
    with pytest.raises(UserError, match="no function is called"):
        manager.show("app.test.refused")


def test_a_function_cannot_become_a_daemon_in_place(manager: ManagerProcess) -> None:
    manager.add_http("stays", "quick.pl")
    with pytest.raises(UserError, match="cannot change to or from sdactivate"):
        manager.add(function("stays", "daemon.py", format="sdactivate"))
    with manager.connect("app.test.stays") as client:
        assert client.get("/").status == 200


def test_a_removed_function_finishes_and_leaves_nothing(
    manager: ManagerProcess, kind: str, tmp_path: Path
) -> None:
    if kind.endswith("shot"):
        limits = {"requests": 0 if kind == "multi-shot" else 1}
        function_id = manager.add_http(f"removed-{kind}", limits=limits)
    else:
        function_id = manager.add(function(f"removed-{kind}", "battery.py", runtime=kind))
    gate = tmp_path / "gate"
    gate.touch()
    with manager.connect(function_id) as client, manager.connect(function_id) as idle:
        assert idle.get("/hello").status == 200
        client.send(request("GET", f"/wait?file={gate}"))
        wait_until(lambda: manager.pids(function_id, "busy"), "the request to be under way")
        shown = manager.show(function_id)
        pids = [shown["spawner_pid"], *(process["pid"] for process in shown["processes"])]
        removal = threading.Thread(
            target=manager.call, args=["remove"], kwargs={"function": function_id}
        )
        removal.start()
        assert idle.is_closed()
        gate.unlink()
        answer = client.read()
        assert answer.body == b"waited\n"
        assert client.is_closed()
        removal.join()
    assert not any(map(is_alive, pids))
    assert not Path(manager.socket_of(function_id)).exists()
    with pytest.raises(UserError, match="no function is called"):
        manager.show(function_id)


def test_a_removed_function_can_be_added_again(manager: ManagerProcess) -> None:
    for _ in range(2):
        function_id = manager.add(spec("again", "multi-shot"))
        with manager.connect(function_id) as client:
            assert client.get("/").status == 200
        manager.call("remove", function=function_id)


def test_a_drained_function_takes_nothing_new(manager: ManagerProcess, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    function_id = manager.add_http("drained")
    with manager.connect(function_id) as client:
        client.send(request("GET", f"/wait?file={gate}"))
        manager.wait_workers(function_id, busy=1)
        drain = threading.Thread(
            target=manager.call, args=["drain"], kwargs={"function": function_id}
        )
        drain.start()
        wait_until(lambda: manager.show(function_id)["state"] == "draining", "the drain to begin")
        with pytest.raises(ConnectionRefusedError):
            manager.connect(function_id)
        gate.unlink()
        answer = client.read()
        assert (answer.body, answer.headers["connection"]) == (b"waited\n", "close")
        drain.join()
    wait_until(lambda: manager.pids(function_id) == [], "the end of all workers")
    manager.call("remove", function=function_id)
