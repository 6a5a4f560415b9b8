"""What a CGI program prints becomes the same right answer under every runtime."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.support.functions import function
from tests.integration.support.http import Answer, BrokenAnswer, Client, request
from tests.integration.support.manager import ManagerProcess
from tests.integration.support.processes import is_alive
from tests.integration.support.waiting import wait_until

KINDS = ["exec", "python", "preload"]


def spec(name: str, kind: str, program: str = "battery.py", **settings: Any) -> Any:
    preload = ("json", "urllib.request", "random") if kind == "preload" else ()
    runtime = "exec" if kind == "exec" else "python"
    return function(f"{name}-{kind}", program, runtime=runtime, preload=preload, **settings)


@pytest.fixture(scope="module", params=KINDS)
def function_id(manager: ManagerProcess, request: pytest.FixtureRequest) -> str:
    return manager.add(spec("answers", request.param, path_info_strip=1))


@pytest.fixture
def client(manager: ManagerProcess, function_id: str) -> Iterator[Client]:
    with manager.connect(function_id) as client:
        yield client


# Heads.


@pytest.mark.parametrize(
    ("page", "status", "headers", "body"),
    [
        ("hello", 200, {"content-type": "text/plain"}, "hello\n"),
        ("no_type", 200, {"x-other": "1"}, "bare\n"),
        ("teapot", 418, {}, "short and stout\n"),
        ("crlf", 200, {"content-type": "text/plain", "x-a": "1"}, "crlf\r\n"),
        ("cookies", 200, {"set-cookie": "a=1, b=2"}, "cookies\n"),
        ("redirect", 302, {"location": "http://elsewhere.test/a?b=c"}, ""),
        ("redirect_with_status", 301, {"location": "http://elsewhere.test/"}, "moved\n"),
        ("away_redirect", 302, {"location": "/another/function"}, ""),
        ("slow_head", 200, {"content-type": "text/plain"}, "slowly\n"),
        ("too_long", 200, {"content-length": "4"}, "four"),
        ("noise", 200, {"content-type": "text/plain"}, "with noise\n"),
        ("os_exit", 200, {"content-type": "text/plain"}, "left at once\n"),
        ("late_traceback", 200, {"content-type": "text/plain"}, "before the bug\n"),
        ("exit_text", 200, {"content-type": "text/plain"}, "exit with a text\n"),
        ("silent", 502, {}, "502 Bad Gateway\n"),
        ("headless", 502, {}, "502 Bad Gateway\n"),
        ("cut_head", 502, {}, "502 Bad Gateway\n"),
        ("traceback", 502, {}, "502 Bad Gateway\n"),
        ("exit_early", 502, {}, "502 Bad Gateway\n"),
        ("killed_before", 502, {}, "502 Bad Gateway\n"),
        ("round_redirect", 502, {}, "502 Bad Gateway\n"),
    ],
)
def test_an_answer_is_what_was_printed(
    client: Client, page: str, status: int, headers: dict[str, str], body: str
) -> None:
    answer = client.get(f"/f/{page}")
    assert (answer.status, answer.text) == (status, body)
    framing = {"content-length", "transfer-encoding"}
    plain = {"content-type": "text/plain; charset=utf-8"} if status == 502 else {}
    seen = {k: v for k, v in answer.headers.items() if k not in framing or k in headers}
    wanted = headers | plain
    if "content-type" not in wanted and page in ("teapot", "redirect", "cookies"):
        seen.pop("content-type", None)
    assert seen == wanted
    assert client.get("/f/hello").body == b"hello\n"  # The connection is still good.


def test_a_local_redirect_is_answered_by_what_it_names(client: Client) -> None:
    answer = client.post("/f/local_redirect", b"body")
    assert answer.status == 200
    assert answer.text.splitlines() == [
        "REQUEST_METHOD=GET",
        "QUERY_STRING=from=here",
        "CONTENT_LENGTH=None",
        "PATH_INFO=/method",
        "REQUEST_URI=/f/method?from=here",
    ]


def test_what_the_manager_says_of_a_failure_is_not_for_the_client(
    manager: ManagerProcess, function_id: str
) -> None:
    with manager.connect(function_id) as client:
        assert b"what do you mean" not in client.get("/f/headless").body
    entry = manager.wait_logged("request", function_id, "what do you mean?")
    assert entry["status"] == 502


# Standard input.


@pytest.mark.parametrize("size", [10, 60_000, 500_000])
def test_a_program_may_read_a_part_of_its_body(client: Client, size: int) -> None:
    assert client.post("/f/half", b"x" * size).body == b"xxxxx"


def test_a_program_may_open_dev_stdin(client: Client) -> None:
    assert client.post("/f/dev_stdin", b"by its name").body == b"by its name"


def test_a_program_without_body_reads_its_end(client: Client) -> None:
    assert client.get("/f/digest").text.startswith("0 ")


# Endings.


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_an_exit_status_does_not_take_the_answer_back(client: Client, code: int) -> None:
    answer = client.get(f"/f/status?code={code}")
    assert (answer.status, answer.text) == (200, f"status {code}\n")


@pytest.mark.parametrize("kind", KINDS)
def test_an_uncaught_exception_is_logged_with_its_traceback(
    manager: ManagerProcess, kind: str
) -> None:
    function_id = manager.add(spec("traceback", kind))
    with manager.connect(function_id) as client:
        assert client.get("/traceback").status == 502
    manager.wait_logged("stderr", function_id, "ValueError: the script has a bug")
    lines = [entry["message"] for entry in manager.entries("stderr", function_id)]
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: the script has a bug"
    files = [line for line in lines if "File " in line]
    assert len(files) == 2
    assert all("battery.py" in line for line in files)  # The harness is no part of it.
    entry = manager.wait_logged("request", function_id, "exited with status 1")
    assert "its last line was 'ValueError: the script has a bug'" in entry["message"]


def test_an_exit_with_a_text_logs_the_text(manager: ManagerProcess, function_id: str) -> None:
    with manager.connect(function_id) as client:
        client.get("/f/exit_text?logged")
    manager.wait_logged("stderr", function_id, "this is the reason")


def test_a_program_killed_half_way_breaks_its_answer_off(client: Client) -> None:
    client.send(request("GET", "/f/killed"))
    head = client.read_head()
    assert (head.status, head.chunked) == (200, True)
    with pytest.raises(BrokenAnswer):
        client.read_rest()


def test_a_program_that_prints_less_than_it_said_breaks_its_answer_off(client: Client) -> None:
    with pytest.raises(BrokenAnswer):
        client.get("/f/too_short")


def test_a_program_that_closes_its_output_may_work_on(
    manager: ManagerProcess, function_id: str, tmp_path: Path
) -> None:
    done, go = tmp_path / "done", tmp_path / "go"
    with manager.connect(function_id) as client:
        answer = client.get(f"/f/lives_on?file={done}&go={go}")
        assert (answer.status, answer.text) == (200, "answered\n")
        assert not done.exists()
        go.touch()
        wait_until(done.exists, "the work after the answer")
        assert client.get("/f/hello").body == b"hello\n"


def test_a_child_that_holds_the_output_open_does_not_hold_up_the_answer(
    client: Client, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    answer = client.get(f"/f/background?file={file}")
    assert (answer.status, answer.text) == (200, "not waiting\n")
    pid = int(file.read_text())
    assert is_alive(pid)  # It was left behind on purpose; that is the program's affair.
    os.kill(pid, signal.SIGKILL)


def test_output_after_the_head_comes_as_it_is_written(client: Client) -> None:
    assert client.get("/f/until_close").body == b"first\nnot a header\n\nlast\n"


# Settings.


@pytest.mark.parametrize("kind", KINDS)
def test_response_headers_come_first_and_the_programs_own_win(
    manager: ManagerProcess, kind: str
) -> None:
    lines = ("Content-Type: text/html", "X-Frame-Options: DENY")
    function_id = manager.add(spec("headers", kind, response_headers=lines))
    with manager.connect(function_id) as client:
        answer = client.get("/no_type")
        assert answer.headers["content-type"] == "text/html"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-other"] == "1"
        assert client.get("/hello").headers["content-type"] == "text/plain"


@pytest.mark.parametrize("kind", KINDS)
def test_standard_error_can_be_a_part_of_the_answer(manager: ManagerProcess, kind: str) -> None:
    function_id = manager.add(spec("merged", kind, stderr_as_stdout=True))
    with manager.connect(function_id) as client:
        assert client.get("/merged").body == b"from stdout\nfrom stderr\n"
        assert client.get("/hello").body == b"hello\n"


@pytest.mark.parametrize("kind", ["exec", "python"])
def test_an_nph_script_prints_its_own_status_line(manager: ManagerProcess, kind: str) -> None:
    function_id = manager.add(spec("nph", kind, "nph-status.py"))
    with manager.connect(function_id) as client:
        answer = client.get("/")
        assert (answer.status, answer.headers["x-own"], answer.body) == (203, "1", b"mine")


def test_a_program_that_prints_no_head_is_all_body(manager: ManagerProcess) -> None:
    lines = ("Content-Type: text/x-bare", "Status: 201 Made")
    function_id = manager.add(
        function("bare", "bare.sh", no_response_headers=True, response_headers=lines)
    )
    with manager.connect(function_id) as client:
        answer = client.post("/x", b"and the body")
        assert (answer.status, answer.headers["content-type"]) == (201, "text/x-bare")
        assert answer.body == b"bare 0 \nand the body"
        assert (client.get("/nothing").status, client.get("/nothing").body) == (201, b"")
        assert client.get("/killed").status == 502


# All of it, once more, side by side.

COMPARED = """
    hello no_type teapot crlf cookies redirect redirect_with_status away_redirect slow_head
    too_long noise late_traceback exit_text silent headless cut_head traceback exit_early
    killed_before local_redirect dev_stdin digest length half at_exit thread imported annotations
    until_close not_modified no_content
"""


def test_every_runtime_gives_the_same_answers(manager: ManagerProcess) -> None:
    def answers(kind: str) -> dict[str, Answer]:
        function_id = manager.add(spec("compared", kind, spare=4))
        found = {}
        with manager.connect(function_id) as client:
            for page in COMPARED.split():
                answer = found[page] = client.post(f"/{page}", b"some body", "X-Test: 1")
                answer.headers.pop("content-length", None)
                answer.headers.pop("transfer-encoding", None)
                answer.chunked = False  # Who says farewell may be told by length.
        return found

    plain = answers("exec")
    assert answers("python") == plain
    assert answers("preload") == plain
