"""Whatever is wrong, the command says it in one sentence, ends with status 2 and starts nothing."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.integration.support.command import conductor, declare, serving


def refusal(run_dir: Path, *arguments: str) -> str:
    """Return the one sentence that ``serve`` refuses with, having started nothing."""
    result = conductor("function", "serve", *arguments, "--run-dir", str(run_dir))
    assert result.returncode == 2
    assert result.stdout == ""
    assert not (run_dir / "manager.sock").exists()
    assert not list(run_dir.glob("functions/*"))
    (line,) = result.stderr.splitlines()
    return line.removeprefix("conductor: ")


def test_an_unknown_key(tmp_path: Path) -> None:
    directory = declare(tmp_path / "app", stderr_to_stdout=True)
    said = refusal(tmp_path / "run", directory)
    assert said.startswith(
        f"{directory}/conductor-service.json: functions[0].stderr_to_stdout: is unknown;"
        ' did you mean "stderr_as_stdout"?'
    )


def test_a_missing_executable(tmp_path: Path) -> None:
    directory = declare(tmp_path / "app", exec=["./programme"])
    said = refusal(tmp_path / "run", directory)
    assert said == (
        f"{directory}/conductor-service.json: functions[0].exec:"
        f" {directory}/programme does not exist"
    )


def test_a_script_without_its_run_bit(tmp_path: Path) -> None:
    directory = declare(tmp_path / "app")
    (tmp_path / "app" / "program").chmod(0o644)
    said = refusal(tmp_path / "run", directory)
    assert said.endswith(f"may not be executed; run: chmod +x {directory}/program")


def test_a_wrong_shebang(tmp_path: Path) -> None:
    directory = declare(tmp_path / "app", "#!/usr/bin/env pyhton3\n")
    said = refusal(tmp_path / "run", directory)
    assert said.endswith('program needs "pyhton3", which is not in PATH; install it')


def test_a_broken_file(tmp_path: Path) -> None:
    directory = declare(tmp_path / "app")
    (tmp_path / "app" / "conductor-service.json").write_text('{\n  "app_name": "x"\n  "y": 1}')
    said = refusal(tmp_path / "run", directory)
    assert said.startswith(f"{directory}/conductor-service.json:3: Expecting ',' delimiter")


def test_no_directory_and_no_functions(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "run", str(tmp_path / "nowhere"))
    assert "Missing argument" in refusal(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "conductor-service.json").write_text(
        json.dumps({"app_name": "a", "instance_name": "b"})
    )
    result = conductor("function", "serve", str(tmp_path / "empty"))
    assert result.returncode == 2
    assert "no functions to serve" in result.stderr


@pytest.mark.parametrize(
    "address", ["8080", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", ":8080", "::1:80", "a:b"]
)
def test_an_address_that_is_none(tmp_path: Path, address: str) -> None:
    said = refusal(tmp_path / "run", declare(tmp_path / "app"), "--listen", address)
    assert f"'{address}' is no address; write it like 127.0.0.1:8080" in said


@pytest.mark.parametrize("front", [(), ("--caddy",)], ids=["own listener", "caddy"])
def test_an_address_in_use(tmp_path: Path, front: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        directory = declare(tmp_path / "app")
        said = refusal(tmp_path / "run", directory, "--listen", address, *front)
    assert said == f"{address} is in use by another program; choose another address with --listen"


def test_a_host_that_is_not_ours(tmp_path: Path) -> None:
    said = refusal(tmp_path / "run", declare(tmp_path / "app"), "--listen", "192.0.2.1:8080")
    assert said.startswith("192.0.2.1:8080 cannot be listened on: ")


def test_a_run_directory_that_another_manager_uses(tmp_path: Path) -> None:
    directory = declare(tmp_path / "app")
    with serving(tmp_path / "run", directory) as first:
        result = conductor(
            "function", "serve", directory, "--run-dir", first.run_dir, "--listen", "127.0.0.1:9"
        )
        assert result.returncode == 2
        assert "another manager uses this run directory" in result.stderr
        assert first.ask("ls").returncode == 0


def test_a_run_directory_that_is_too_long(tmp_path: Path) -> None:
    said = refusal(tmp_path / ("d" * 100), declare(tmp_path / "app"))
    assert "bytes longer than unix sockets allow" in said
    assert "--run-dir" in said


def test_caddy_that_is_not_installed(tmp_path: Path) -> None:
    directory = declare(tmp_path / "app", exec=["/bin/true"])
    result = conductor(
        *("function", "serve", directory, "--caddy", "--run-dir", str(tmp_path / "run")),
        env={"PATH": str(tmp_path)},
    )
    assert result.returncode == 2
    assert "caddy is not in PATH; install it" in result.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["fuction"], "No such command 'fuction'"),
        (["function", "lst"], "No such command 'lst'"),
        (["function", "ls", "--jsn"], "No such option"),
        (["function", "show"], "Missing argument 'FUNCTION'"),
        (["function", "logs", "-n", "many"], "'many' is not a valid integer"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
        (["function", "caddy-config", "--functoin", "x"], "No such option"),
    ],
)
def test_a_command_that_is_none(words: list[str], complaint: str) -> None:
    result = conductor(*words)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert complaint in line
    assert "--help)" in line


@pytest.mark.parametrize("words", [["ls"], ["show", "x"], ["stats"], ["restart", "x"], ["logs"]])
def test_no_manager_to_ask(tmp_path: Path, words: list[str]) -> None:
    result = conductor("function", *words, "--run-dir", str(tmp_path))
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"conductor: No manager runs at {tmp_path}/manager.sock; start one")


def test_a_socket_that_is_no_managers(tmp_path: Path) -> None:
    path = str(tmp_path / "other.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.close()
    result = conductor("function", "ls", "--manager", path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"conductor: No manager runs at {path}")
