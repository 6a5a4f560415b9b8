"""Daemons on the function's own socket: started by a connection, ended when nobody comes."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from conductor.errors import ConductorError
from tests.integration.support.functions import ENVIRONMENT, PROGRAMS, function
from tests.integration.support.http import Client, request
from tests.integration.support.load import Load
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import descendants, is_alive, wait_gone
from tests.integration.support.waiting import wait_until


def add(manager: ManagerProcess, name: str, **settings: Any) -> str:
    spec = function(f"daemon-{name}", "daemon.py", format="sdactivate", **settings)
    return manager.add(spec)


def pid_of(client: Client, target: str = "/pid") -> int:
    return int(client.get(target).text.split()[0])


def wait_zero(manager: ManagerProcess, function_id: str) -> None:
    wait_until(lambda: manager.pids(function_id) == [], "the daemon to be ended")


# Its start.


def test_a_daemon_starts_with_the_first_connection(manager: ManagerProcess) -> None:
    function_id = add(manager, "first", spare=0)
    shown = manager.show(function_id)
    assert (shown["state"], shown["processes"], shown["spawner_pid"]) == ("idle", [], None)
    with manager.connect(function_id) as client:
        pid = pid_of(client)
        assert manager.pids(function_id) == [pid]
        assert pid in descendants(manager.show(function_id)["spawner_pid"])


def test_a_daemon_with_a_spare_runs_before_the_first_connection(manager: ManagerProcess) -> None:
    function_id = add(manager, "spare", spare=1)
    (pid,) = manager.pids(function_id)
    assert is_alive(pid)
    with manager.connect(function_id) as client:
        assert pid_of(client) == pid


def test_a_daemon_finds_its_socket_as_systemd_would_pass_it(manager: ManagerProcess) -> None:
    function_id = add(manager, "protocol", environment={"SETTING": "1"})
    with manager.connect(function_id) as client:
        seen = json.loads(client.get("/start").body)
    environment = seen["environment"]
    assert environment == ENVIRONMENT | {
        "SETTING": "1",
        "LISTEN_FDS": "1",
        "LISTEN_PID": str(seen["pid"]),
        "LISTEN_FDNAMES": function_id,
    }
    assert set(seen["fds"]) >= {0, 1, 2, 3}
    assert len(seen["fds"]) < 8  # The server's own; nothing of the spawner's.


def test_many_connections_are_served_at_once(manager: ManagerProcess, tmp_path: Path) -> None:
    function_id = add(manager, "parallel", spare=0)
    gate = tmp_path / "gate"
    gate.touch()
    clients = [manager.connect(function_id) for _ in range(20)]
    for client in clients:
        client.send(request("GET", f"/wait?file={gate}"))
    with manager.connect(function_id) as other:
        assert other.get("/hello").body == b"hello\n"
    gate.unlink()
    assert [client.read().body for client in clients] == [b"waited\n"] * 20
    for client in clients:
        client.close()


def test_the_plain_listener_leads_to_the_daemon(manager: ManagerProcess) -> None:
    function_id = add(manager, "plain", spare=0, path_info_strip=2, part_id="part-1")
    with manager.connect_tcp() as client:
        assert client.post(f"/cgi/{function_id}/x", b"x" * 100_000).body == b"x" * 100_000
        seen = client.get("/cgi/part-1/a/head?b=c").text
    assert seen.startswith("GET /a/head?b=c HTTP/1.1\n")
    assert "X-Forwarded-Prefix: /cgi/part-1" in seen
    assert manager.stats(function_id)["statuses"] == {"2xx": 2}


# Down to zero, and back.


def test_a_daemon_that_nobody_asks_is_ended_and_started_again(manager: ManagerProcess) -> None:
    function_id = add(manager, "zero", spare=0, idle_timeout=0.4)
    seen = set()
    for _ in range(3):
        with manager.connect(function_id) as client:
            pid = pid_of(client)
        seen.add(pid)
        wait_zero(manager, function_id)
        assert not is_alive(pid)
        wait_until(lambda: manager.show(function_id)["spawner_pid"] is None, "the spawner to go")
    assert len(seen) == 3


def test_a_daemon_with_a_connection_stays(manager: ManagerProcess) -> None:
    function_id = add(manager, "connected", spare=0, idle_timeout=0.2)
    with manager.connect(function_id) as client:
        pid = pid_of(client)
        with manager.connect(function_id) as other:
            wait_held(manager, other, pid, seconds=1.0)
        assert pid_of(client) == pid
    wait_zero(manager, function_id)


def wait_held(manager: ManagerProcess, client: Client, pid: int, seconds: float) -> None:
    """Have a client say nothing for a while; the daemon must not end meanwhile."""
    client.socket.settimeout(seconds)
    with pytest.raises(TimeoutError):
        client.socket.recv(1)
    assert is_alive(pid)


def test_a_daemon_that_is_asked_now_and_then_stays(manager: ManagerProcess) -> None:
    function_id = add(manager, "now-and-then", spare=0, idle_timeout=0.4)
    target = f"/cgi/{function_id}/pid"
    pauses = (0.05, 0.13, 0.21)  # Each connection lasts a moment and is seldom seen by a look.
    with Load(manager.connect_tcp, clients=1, target=target, pauses=pauses) as load:
        load.wait_answers(20)
    assert load.failures == []
    assert len({answer.split()[0] for answer in load.answers}) == 1


def test_a_daemon_that_starts_slowly_is_not_ended_before_it_accepts(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    program = tmp_path / "slow"
    program.write_text(f'#!/bin/sh\nsleep 0.5\nexec "{PROGRAMS}/daemon.py"\n')
    program.chmod(0o755)
    spec = function("daemon-slow", str(program), format="sdactivate", spare=0, idle_timeout=0.2)
    with manager.connect(manager.add(spec)) as client:
        assert client.get("/hello").body == b"hello\n"
    assert manager.stats(spec.id)["workers_started"] == 1


def test_no_connection_is_lost_on_the_way_to_zero_and_back(manager: ManagerProcess) -> None:
    function_id = add(manager, "edge", spare=0, idle_timeout=0.1)
    target = f"/cgi/{function_id}/pid"
    pauses = tuple(0.1 + i * 0.005 for i in range(20))
    with Load(manager.connect_tcp, clients=2, target=target, pauses=pauses) as load:
        load.wait_answers(20)
    assert load.failures == []
    assert len({answer.split()[0] for answer in load.answers}) > 1


# Its death.


def test_a_daemon_that_was_killed_is_started_again(manager: ManagerProcess) -> None:
    for spare in (0, 1):
        function_id = add(manager, f"killed-{spare}", spare=spare)
        with manager.connect(function_id) as client:
            pid = pid_of(client)
            manager.kill(pid)
        wait_gone(pid)
        with manager.connect(function_id) as client:
            assert pid_of(client) != pid
        manager.wait_logged("event", function_id, "was killed by SIGKILL")


def test_a_daemon_that_dies_is_told_of_with_its_last_line(manager: ManagerProcess) -> None:
    function_id = add(manager, "dies")
    with manager.connect(function_id) as client:
        client.send(request("GET", "/die"))
        assert client.is_closed()
    manager.wait_logged("event", function_id, "its last line was 'out of ideas'")
    manager.wait_logged("stderr", function_id, "out of ideas")
    assert "exited with status 3" in manager.show(function_id)["last_error"]


def test_a_daemon_that_cannot_start_backs_off_and_is_tried_again(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    program = tmp_path / "daemon"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    spec = function("daemon-broken", str(program), format="sdactivate")
    with pytest.raises(ConductorError, match="exited with status 1"):
        manager.add(spec)
    shown = manager.show(spec.id)
    assert shown["state"] == "backoff"
    assert 0 < shown["retry_in"] <= 30
    with manager.connect(spec.id) as client:
        client.send(request("GET", "/pid"))
        new = tmp_path / "new"
        new.write_text(f'#!/bin/sh\nexec "{PROGRAMS}/daemon.py"\n')
        new.chmod(0o755)
        new.replace(program)
        assert client.read().status == 200  # It waited in the backlog.


def test_a_killed_spawner_takes_its_daemon_with_it_and_both_come_back(
    manager: ManagerProcess,
) -> None:
    function_id = add(manager, "spawner")
    with manager.connect(function_id) as client:
        pid = pid_of(client)
        spawner = manager.show(function_id)["spawner_pid"]
        manager.kill(spawner)
    wait_gone(spawner, pid)
    with manager.connect(function_id) as client:
        assert pid_of(client) != pid


# Updates.


def test_a_restart_under_load_loses_no_request(manager: ManagerProcess) -> None:
    function_id = add(manager, "restarted", arguments=("old",))
    target = f"/cgi/{function_id}/pid"
    with Load(manager.connect_tcp, clients=4, target=target) as load:
        load.wait_answers(50)
        old = manager.pids(function_id)
        manager.call("restart", function=function_id)
        assert not any(map(is_alive, old))
        load.wait_answers(50)
        add(manager, "restarted", arguments=("new",))
        load.wait_answers(50)
    assert load.failures == []
    words = [answer.split()[2] for answer in load.answers]
    assert set(words) == {"old", "new"}
    assert words[-1] == "new"


def test_a_broken_update_leaves_the_old_daemon(manager: ManagerProcess, tmp_path: Path) -> None:
    function_id = add(manager, "kept")
    with manager.connect(function_id) as client:
        pid = pid_of(client)
        missing = function("daemon-kept", f"{tmp_path}/missing", format="sdactivate")
        with pytest.raises(ConductorError, match="cannot be run: No such file"):
            manager.add(missing)
        assert pid_of(client) == pid
        with manager.connect(function_id) as other:
            assert pid_of(other) == pid


def test_a_daemon_finishes_its_requests_when_it_is_removed(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    function_id = add(manager, "removed")
    gate = tmp_path / "gate"
    gate.touch()
    with manager.connect(function_id) as client:
        pid = pid_of(client)
        client.send(request("GET", f"/wait?file={gate}", "Connection: close"))
        wait_until(Path(f"{gate}.seen").exists, "the request to be under way")
        arguments = {"function": function_id}
        removal = threading.Thread(target=manager.call, args=["remove"], kwargs=arguments)
        removal.start()
        manager.wait_logged("stderr", function_id, "asked to end")
        gate.unlink()
        assert client.read().body == b"waited\n"
        removal.join()
    assert not is_alive(pid)
    assert not Path(manager.socket_of(function_id)).exists()
