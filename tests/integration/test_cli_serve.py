"""``conductor function serve``: from a directory to answers, behind Caddy and without, and back."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.integration.support.command import Serving, declare, serving, wait_in_file
from tests.integration.support.http import Client, request
from tests.integration.support.processes import descendants, is_alive, resident
from tests.integration.support.waiting import DEADLINE, wait_until

FRONTS = pytest.mark.parametrize("front", [(), ("--caddy",)], ids=["own listener", "caddy"])
STREAM = """#!/bin/sh
printf 'Content-Type: text/event-stream\\n\\n'
printf 'data: one\\n\\n'
exec sleep 600
"""
SHOW = """#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
env
"""


def fetch(url: str) -> str:
    with urlopen(url, timeout=DEADLINE) as answer:  # noqa: S310  # a fixed scheme
        text: str = answer.read().decode()
        return text


@FRONTS
def test_it_says_where_functions_answer_and_they_do(tmp_path: Path, front: tuple[str, ...]) -> None:
    directories = [declare(tmp_path / name) for name in ("one", "two")]
    with serving(tmp_path / "run", *directories, *front) as served:
        said = "".join(served.said)
        assert f"Serving 2 functions on {served.url} with" in said
        assert ("with Caddy." in said) == bool(front)
        for name in ("one", "two"):
            assert f"  curl {served.url}/cgi/{name}.test/\n" in said
            assert fetch(f"{served.url}/cgi/{name}.test/") == f"hello from {name}\n"
        assert served.end() == 0
    assert "one.test GET /cgi/one.test/ 200" in served.errors.read_text()


@FRONTS
def test_a_part_id_leads_there_too_and_other_paths_nowhere(
    tmp_path: Path, front: tuple[str, ...]
) -> None:
    with serving(tmp_path / "run", declare(tmp_path / "app", SHOW), *front) as served:
        variables = dict(
            line.partition("=")[::2] for line in fetch(f"{served.url}/cgi/app.test").splitlines()
        )
        part_id = variables["CONDUCTOR_PART_ID"]
        assert "SCRIPT_NAME" in fetch(f"{served.url}/cgi/{part_id}/x")
        for path in ("/", "/cgi/", "/cgi/other.test/", "/cgi/app.testing/", "/app.test"):
            with pytest.raises(HTTPError) as error, urlopen(served.url + path, timeout=DEADLINE):  # noqa: S310  # a fixed scheme
                pass
            assert error.value.code == 404
            error.value.close()


@FRONTS
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_status_0_and_leaves_no_process_and_no_socket(
    tmp_path: Path, front: tuple[str, ...], kind: signal.Signals
) -> None:
    with serving(tmp_path / "run", declare(tmp_path / "app"), *front) as served:
        below = descendants(served.process.pid)
        assert below
        assert served.end(kind) == 0
        wait_until(lambda: not any(map(is_alive, below)), "the end of its processes")
        assert not list((tmp_path / "run").glob("**/*.sock"))


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    directory = declare(tmp_path / "app", STREAM, limits={"timeout": "0"})
    with (
        serving(tmp_path / "run", directory, "--caddy") as served,
        Client.tcp(served.port) as client,
    ):
        client.send(request("GET", "/cgi/app.test/"))
        assert client.read_head().status == 200
        below = descendants(served.process.pid)
        served.process.send_signal(signal.SIGINT)
        assert served.process.stdout is not None
        assert any("Stopping" in line for line in served.process.stdout)
        assert served.end(signal.SIGINT) == 130
        wait_until(lambda: not any(map(is_alive, below)), "the end of its processes")


@FRONTS
def test_events_come_at_once_and_the_program_ends_when_the_client_leaves(
    tmp_path: Path, front: tuple[str, ...]
) -> None:
    directory = declare(tmp_path / "app", STREAM, limits={"timeout": "0"})
    with serving(tmp_path / "run", directory, *front) as served:
        with Client.tcp(served.port) as client:
            client.send(request("GET", "/cgi/app.test/"))
            assert client.read_head().status == 200
            assert client.next_data() == b"data: one\n\n"
        wait_in_file(served.errors, "the client closed the connection")
        listed = served.ask("ls", "--json").stdout
        assert '"busy": 0' in listed


def test_caddy_that_dies_ends_the_serving_with_a_sentence(tmp_path: Path) -> None:
    with serving(tmp_path / "run", declare(tmp_path / "app"), "--caddy") as served:
        os.kill(caddy_below(served.process.pid), signal.SIGKILL)
        assert served.process.wait(30) == 1
    assert "conductor: Caddy ended unexpectedly with status -9" in served.errors.read_text()


def test_caddy_does_not_outlive_a_manager_that_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path / "run", declare(tmp_path / "app"), "--caddy") as served:
        below = descendants(served.process.pid)
        served.process.kill()
        wait_until(lambda: not any(map(is_alive, below)), "the end of its processes")


def test_a_daemon_behind_caddy_gets_its_path_without_the_prefix(tmp_path: Path) -> None:
    program = Path(__file__).parents[2] / "examples" / "mirror"
    with serving(tmp_path / "run", str(program), "--caddy") as served:
        shown = fetch(f"{served.url}/cgi/mirror.demo.web?a=b")
        assert '"path": "/"' in shown
        assert '"query": "a=b"' in shown
        assert '"X-Forwarded-Prefix": "/cgi/mirror.demo.web"' in shown
        assert "418" in _status(f"{served.url}/cgi/mirror.demo.web/status/418")


def test_a_function_that_does_not_start_is_told_of_and_the_others_serve(tmp_path: Path) -> None:
    python = "#!/usr/bin/env python3\nprint()\n"
    broken = declare(tmp_path / "broken", python, preload=["no_such_module"])
    with serving(tmp_path / "run", declare(tmp_path / "app"), broken) as served:
        assert "conductor: broken.test does not start: " in served.errors.read_text()
        assert fetch(f"{served.url}/cgi/app.test/") == "hello from app\n"


def test_a_function_that_keeps_dying_shows_when_it_is_tried_again(tmp_path: Path) -> None:
    dying = declare(tmp_path / "dying", "#!/bin/sh\nexit 3\n", format="http-stdio")
    with serving(tmp_path / "run", dying) as served:
        row = wait_until(
            lambda: next((x for x in rows(served) if "backoff, again in " in x), ""), "a back-off"
        )
        assert "exited with status 3" in row


def rows(served: Serving) -> list[str]:
    """Return the lines that ``function ls`` prints under its heading."""
    return served.ask("ls").stdout.splitlines()[1:]


def test_what_is_declared_and_not_acted_on_is_told(tmp_path: Path) -> None:
    directory = declare(tmp_path / "app", service_directives=["MemoryMax=1G"])
    with serving(tmp_path / "run", directory) as served:
        said = served.errors.read_text()
    assert "functions[0].service_directives: is left aside, this version does not act" in said


def test_the_log_can_be_json(tmp_path: Path) -> None:
    with serving(tmp_path / "run", declare(tmp_path / "app"), "--log-format", "json") as served:
        fetch(f"{served.url}/cgi/app.test/?a")
        wait_in_file(served.errors, '"path": "/cgi/app.test/?a", "status": 200')


def test_a_manager_at_rest_is_small_and_holds_no_declarations(tmp_path: Path) -> None:
    with serving(tmp_path / "run", declare(tmp_path / "app")) as served:
        assert resident(served.process.pid) < 40 * 1024 * 1024
        maps = Path(f"/proc/{served.process.pid}/maps").read_text()
        assert "uvloop" in maps
        assert "pydantic" not in maps


def caddy_below(pid: int) -> int:
    """Return the process id of the Caddy that ``pid`` started."""
    for child in descendants(pid):
        if Path(f"/proc/{child}/comm").read_text().strip() == "caddy":
            return child
    raise AssertionError("no Caddy runs")


def _status(url: str) -> str:
    result = subprocess.run(
        ["curl", "-sS", "-o", os.devnull, "-w", "%{http_code}", url],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    return result.stdout
