"""What is declared becomes a FunctionSpec that needs no looking up any more."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from conductor.errors import UserError
from conductor.fastfn.spec import Format, FunctionSpec
from conductor.service.environment import add_config, base_environment
from conductor.service.functions import load_functions

SCRIPT = "#!/bin/sh\necho\n"
PYTHON_SCRIPT = "#!/usr/bin/env -S python3 -u\nprint()\n"


def declare(directory: Path, *functions: dict[str, Any], **keys: Any) -> str:
    """Write a service with two programs, ./run and ./run.py, and return its directory."""
    directory.mkdir(exist_ok=True)
    for name, content in (("run", SCRIPT), ("run.py", PYTHON_SCRIPT)):
        (directory / name).write_text(content)
        (directory / name).chmod(0o755)
    complete = [{"format": "cgi", "exec": ["./run"], **function} for function in functions]
    service = {"app_name": "app", "instance_name": "test", "functions": complete, **keys}
    (directory / "conductor-service.json").write_text(json.dumps(service))
    return str(directory)


def load_one(directory: Path, **keys: Any) -> FunctionSpec:
    (spec,) = load_functions([declare(directory, keys)], "/run/conductor").specs
    return spec


def refusal(directory: Path, function: dict[str, Any], **keys: Any) -> str:
    with pytest.raises(UserError) as raised:
        load_functions([declare(directory, function, **keys)], "/run/conductor")
    file = f"{directory}/conductor-service.json: "
    assert str(raised.value).startswith(file)
    return str(raised.value).removeprefix(file)


def test_a_spec_has_absolute_paths_and_the_ids(tmp_path: Path) -> None:
    spec = load_one(tmp_path, name="f", exec=["./run", "--option", "./not/a/path"])
    assert (spec.id, spec.name, spec.format) == ("app.test.f", "f", Format.CGI)
    assert spec.program == str(tmp_path / "run")
    assert spec.arguments == ("--option", "./not/a/path")
    assert spec.directory == str(tmp_path)
    assert spec.socket == "/run/conductor/functions/app.test.f.sock"
    assert spec.deployment == "app-test-f-1"
    assert FunctionSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_function_without_a_name_is_the_service_itself(tmp_path: Path) -> None:
    spec = load_one(tmp_path)
    assert (spec.id, spec.deployment) == ("app.test", "app-test-1")


def test_relative_directories_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(tmp_path / "service", {})
    monkeypatch.chdir(tmp_path)
    (spec,) = load_functions(["service"], "run").specs
    assert spec.directory == str(tmp_path / "service")
    assert spec.socket == str(tmp_path / "run/functions/app.test.sock")


def test_settings_arrive_in_seconds_and_bytes(tmp_path: Path) -> None:
    spec = load_one(
        tmp_path,
        processes={"spare": 2, "max": 3, "idle_timeout": "1m30s"},
        limits={"timeout": "250ms", "queue": 0, "body": "16KiB", "queue_timeout": "0"},
        response_headers=["X-A: b"],
        path_info_strip=2,
    )
    assert (spec.processes.spare, spec.processes.max, spec.processes.idle_timeout) == (2, 3, 90.0)
    assert (spec.limits.timeout, spec.limits.queue, spec.limits.body) == (0.25, 0, 16384)
    assert spec.response_headers == ("X-A: b",)
    assert spec.path_info_strip == 2


def test_auto_warms_python_scripts_and_runs_the_rest_as_they_are(tmp_path: Path) -> None:
    warm = load_one(tmp_path, exec=["./run.py"], preload=["json"])
    assert (warm.runtime, warm.preload) == ("python", ("json",))
    assert os.path.basename(warm.interpreter[0]) == "python3"
    assert warm.interpreter[1:] == ("-u",)
    plain = load_one(tmp_path)
    assert (plain.runtime, plain.interpreter) == ("exec", ())
    told = load_one(tmp_path, exec=["./run.py"], runtime="exec")
    assert (told.runtime, told.interpreter) == ("exec", ())
    other = load_one(tmp_path, exec=["./run.py"], format="http-stdio")
    assert (other.runtime, other.interpreter) == ("exec", ())


def test_the_environment_is_small_and_never_the_managers_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("TZ", "Europe/Brussels")
    monkeypatch.delenv("LANG", raising=False)
    spec = load_one(tmp_path, name="f")
    ours = {name for name in spec.environment if not name.startswith("CONDUCTOR_")}
    assert ours <= {"PATH", "HOME", "TZ"}
    assert spec.environment["TZ"] == "Europe/Brussels"
    variables = {n.removeprefix("CONDUCTOR_"): v for n, v in spec.environment.items()}
    assert variables["APP"] == "app"
    assert variables["INSTANCE"] == "test"
    assert variables["SERVICE_NAME"] == "app-test"
    assert variables["SERVICE_DIR"] == str(tmp_path)
    assert variables["SERVICE_PART"] == "f"
    assert variables["DEPLOYMENT"] == "app-test-f-1"
    assert variables["DEPLOYMENT_KIND"] == "function"
    assert variables["PART_ID"] == spec.part_id
    assert variables["FUNCTION_ID"] == "app.test.f"
    assert variables["FUNCTION_FORMAT"] == "cgi"
    assert variables["FUNCTION_SOCKET"] == spec.socket
    assert variables["FUNCTION_POLICIES"] == ""
    assert re.fullmatch("[0-9a-f]{32}", variables["SERVICE_ID"])


def test_config_becomes_variables_and_null_takes_one_away() -> None:
    base = base_environment({"PATH": "/bin", "HOME": "/root", "TZ": "", "OTHER": "x"})
    assert base == {"PATH": "/bin", "HOME": "/root"}
    config = {"A": "x", "B": 5, "C": 1.5, "D": True, "E": False, "F": None, "HOME": None}
    expected = {"PATH": "/bin", "A": "x", "B": "5", "C": "1.5", "D": "true", "E": "false"}
    assert add_config(base, config) == expected


def test_without_a_path_programs_are_found_in_the_usual_places() -> None:
    assert "/usr/bin" in base_environment({})["PATH"].split(":")


def test_the_ids_follow_what_is_declared_and_the_contents_of_its_files(tmp_path: Path) -> None:
    first = load_one(tmp_path / "a", name="f", exec=["sh", "./run"])
    assert load_one(tmp_path / "b", name="f", exec=["sh", "./run"]).part_id == first.part_id
    file = tmp_path / "a" / "conductor-service.json"
    file.write_text("// a comment\n" + file.read_text().replace(",", " ,\n"))
    (again,) = load_functions([str(tmp_path / "a")], "/run/conductor").specs
    assert again.part_id == first.part_id
    assert load_one(tmp_path / "c", name="g", exec=["sh", "./run"]).part_id != first.part_id
    (tmp_path / "a" / "run").write_text(SCRIPT + "# edited\n")
    (edited,) = load_functions([str(tmp_path / "a")], "/run/conductor").specs
    assert edited.part_id != first.part_id
    service_ids = {spec.environment["CONDUCTOR_SERVICE_ID"] for spec in (first, edited)}
    assert len(service_ids) == 1


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        ({"policies": ["p/a"]}, "policies: need the policy server, which this version does not"),
        ({"activation": "systemd"}, 'activation: must be "manager"; "systemd" is not supported'),
        ({"limits": {"requests": 5}}, "limits.requests: must be 1 for format cgi; reuse is not"),
        ({"limits": {"requests": 0}}, "limits.requests: must be 1 for format cgi; reuse is not"),
        ({"limits": {"start_timeout": "0"}}, 'limits.start_timeout: must be more than "0"'),
        ({"format": "http-stdio", "runtime": "python"}, "runtime: python is for format cgi"),
        ({"format": "http-stdio", "no_response_headers": True}, "no_response_headers: is for form"),
        ({"format": "sdactivate", "response_headers": ["A: b"]}, "response_headers: is for form"),
        ({"preload": ["json"]}, "preload: is for Python CGI scripts; "),
        ({"exec": ["./run.py"], "format": "http-stdio", "preload": ["json"]}, "preload: is for"),
        ({"exec": ["./run.py"], "runtime": "exec", "preload": ["json"]}, "preload: is for Python"),
        ({"runtime": "python"}, "exec: "),
        ({"exec": ["./nothing"]}, "exec: "),
        ({"name": "n" * 64}, "name: makes the socket path /run/conductor/functions/"),
    ],
)
def test_what_cannot_be_served_as_declared_is_refused(
    tmp_path: Path, function: dict[str, Any], complaint: str
) -> None:
    long = {"app_name": "a" * 30} if "name" in function else {}
    assert refusal(tmp_path, function, **long).startswith(f"functions[0].{complaint}")


def test_inherit_is_refused_rather_than_dropped(tmp_path: Path) -> None:
    assert refusal(tmp_path, {}, inherit=["../base"]).startswith("inherit: is not supported yet")


def test_a_number_that_canonical_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    assert "does not keep exactly" in refusal(tmp_path, {}, pods=[{"memory": 2**60}])


def test_two_functions_cannot_have_one_id(tmp_path: Path) -> None:
    first = declare(tmp_path / "a", {"name": "f"})
    second = declare(tmp_path / "b", {"name": "F"})
    with pytest.raises(UserError, match=rf"app\.test\.F is declared in {first} too; change one"):
        load_functions([first, second], "/run/conductor")
    with pytest.raises(UserError, match="declared in"):
        load_functions([declare(tmp_path / "c", {"name": "f"}, {"name": "f"})], "/run/conductor")


def test_mistakes_in_several_directories_are_told_at_once(tmp_path: Path) -> None:
    directories = [
        declare(tmp_path / "a", {"exec": ["./nothing"]}, {"name": "g", "policies": ["p"]}),
        declare(tmp_path / "b", {"format": "x"}),
        str(tmp_path / "c"),
    ]
    with pytest.raises(UserError) as raised:
        load_functions(directories, "/run/conductor")
    lines = str(raised.value).splitlines()
    assert [Path(line.split(":")[0]).relative_to(tmp_path).parts[0] for line in lines] == [
        "a",
        "a",
        "b",
        "c",
    ]


def test_keys_for_later_are_taken_with_a_warning(tmp_path: Path) -> None:
    directory = declare(
        tmp_path,
        {"service_directives": ["User=x"], "default_reverse_proxy": False, "reverse_proxy": []},
        pods=[{"name": ""}],
        hooks=[],
        disable=False,
    )
    loaded = load_functions([directory], "/run/conductor")
    assert [warning.split(": ")[1] for warning in loaded.warnings] == [
        "pods",
        "functions[0].service_directives",
        "functions[0].default_reverse_proxy",
    ]
    assert len(loaded.specs) == 1


def test_a_service_without_functions_is_told_of(tmp_path: Path) -> None:
    loaded = load_functions([declare(tmp_path)], "/run/conductor")
    assert loaded.specs == ()
    assert loaded.warnings[0].endswith("functions: is empty, nothing to serve here")
