"""Server-sent events reach the client as they are written, each before the next one is."""

import os
from pathlib import Path

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import Client, request
from tests.integration.support.manager import ManagerProcess


@pytest.mark.parametrize("kind", ["http-stdio", "exec", "python"])
def test_each_event_arrives_before_the_next_one_is_written(
    manager: ManagerProcess, tmp_path: Path, kind: str
) -> None:
    if kind == "http-stdio":
        function_id = manager.add_http("events")
    else:
        function_id = manager.add(function(f"events-{kind}", "battery.py", runtime=kind))
    with manager.connect(function_id) as client:
        follow(client, "/events", tmp_path / "pipe")


def test_events_arrive_so_on_the_listener_that_clients_see(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    manager.add_http("events-tcp")
    with manager.connect_tcp() as client:
        follow(client, "/cgi/app.test.events-tcp/events", tmp_path / "pipe")


def follow(client: Client, path: str, pipe: Path) -> None:
    """Have a program write ten events, each only when the one before was read here."""
    os.mkfifo(pipe)
    client.send(request("GET", f"{path}?pipe={pipe}"))
    assert client.read_head().headers["content-type"] == "text/event-stream"
    with open(pipe, "wb", buffering=0) as next_one:
        for number in range(10):
            assert client.next_data() == b"data: %d\n\n" % number
            next_one.write(b".")
        assert client.next_data() == b"data: 10\n\n"
    assert client.next_data() == b""
