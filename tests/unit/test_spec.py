"""A spec that comes as JSON is checked in every field; what cannot work is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.fastfn.spec import Format, FunctionSpec, Limits, Processes, SpecError

SMALL: dict[str, Any] = {
    "id": "app.demo.f",
    "format": "cgi",
    "program": "/srv/f.py",
    "directory": "/srv",
    "socket": "/run/f.sock",
}
FULL = FunctionSpec(
    id="app.demo.f",
    format=Format.CGI,
    program="/srv/f.py",
    arguments=("--cgi", ""),
    directory="/srv",
    socket="/run/f.sock",
    part_id="0123",
    deployment="app-demo-f-1",
    runtime="python",
    interpreter=("/usr/bin/python3", "-E"),
    preload=("json",),
    environment={"PATH": "/bin", "EMPTY": "", "NAME": "ä=\udcff"},
    processes=Processes(spare=2, max=9, idle_timeout=0.5),
    limits=Limits(requests=5, timeout=0.0, start_timeout=1.5, queue=0, queue_timeout=2, body=7),
    stderr_as_stdout=True,
    response_headers=("Content-Type: text/plain",),
    no_response_headers=True,
    path_info_strip=2,
)


def with_(key: str, value: object) -> dict[str, Any]:
    """Return the small spec with ``value`` at ``key``, which may be in an object."""
    data = dict(SMALL)
    outer, _, inner = key.partition(".")
    data[outer] = {inner: value} if inner else value
    return data


def refusal(data: object) -> str:
    with pytest.raises(SpecError) as caught:
        FunctionSpec.from_json(data)
    return str(caught.value)


def test_a_spec_survives_its_json() -> None:
    assert FunctionSpec.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL


def test_what_is_left_out_has_its_default() -> None:
    spec = FunctionSpec.from_json(SMALL)
    assert (spec.processes, spec.limits) == (Processes(), Limits())
    assert (spec.runtime, spec.arguments, spec.environment) == ("exec", (), {})
    assert FunctionSpec.from_json(with_("processes.spare", 3)).processes == Processes(spare=3)


def test_a_whole_number_is_a_duration_too() -> None:
    timeout = FunctionSpec.from_json(with_("limits.timeout", 5)).limits.timeout
    assert isinstance(timeout, float)
    assert timeout == 5.0


@pytest.mark.parametrize(
    ("function_id", "name"), [("app.demo.f", "f"), ("app.demo.", "app.demo."), ("f", "f")]
)
def test_a_function_is_called_by_the_last_part_of_its_id(function_id: str, name: str) -> None:
    assert FunctionSpec.from_json(with_("id", function_id)).name == name


@pytest.mark.parametrize("data", [None, [], "spec", 1, {1: 2}])
def test_what_is_no_object_is_refused(data: object) -> None:
    assert refusal(data) == "spec must be an object"


@pytest.mark.parametrize("key", SMALL)
def test_what_is_needed_is_named(key: str) -> None:
    assert refusal({k: v for k, v in SMALL.items() if k != key}) == f"{key} is missing"


@pytest.mark.parametrize("key", ["colour", "limits.colour", "processes.colour", "name"])
def test_an_unknown_key_is_named(key: str) -> None:
    assert refusal(with_(key, 1)) == f"{key} is unknown"


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("program", [None, 1, ["/a"], {}, True, "/a\0b", "/a\ud800"]),
        ("arguments", ["abc", None, [1], ["a", None], {"a": "b"}, ["a\0"]]),
        ("environment", [[], "A=b", {"A": 1}, {"A": None}, {"A\0": "b"}, {"A": "b\0"}]),
        ("stderr_as_stdout", [0, 1, "true", None]),
        ("path_info_strip", [-1, 1.0, "1", True, None, 2**53 + 1, 10**400]),
        ("limits.body", [-1, 0.5, "16MiB", False, None, [1]]),
        ("limits.timeout", [-1, -0.1, "60s", True, None, float("nan"), float("inf"), 10**400]),
        ("processes.idle_timeout", ["60s", [], 1e300]),
        ("processes", [None, [], 1]),
        ("limits", [None, "none"]),
        ("format", [None, "fcgi", 1, [], {}, "CGI"]),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(key: str, values: list[object]) -> None:
    for value in values:
        assert refusal(with_(key, value)).startswith(f"{key} must be "), value


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("id", "", "id must be 1 to 200 letters, digits, dots, - and _"),
        ("id", "../f", "id must be"),
        ("id", "a b", "id must be"),
        ("id", "a\x1b[2J", "id must be"),
        ("id", "f\n", "id must be"),
        ("id", "a" * 201, "id must be"),
        ("program", "f.py", "program must be an absolute path"),
        ("directory", "", "directory must be an absolute path"),
        ("socket", "f.sock", "socket must be an absolute path"),
        ("runtime", "cobol", "runtime must be one of "),
        ("runtime", "python", "interpreter must be given for the runtime python"),
        ("processes.max", 0, "processes.max must be 1 to 1024"),
        ("processes.max", 1025, "processes.max must be 1 to 1024"),
        ("processes.spare", 9, "processes.spare must not be more than processes.max"),
        ("environment", {"": "x"}, "environment must have names without = in them"),
        ("environment", {"A=B": "x"}, "environment must have names without = in them"),
        ("response_headers", ["no colon"], "response_headers the line 'no colon' has no colon"),
        ("response_headers", ["X: a\r\nY: b"], "response_headers "),
    ],
)
def test_what_cannot_work_is_refused_by_name(key: str, value: object, problem: str) -> None:
    told = refusal(with_(key, value))
    assert told.startswith(problem)
    assert told.isprintable()


def test_the_formats_are_named() -> None:
    assert refusal(with_("format", "x")) == "format must be one of cgi, http-stdio, sdactivate"


def test_a_file_name_that_is_no_text_is_taken() -> None:
    assert FunctionSpec.from_json(with_("program", "/srv/\udce4")).program == "/srv/\udce4"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
keys = st.sampled_from([*FULL.to_json(), "limits.queue", "limits.timeout", "processes.max", "x"])


@given(st.lists(st.tuples(keys, json_values), max_size=3))
def test_anything_else_is_a_spec_or_a_spec_error(changes: list[tuple[str, object]]) -> None:
    data = dict(SMALL)
    for key, value in changes:
        data |= {k: v for k, v in with_(key, value).items() if k == key.partition(".")[0]}
    try:
        spec = FunctionSpec.from_json(data)
    except SpecError:
        return
    assert FunctionSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
