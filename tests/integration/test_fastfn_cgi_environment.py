"""A CGI program is started with exactly the variables, arguments and files that it should have."""

import json
import os
from typing import Any

import pytest

from conductor.cgi_adapter import CgiRequest, meta_variables
from tests.integration.support.functions import ENVIRONMENT, PROGRAMS, PYTHON, function
from tests.integration.support.http import Answer, chunked, request
from tests.integration.support.manager import ManagerProcess

BATTERY = os.path.join(PROGRAMS, "battery.py")
KINDS = ["exec", "python", "preload"]
FIELDS = [
    "User-Agent: test/1",
    "Cookie: a=1",
    "Cookie: b=2",
    "Accept: text/html",
    "Accept: text/plain;q=0.5",
    "X_Under_Score: not one either",
    "X-Under-Score: one",
    "Proxy: http://evil.test/",
    "Authorization: Basic Og==",
    "Connection: keep-alive, X-Hop",
    "X-Hop: not end to end",
    "X-Forwarded-For: 192.0.2.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: www.example.test",
    "X-Latin: \xe9",
    "X-Empty:",
]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def function_id(manager: ManagerProcess, kind: str) -> str:
    return manager.add(spec(f"environment-{kind}", kind, path_info_strip=2))


def spec(name: str, kind: str, program: str = "battery.py", **settings: Any) -> Any:
    return function(
        name,
        program,
        runtime="exec" if kind == "exec" else "python",
        preload=("json", "urllib.request", "random") if kind == "preload" else (),
        environment={"SETTING": "of the function", "EMPTY": ""},
        arguments=("--one", "two words"),
        directory="/usr",
        **settings,
    )


def expected(**facts: Any) -> dict[str, str]:
    described = CgiRequest(
        **{
            "method": b"GET",
            "version": b"1.1",
            "content_length": None,
            "path_info_strip": 2,
            "program": BATTERY.encode(),
            "directory": b"/usr",
            "peer": None,
            "behind_proxy": True,
        }
        | facts
    )
    variables = {os.fsdecode(k): os.fsdecode(v) for k, v in meta_variables(described).items()}
    return ENVIRONMENT | {"SETTING": "of the function", "EMPTY": ""} | variables


def headers_of(*fields: str) -> list[tuple[bytes, bytes]]:
    split = [field.encode("latin-1").partition(b":") for field in ("Host: example.test", *fields)]
    return [(name, value.strip()) for name, _, value in split]


def test_the_environment_is_the_specs_and_the_requests_and_nothing_else(
    manager: ManagerProcess, function_id: str
) -> None:
    target = "/cgi/x/a%20b/c%2fd/environment?q=1&r=%20"
    with manager.connect(function_id) as client:
        seen = json.loads(client.get(target, *FIELDS).body)
    assert seen == expected(target=target.encode(), headers=headers_of(*FIELDS))
    assert "CONDUCTOR_TEST_SECRET" not in seen


def test_a_request_with_a_body_adds_its_length_and_type(
    manager: ManagerProcess, function_id: str
) -> None:
    target, kind = "/cgi/x/environment", "Content-Type: text/plain"
    with manager.connect(function_id) as client:
        seen = json.loads(client.post(target, b"four", kind).body)
        facts = {"method": b"POST", "content_length": 4, "target": target.encode()}
        assert seen == expected(headers=headers_of(kind), **facts)
        head = request("POST", target, kind, "Transfer-Encoding: chunked")
        assert json.loads(client.send(head + chunked(b"fo", b"ur")).read().body) == seen


def test_a_client_of_the_plain_listener_is_described_by_its_connection(
    manager: ManagerProcess, function_id: str
) -> None:
    target = f"/cgi/{function_id}/environment"
    forwarded = "X-Forwarded-For: 192.0.2.7"
    with manager.connect_tcp() as client:
        peer = client.socket.getsockname()
        seen = json.loads(client.get(target, forwarded).body)
    assert seen == expected(
        target=target.encode(),
        headers=headers_of(forwarded),
        peer=(peer[0].encode(), peer[1]),
        behind_proxy=False,
    )


def test_http_1_0_is_told_to_the_program(manager: ManagerProcess, function_id: str) -> None:
    with manager.connect(function_id) as client:
        client.send(b"GET /cgi/x/environment HTTP/1.0\r\nHost: example.test\r\n\r\n")
        seen = json.loads(client.read().body)
    target = b"/cgi/x/environment"
    assert seen == expected(target=target, version=b"1.0", headers=headers_of())


def test_variables_of_one_request_are_not_those_of_the_next(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        first = json.loads(client.get("/cgi/x/environment", "X-First: 1").body)
        second = json.loads(client.get("/cgi/x/environment", "X-Second: 2").body)
    assert first.keys() ^ second.keys() == {"HTTP_X_FIRST", "HTTP_X_SECOND"}


def test_the_program_starts_as_it_would_by_itself(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        facts = json.loads(client.get("/cgi/x/start").body)
    assert facts["argv"] == [BATTERY, "--one", "two words"]
    assert facts["file"] == BATTERY
    assert facts["name"] == "__main__"
    assert facts["main"]
    assert facts["cwd"] == "/usr"
    assert facts["path0"] == PROGRAMS
    assert facts["executable"] == PYTHON
    assert facts["pipes"] == ["pipe", "pipe", "pipe"]
    assert facts["group_leader"]
    assert facts["child_fds"] == [0, 1, 2]


def test_every_runtime_starts_the_program_in_the_same_way(manager: ManagerProcess) -> None:
    def facts(kind: str) -> Any:
        function_id = manager.add(spec(f"start-{kind}", kind))
        with manager.connect(function_id) as client:
            return json.loads(client.get("/start").body)

    plain = facts("exec")
    assert facts("python") == plain
    assert facts("preload") == plain


def test_path_info_is_what_is_left_when_the_segments_of_the_script_are_taken(
    manager: ManagerProcess,
) -> None:
    def ask(strip: int, path: str) -> Answer:
        function_id = manager.add(spec("strip", "exec", path_info_strip=strip))
        with manager.connect(function_id) as client:
            return client.get(path)

    assert "PATH_INFO=/method\n" in ask(0, "/method").text
    assert "PATH_INFO=/a/method\n" in ask(2, "/cgi/x/a/method").text
    assert ask(1, "/cgi/%00/method").status == 400
    assert ask(1, "/cgi/../../method").status == 400


def test_http_stdio_programs_get_the_path_without_them_too(manager: ManagerProcess) -> None:
    function_id = manager.add_http("strip-stdio", path_info_strip=2)
    with manager.connect(function_id) as client:
        seen = client.get("/cgi/x/head?a=b").text
    assert seen.startswith("GET /head?a=b HTTP/1.1\r\n")
    assert "X-Forwarded-Prefix: /cgi/x\r\n" in seen


def test_arguments_reach_a_program_of_any_kind(manager: ManagerProcess) -> None:
    function_id = manager.add(
        function("arguments", "bare.sh", arguments=("a", "b c"), no_response_headers=True)
    )
    with manager.connect(function_id) as client:
        assert client.get("/x").text == "bare 2 a b c\n"
