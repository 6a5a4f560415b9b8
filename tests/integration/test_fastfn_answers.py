"""An answer that a program gives as old or odd programs do still reaches the client right."""

from collections.abc import Iterator

import pytest

from tests.integration.support.http import BrokenAnswer, Client, request
from tests.integration.support.manager import ManagerProcess

# The first module of the functions path: what takes half a minute begins here.
pytestmark = pytest.mark.usefixtures("slow_heads")


@pytest.fixture(scope="module", params=[1, 0], ids=["single-shot", "multi-shot"])
def function_id(manager: ManagerProcess, request: pytest.FixtureRequest) -> str:
    return manager.add_http(f"answers-{request.param}", limits={"requests": request.param})


@pytest.fixture
def client(manager: ManagerProcess, function_id: str) -> Iterator[Client]:
    with manager.connect(function_id) as client:
        yield client


def test_interim_answers_are_passed_on(client: Client) -> None:
    answer = client.get("/hints")
    assert answer.interim == [103]
    assert (answer.status, answer.body) == (200, b"hinted\n")


def test_an_answer_that_ends_with_its_connection_is_framed_for_the_client(client: Client) -> None:
    for _ in range(2):
        answer = client.get("/until_close")
        assert (answer.body, answer.chunked) == (b"first\nlast\n", True)


def test_a_program_that_speaks_http_1_0_is_understood(client: Client) -> None:
    for _ in range(2):
        assert client.get("/http10").body == b"as ever\n"
        assert client.get("/http10_with_length").body == b"old"


@pytest.mark.parametrize("path", ["/cut", "/cut_chunks", "/cut_until_close"])
def test_an_answer_that_breaks_off_is_broken_off_for_the_client(client: Client, path: str) -> None:
    with pytest.raises(BrokenAnswer):
        client.get(path)


@pytest.mark.parametrize("path", ["/cut_chunks", "/cut_until_close"])
def test_an_answer_that_breaks_off_has_no_last_chunk(client: Client, path: str) -> None:
    client.send(request("GET", path))
    assert client.read_head().chunked
    with pytest.raises(BrokenAnswer):
        client.read_rest()


def test_a_broken_off_answer_is_logged_with_the_workers_end(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client, pytest.raises(BrokenAnswer):
        client.get("/cut?logged")
    entry = manager.wait_logged("request", function_id, "was killed by SIGKILL")
    assert entry["status"] == 200


def test_a_program_that_ends_without_an_answer_is_a_502_with_its_last_words(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        assert client.get("/die").status == 502
        assert client.get("/hello").body == b"hello\n"
    entry = manager.wait_logged("request", function_id, "exited with status 3")
    assert "its last line was 'out of ideas'" in entry["message"]
    manager.wait_logged("stderr", function_id, "out of ideas")


def test_what_is_no_http_is_a_502(manager: ManagerProcess, function_id: str) -> None:
    with manager.connect(function_id) as client:
        assert client.get("/gibberish").status == 502
        assert client.get("/hello").body == b"hello\n"
    manager.wait_logged("request", function_id, "malformed response head")


def test_what_is_over_the_told_length_reaches_nobody(client: Client) -> None:
    assert client.get("/too_much").body == b"four"
    assert client.get("/hello").body == b"hello\n"


def test_redirects_and_their_headers_pass(client: Client) -> None:
    answer = client.get("/redirect")
    assert (answer.status, answer.headers["location"]) == (303, "/elsewhere")


def test_an_unknown_page_of_the_program_is_the_programs_404(client: Client) -> None:
    answer = client.get("/nowhere")
    assert (answer.status, answer.body) == (404, b"no such page\n")


def test_a_programs_environment_is_what_its_spec_says(client: Client) -> None:
    lines = client.get("/environment").text.splitlines()
    names = [line.partition("=")[0] for line in lines]
    assert names == ["LANG", "PATH", "argv", "cwd", "fds"]
    assert lines[-1] == "fds=[0, 1, 2]"
