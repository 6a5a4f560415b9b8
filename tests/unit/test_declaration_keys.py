"""Every wrong key and value is told with its path and what is allowed, all of them at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from conductor.service.loading import BadDeclarationsError, load_declaration

if TYPE_CHECKING:
    from pathlib import Path

FUNCTION = {"name": "f", "format": "cgi", "exec": ["./f"]}


def complaints(directory: Path, **keys: Any) -> list[str]:
    """Return what is wrong with a service that has ``keys``, without the file's name."""
    file = directory / "conductor-service.json"
    file.write_text(json.dumps({"app_name": "app", "instance_name": "test", **keys}))
    with pytest.raises(BadDeclarationsError) as raised:
        load_declaration(str(directory))
    lines = str(raised.value).splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


def function_complaints(directory: Path, **keys: Any) -> list[str]:
    return complaints(directory, functions=[{**FUNCTION, **keys}])


def test_an_unknown_key_brings_the_known_ones_and_a_guess(tmp_path: Path) -> None:
    (line,) = function_complaints(tmp_path, limits={"time_out": "1s"})
    assert line.startswith('functions[0].limits.time_out: is unknown; did you mean "timeout"?')
    assert "(known: requests, timeout, start_timeout, queue, queue_timeout, body)" in line


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        (
            {"format": "cgii"},
            "format: must be 'cgi', 'http-stdio' or 'sdactivate', not 'cgii'; did you mean",
        ),
        ({"runtime": "cobol"}, "runtime: must be one of auto, exec, python, not 'cobol'"),
        ({"exec": []}, "exec: must begin with a program, such as"),
        ({"exec": "./f"}, "exec: must be a list"),
        ({"exec": ["./f", 1]}, "exec[1]: must be text"),
        ({"exec": ["./f", "a\0b"]}, "exec[1]: must not hold NUL"),
        ({"exec": ["./f", "\ud800"]}, "exec[1]: must not hold NUL (\\u0000) or half"),
        ({"name": "a/b"}, "name: must be at most 64 letters, digits, - and _, not 'a/b'"),
        ({"name": "a" * 65}, "name: must be at most 64 letters"),
        ({"name": ".."}, "name: must be at most 64 letters"),
        ({"stderr_as_stdout": "yes"}, "stderr_as_stdout: must be true or false"),
        ({"path_info_strip": -1}, "path_info_strip: must be at least 0, not -1"),
        ({"path_info_strip": 1.5}, "path_info_strip: must be a whole number"),
        ({"path_info_strip": True}, "path_info_strip: must be a whole number"),
        ({"preload": ["os; evil"]}, "preload[0]: must be a module such as"),
        ({"limits": []}, "limits: must be an object"),
        ({"limits": {"timeout": 30}}, 'limits.timeout: must be text such as "30s", not 30'),
        ({"limits": {"timeout": "30 s"}}, "limits.timeout: '30 s' is no duration; write it like"),
        ({"limits": {"timeout": "9999d"}}, "limits.timeout: is more than Conductor takes"),
        ({"limits": {"timeout": "9" * 400 + "s"}}, "limits.timeout: must be short text"),
        ({"limits": {"body": "16MB/s"}}, "limits.body: '16MB/s' is no size; write it like"),
        ({"limits": {"queue": 65537}}, "limits.queue: must be at most 65536, not 65537"),
        ({"processes": {"max": 0}}, "processes.max: must be at least 1, not 0"),
        (
            {"processes": {"spare": 9}},
            "processes: must not keep more spare (9) than max (8)",
        ),
        ({"response_headers": ["X"]}, "response_headers[0]: must be a header line such as"),
        ({"response_headers": ["A: b\r\nC: d"]}, "response_headers[0]: must be a header line"),
        (
            {"response_headers": ["Content-Length: 5"]},
            "response_headers[0]: must not hold Content-Length, which Conductor sets itself",
        ),
        ({"policies": ["a b"]}, 'policies[0]: must be like "policy/authorization"'),
    ],
)
def test_a_wrong_value_brings_what_is_allowed(
    tmp_path: Path, keys: dict[str, Any], complaint: str
) -> None:
    (line,) = function_complaints(tmp_path, **keys)
    assert line.startswith(f"functions[0].{complaint}")


@pytest.mark.parametrize("key", ["format", "exec"])
def test_a_function_needs_a_format_and_a_program(tmp_path: Path, key: str) -> None:
    function = {name: value for name, value in FUNCTION.items() if name != key}
    assert complaints(tmp_path, functions=[function]) == [f"functions[0].{key}: is missing"]


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"A-B": "x"}, "config.A-B: is no name for a variable"),
        ({"1A": "x"}, "config.1A: is no name for a variable"),
        ({"": "x"}, "config.: is no name for a variable"),
        ({"CONDUCTOR_APP": "x"}, "config.CONDUCTOR_APP: is taken"),
        ({"A": ["x"]}, "config.A: must be text, a number, true, false or null"),
        ({"A": 2**53}, "config.A: is a number that JSON does not keep exactly; write it as text"),
        ({"A": 1e999}, "config.A: is a number that JSON does not keep exactly"),
        ({"A": "x\0"}, "config.A: must not hold NUL"),
    ],
)
def test_config_holds_variables(tmp_path: Path, config: dict[str, Any], complaint: str) -> None:
    (tmp_path / "x").mkdir()
    text = json.dumps({"app_name": "app", "instance_name": "test", "config": config})
    file = tmp_path / "conductor-service.json"
    file.write_text(text.replace("Infinity", "1e999"))
    with pytest.raises(BadDeclarationsError) as raised:
        load_declaration(str(tmp_path))
    assert str(raised.value).startswith(f"{file}: {complaint}")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    lines = complaints(
        tmp_path,
        app_name="my app",
        fuctions=[],
        functions=[{**FUNCTION, "format": 1, "prelod": []}],
    )
    assert [line.split(":")[0] for line in lines] == [
        "app_name",
        "functions[0].format",
        "functions[0].prelod",
        "fuctions",
    ]


def test_every_documented_key_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "conductor-service.json"
    file.write_text("""{
      "app_name": "app", "instance_name": "test", "inherit": [], "pods": [{"name": ""}],
      "config": {"A": "x", "B": 1, "C": 1.5, "D": true, "E": null},
      "proxy_config_template": "./p", "hooks": [], "commands": {}, "display_service_config": [],
      "display_service_deployment_config": [], "display_deployment_config": [],
      "disable": false, "conditions": [], "auto_restart": true, "caddy_load_balancer": {},
      "functions": [{
        "name": "f", "format": "cgi", "exec": ["./script.py", "--cgi"],
        "runtime": "auto", "preload": ["json"], "activation": "manager",
        "processes": {"spare": 1, "max": 8, "idle_timeout": "60s"},
        "limits": {"requests": 1, "timeout": "60s", "start_timeout": "30s", "queue": 128,
                   "queue_timeout": "30s", "body": "0"},
        "stderr_as_stdout": false, "response_headers": ["Content-Type: text/plain"],
        "no_response_headers": false, "path_info_strip": 2,
        "policies": ["policy-name/authorization"], "service_directives": ["MemoryMax=256M"],
        "reverse_proxy": [], "default_reverse_proxy": true, "part_id_template": "",
        "exclude_vars": [],
      }],
    }""")
    function = load_declaration(str(tmp_path)).service.functions[0]
    assert function.limits.timeout == 60.0
    assert function.policies == ["policy-name/authorization"]
