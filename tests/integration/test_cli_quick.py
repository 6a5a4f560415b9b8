"""``caddy-config`` prints a route that a real Caddy takes, quickly; help and completion work."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import conductor as package
from conductor.caddy.routes import server_config
from tests.integration.support.command import COMMAND, conductor

VARIABLES = {
    "CONDUCTOR_DEPLOYMENT": "app-test-f-1",
    "CONDUCTOR_FUNCTION_ID": "app.test.f",
    "CONDUCTOR_FUNCTION_SOCKET": "/run/conductor/functions/app.test.f.sock",
    "CONDUCTOR_FUNCTION_POLICIES": "",
}
POLICIES = {"CONDUCTOR_FUNCTION_POLICIES": "staff/read staff/write"}
DAEMON = {"CONDUCTOR_FUNCTION_FORMAT": "sdactivate", "CONDUCTOR_FUNCTION_PATH_INFO_STRIP": "2"}


def route(*flags: str, **variables: str) -> dict[str, Any]:
    result = conductor("function", "caddy-config", *flags, env=VARIABLES | variables)
    assert result.returncode == 0
    assert result.stderr == ""
    printed: dict[str, Any] = json.loads(result.stdout)
    return printed


@pytest.mark.parametrize("variables", [{}, POLICIES, DAEMON, POLICIES | DAEMON])
def test_a_real_caddy_takes_the_route(tmp_path: Path, variables: dict[str, str]) -> None:
    config = server_config("127.0.0.1:8080", [route(**variables)])
    (tmp_path / "caddy.json").write_text(json.dumps(config))
    result = subprocess.run(
        ["caddy", "validate", "--config", str(tmp_path / "caddy.json")],
        env=os.environ | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_flags_win_over_variables() -> None:
    printed = route("--function", "other.test", "--socket=/s", "--policies", "p/a")
    assert printed["@id"] == "conductor-function.other.test"
    assert printed["handle"][-1]["upstreams"] == [{"dial": "unix//s"}]
    assert len(printed["handle"]) == 3
    assert len(route("--policies=", **POLICIES)["handle"]) == 2


@pytest.mark.parametrize("missing", ["CONDUCTOR_FUNCTION_ID", "CONDUCTOR_FUNCTION_SOCKET"])
def test_what_is_missing_is_said_in_one_sentence(missing: str) -> None:
    result = conductor("function", "caddy-config", env={**VARIABLES, missing: ""})
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert f"{missing} is not set" in line


def test_click_and_the_quick_way_print_the_same() -> None:
    quick = conductor("function", "caddy-config", "--socket", "/s", env=VARIABLES)
    # A repeated option is nothing unusual for click; "--" is nothing the quick way knows.
    slow = conductor("function", "caddy-config", "--socket", "/s", "--", env=VARIABLES)
    assert slow.stdout == quick.stdout != ""


def test_caddy_config_starts_in_three_times_the_time_of_an_interpreter() -> None:
    """Both in turns, so that what else the machine does hits both; medians of 40."""
    bare, ours = [], []
    for _ in range(40):
        bare.append(_seconds([sys.executable, "-c", "pass"]))
        ours.append(_seconds([COMMAND, "function", "caddy-config"]))
    assert statistics.median(ours) <= 3 * statistics.median(bare)


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(
        command, env=os.environ | VARIABLES | POLICIES, stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - started


def test_the_version() -> None:
    assert conductor("--version").stdout == f"conductor {package.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("function",),
        ("f",),
        *(
            ("function", name)
            for name in ("ls", "show", "stats", "restart", "logs", "serve", "caddy-config")
        ),
        ("completion",),
    ],
    ids=" ".join,
)
def test_everything_has_help(words: tuple[str, ...]) -> None:
    result = conductor(*words, "--help")
    assert result.returncode == 0
    assert "Usage: conductor" in result.stdout
    if words not in (("function",), ("f",)):
        assert "  Examples:\n    " in result.stdout


def test_the_completion_script_is_good_bash() -> None:
    script = conductor("completion", "bash").stdout
    assert "_CONDUCTOR_COMPLETE" in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=60)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_completion_script_too(shell: str) -> None:
    assert "_CONDUCTOR_COMPLETE" in conductor("completion", shell).stdout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("conductor ", {"function", "completion"}),
        ("conductor function s", {"serve", "show", "stats"}),
        ("conductor f caddy-config --p", {"--policies", "--part-id", "--path-info-strip"}),
    ],
)
def test_the_tabulator_key_completes(line: str, expected: set[str]) -> None:
    words = line.split(" ")
    environment = {
        "_CONDUCTOR_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    said = conductor(env=environment).stdout
    assert {entry.partition(",")[2] for entry in said.splitlines()} == expected
