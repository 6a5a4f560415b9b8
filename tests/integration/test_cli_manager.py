"""What a running manager is asked: tables for people, JSON for programs, quiet ends."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.integration.support.command import COMMAND, Serving, declare, serving
from tests.integration.support.waiting import DEADLINE, wait_until

GRUMBLE = "#!/bin/sh\necho grumble >&2\nprintf 'Content-Type: text/plain\\n\\nok\\n'\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    home = tmp_path_factory.mktemp("services")
    with serving(home / "run", declare(home / "app", name="f"), declare(home / "b", GRUMBLE)) as s:
        for path in ("/cgi/app.test.f/", "/cgi/b.test/x"):
            with urlopen(s.url + path, timeout=DEADLINE) as answer:  # noqa: S310  # a fixed scheme
                answer.read()
        yield s


def test_ls_is_aligned_plain_text_when_piped(served: Serving) -> None:
    result = served.ask("ls")
    assert result.returncode == 0
    heading, first, second = result.stdout.splitlines()
    assert heading.startswith("FUNCTION    FORMAT  STATE  IDLE  BUSY")
    assert first.startswith("app.test.f  cgi     ready")
    assert second.startswith("b.test      cgi     ready")
    assert "\x1b" not in result.stdout
    assert not any(line.endswith(" ") for line in result.stdout.splitlines())


def on_terminal(*words: str, **env: str) -> str:
    """Return what the command prints on a terminal."""
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    terminal = {"TERM": "xterm-256color", "COLUMNS": "200"}
    with subprocess.Popen(
        [COMMAND, "function", *words], stdout=theirs, env=environment | terminal | env
    ) as process:
        os.close(theirs)
        said = b""
        while piece := _read(ours):
            said += piece
    os.close(ours)
    assert process.returncode == 0
    return said.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # a terminal that nobody writes to any longer (pty(7))
        return b""


def test_a_terminal_gets_colours_unless_told_not_to(served: Serving) -> None:
    words = ("ls", "--run-dir", served.run_dir)
    assert "\x1b[32mready" in on_terminal(*words)
    assert "\x1b[32m" not in on_terminal(*words, NO_COLOR="1")


@pytest.mark.parametrize("name", ["app.test.f", "f"])
def test_show_tells_how_a_function_is_set_up(served: Serving, name: str) -> None:
    said = served.ask("show", name).stdout
    pairs = dict(
        re.split(r"\s{2,}", line, maxsplit=1) for line in said.split("\n\n")[0].splitlines()
    )
    assert pairs["function"] == "app.test.f"
    assert pairs["format"] == "cgi, runtime exec"
    assert pairs["program"].endswith("/app/program")
    assert pairs["processes"] == "spare 1, max 8, idle_timeout 1m"
    assert pairs["limits"].startswith("requests 1, timeout 1m, start_timeout 30s, queue 128")
    assert re.search(r"PID +STATE +AGE +REQUESTS\n *\d+  ", said)


def test_stats_count_and_time(served: Serving) -> None:
    manager, heading, row = served.ask("stats", "app.test.f").stdout.splitlines()
    assert re.match(r"manager \d+, up .+s, \d.*MiB, connections \d+, functions 2", manager)
    numbers = dict(zip(heading.split(), row.split(), strict=False))
    assert numbers["REQUESTS"] == numbers["2XX"] == "1"
    assert numbers["5XX"] == "0"
    assert re.fullmatch(r"[\d.]+m?s", numbers["P50"])


def test_logs_are_the_managers_own_lines(served: Serving) -> None:
    lines = wait_until(
        lambda: text if "grumble" in (text := served.ask("logs", "b.test").stdout) else "",
        "what b.test wrote to standard error",
    ).splitlines()
    assert any(re.match(r"\d\d:\d\d:\d\d b\.test(\[\d+\])?: grumble$", line) for line in lines)
    assert any(re.search(r"b\.test GET /cgi/b\.test/x 200 \d+B ", line) for line in lines)
    assert served.ask("logs", "-n", "0").stdout == ""
    assert "app.test.f" not in served.ask("logs", "b.test").stdout


@pytest.mark.parametrize(
    "words", [("ls",), ("show", "b.test"), ("stats",), ("logs", "-n", "3"), ("restart", "b.test")]
)
def test_every_command_has_json_for_programs(served: Serving, words: tuple[str, ...]) -> None:
    result = served.ask(*words, "--json")
    assert result.returncode == 0
    texts = result.stdout.splitlines() if words[0] == "logs" else [result.stdout]
    assert texts
    assert all(isinstance(json.loads(text), dict) for text in texts)


def test_restart_replaces_the_workers(served: Serving) -> None:
    def pids() -> set[int]:
        return {p["pid"] for p in json.loads(served.ask("show", "f", "--json").stdout)["processes"]}

    before = pids()
    result = served.ask("restart", "f")
    assert result.stdout == "app.test.f is restarted, new workers: 1\n"
    assert not before & pids()


def test_a_function_that_there_is_not_is_a_mistake_of_whoever_asks(served: Serving) -> None:
    for command in ("show", "stats", "restart", "logs"):
        result = served.ask(command, "nothing")
        assert result.returncode == 2
        assert result.stderr == (
            "conductor: no function is called nothing; there are: app.test.f, b.test\n"
        )


def test_following_the_log_ends_quietly_with_ctrl_c(served: Serving) -> None:
    with subprocess.Popen(
        [COMMAND, "f", "logs", "-f", "-n", "0", "app.test.f", "--run-dir", served.run_dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        wait_until(lambda: _is_followed(served), "the follower's connection")
        with urlopen(f"{served.url}/cgi/app.test.f/new", timeout=DEADLINE) as answer:  # noqa: S310  # a fixed scheme
            answer.read()
        assert "GET /cgi/app.test.f/new 200" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130
        assert process.stderr.read().strip() == ""


def _is_followed(served: Serving) -> bool:
    """Whether somebody is connected to the manager's control socket besides those who ask now."""
    sockets = Path("/proc/net/unix").read_text()
    return (
        sum(line.endswith(f" {served.run_dir}/manager.sock") for line in sockets.splitlines()) > 1
    )


def test_a_reader_that_has_seen_enough_is_no_error(served: Serving) -> None:
    command = f"{COMMAND} function show b.test --json --run-dir {served.run_dir} | head -c 1"
    result = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout == "{"
    assert result.stderr == ""


def test_the_manager_can_be_named_by_its_socket(served: Serving) -> None:
    path = f"{served.run_dir}/manager.sock"
    result = subprocess.run(
        [COMMAND, "function", "ls", "--manager", path],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "app.test.f" in result.stdout
