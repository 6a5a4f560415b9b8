"""The route of a function: where it listens, what it trusts and in which order, what stays."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from conductor.caddy.routes import function_route, server_config
from conductor.caddy.runner import error_in
from conductor.cli.caddy_config import render
from conductor.errors import UserError

FLAGS = {"--function": "app.test.f", "--socket": "/run/f.sock"}


def handlers(route: dict[str, Any]) -> list[dict[str, Any]]:
    handle: list[dict[str, Any]] = route["handle"]
    return handle


def test_a_route_answers_under_the_functions_id_and_its_part_id() -> None:
    route = function_route("app.test.f", "/run/f.sock", part_id="0123")
    paths = ["/cgi/app.test.f", "/cgi/app.test.f/*", "/cgi/0123", "/cgi/0123/*"]
    assert route["match"] == [{"path": paths}]
    alone = function_route("app.test.f", "/run/f.sock")
    assert alone["match"] == [{"path": paths[:2]}]


def test_the_id_of_a_route_stays_over_updates() -> None:
    before = function_route("app.test.f", "/run/f.sock", part_id="0123")
    after = function_route("app.test.f", "/run/f.sock", part_id="4567")
    assert before["@id"] == after["@id"] == "conductor-function.app.test.f"


def test_the_function_is_behind_its_socket_and_answers_are_flushed_at_once() -> None:
    proxy = handlers(function_route("app.test.f", "/run/f.sock"))[-1]
    assert proxy["upstreams"] == [{"dial": "unix//run/f.sock"}]
    assert proxy["flush_interval"] < 0
    assert proxy["flush_interval"] != -1  # which keeps requests going that nobody waits for


def test_what_a_client_may_not_say_is_deleted_before_the_policy_is_asked() -> None:
    route = function_route(
        "app.test.f", "/run/f.sock", policies=("a/b", "c"), policy_socket="/run/policy.sock"
    )
    first, policy, proxy = handlers(route)
    assert "Conductor-*" in first["request"]["delete"]
    assert policy["upstreams"] == [{"dial": "unix//run/policy.sock"}]
    assert policy["rewrite"] == {"method": "HEAD"}
    asked = policy["headers"]["request"]["set"]
    assert asked["Conductor-Policy"] == ["a/b", "c"]
    assert all(isinstance(value, list) for value in asked.values())
    (passed,) = policy["handle_response"]
    assert passed["match"] == {"status_code": [2]}
    assert proxy["upstreams"] == [{"dial": "unix//run/f.sock"}]


def test_a_daemon_gets_its_path_without_the_prefix_and_no_kept_connections() -> None:
    route = function_route("app.test.f", "/run/f.sock", daemon=True, strip=2)
    rewrite = handlers(route)[-2]
    ((rule),) = rewrite["path_regexp"]
    for path, stripped in [
        ("/cgi/app.test.f/a/b", "/a/b"),
        ("/cgi/app.test.f//a", "//a"),
        ("/cgi/app.test.f", ""),
    ]:
        assert re.sub(rule["find"], rule["replace"], path, count=1) == stripped
    assert handlers(route)[-1]["transport"]["keep_alive"] == {"enabled": False}


def test_the_manager_strips_paths_itself() -> None:
    names = [handler["handler"] for handler in handlers(function_route("a.b", "/s", strip=2))]
    assert names == ["headers", "reverse_proxy"]


def test_a_server_of_ours_meets_no_other_caddy() -> None:
    config: dict[str, Any] = server_config("127.0.0.1:80", [function_route("a.b", "/s")])
    assert config["admin"]["disabled"]
    server = config["apps"]["http"]["servers"]["conductor"]
    assert server["automatic_https"] == {"disable": True}
    assert server["routes"][-1]["handle"][0]["status_code"] == 404
    assert "grace_period" in config["apps"]["http"]  # the default one has no end


def test_an_empty_list_of_policies_asks_nobody() -> None:
    for policies in ("", " ", "\n"):
        route = json.loads(render({**FLAGS, "--policies": policies}))
        assert [handler["handler"] for handler in route["handle"]] == ["headers", "reverse_proxy"]


def test_policies_are_separated_by_spaces() -> None:
    route = json.loads(render({**FLAGS, "--policies": " a/b  c "}))
    question = route["handle"][1]["headers"]["request"]["set"]
    assert question["Conductor-Policy"] == ["a/b", "c"]
    assert route["handle"][1]["upstreams"][0]["dial"].endswith("/conductor-policy.socket")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"--function": ""}, "--function is missing, and CONDUCTOR_FUNCTION_ID is not set"),
        ({"--socket": ""}, "--socket is missing, and CONDUCTOR_FUNCTION_SOCKET is not set"),
        ({"--function": "a/*"}, "--function: 'a/*' may hold letters, digits and _ . - only"),
        ({"--function": "{env.HOME}"}, "--function: "),
        ({"--function": "a" * 256}, "--function: "),
        ({"--part-id": "a b"}, "--part-id: "),
        ({"--socket": "run/f.sock"}, "--socket: 'run/f.sock' must be an absolute path"),
        ({"--socket": "/run/{env.X}"}, "--socket: "),
        ({"--policies": "a,b"}, "--policies: 'a,b' may hold letters"),
        ({"--format": "fcgi"}, "--format: 'fcgi' must be one of cgi, http-stdio, sdactivate"),
        ({"--path-info-strip": "-1"}, "--path-info-strip: '-1' must be a whole number"),
        ({"--path-info-strip": "٣"}, "--path-info-strip: "),
    ],
)
def test_what_could_not_stand_in_a_route_is_refused(
    flags: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("CONDUCTOR_FUNCTION_ID", "CONDUCTOR_FUNCTION_SOCKET"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UserError) as raised:
        render({**FLAGS, **flags})
    assert str(raised.value).startswith(complaint)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"level":"info","msg":"serving"}', ""),
        ('{"level":"warn","msg":"admin endpoint disabled"}', ""),
        ('{"level":"error","msg":"dial","error":"no such file"}', "dial: no such file"),
        ('{"level":"error","msg":"aborting","error":"context canceled"}', ""),
        ("Error: loading config: no such module", "Error: loading config: no such module"),
        ("panic: \x1b[31mnil", "panic: \x1b[31mnil"),
        ("[1]", ""),
    ],
)
def test_of_caddys_log_only_errors_that_matter_are_passed_on(line: str, message: str) -> None:
    assert error_in(line.encode() + b"\n") == message
