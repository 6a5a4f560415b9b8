"""Answers to HEAD, and those with 204 or 304, have no body, whatever the program says."""

from collections.abc import Iterator

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import Client, request
from tests.integration.support.manager import ManagerProcess


@pytest.fixture(scope="module", params=["http-stdio", "exec", "python"])
def function_id(manager: ManagerProcess, request: pytest.FixtureRequest) -> str:
    if request.param == "http-stdio":
        return manager.add_http("bodyless", limits={"requests": 0})
    return manager.add(function(f"bodyless-{request.param}", "battery.py", runtime=request.param))


@pytest.fixture
def client(manager: ManagerProcess, function_id: str) -> Iterator[Client]:
    """Every test leaves the connection fit for another request: framing was right."""
    with manager.connect(function_id) as client:
        yield client
        assert client.get("/hello").body == b"hello\n"


def test_head_is_answered_with_the_length_that_the_program_tells(client: Client) -> None:
    answer = client.send(request("HEAD", "/of_head")).read("HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == "123456"


def test_head_of_what_has_a_body_is_answered_without_it(client: Client) -> None:
    answer = client.send(request("HEAD", "/hello")).read("HEAD")
    assert (answer.status, answer.body) == (200, b"")


def test_head_of_what_has_no_length_is_answered_without_body(client: Client) -> None:
    answer = client.send(request("HEAD", "/until_close")).read("HEAD")
    assert (answer.status, answer.body) == (200, b"")


def test_204_has_no_body_and_no_length(client: Client) -> None:
    answer = client.get("/no_content")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["x-answer"] == "empty"
    assert "content-length" not in answer.headers
    assert "transfer-encoding" not in answer.headers


def test_304_has_no_body_and_may_tell_the_length_of_what_it_does_not_send(client: Client) -> None:
    answer = client.get("/not_modified")
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["content-length"] == "6"


def test_errors_of_the_manager_have_no_body_for_head_either(client: Client) -> None:
    answer = client.send(request("HEAD", "/die")).read("HEAD")
    assert (answer.status, answer.body) == (502, b"")
