"""The adapter answers one request on its stdin and stdout by running a CGI program."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cgi_adapter_client import (
    DEADLINE,
    REQUEST,
    Exchange,
    chunked,
    command,
    post,
    serving,
    write_script,
)

ECHO = {
    "bash": '#!/bin/bash\nprintf "Content-Type: text/plain\\n\\n$REQUEST_METHOD $CONTENT_LENGTH:"\n'
    "head -c $CONTENT_LENGTH\n",
    "python": f"#!{sys.executable}\nimport os, sys\n"
    "length = os.environ['CONTENT_LENGTH']\n"
    "print('Content-Type: text/plain\\n\\nPOST', length, end=':', flush=True)\n"
    "sys.stdout.write(sys.stdin.read(int(length)))\n",
    "perl": "#!/usr/bin/perl\n"
    'print "Content-Type: text/plain\\r\\n\\r\\nPOST $ENV{CONTENT_LENGTH}:";\n'
    "read(STDIN, my $body, $ENV{CONTENT_LENGTH}); print $body;\n",
}
PRINTENV = "#!/bin/sh\necho; env\n"
DIGEST = f"""#!{sys.executable}
import hashlib, os
with open("/dev/stdin", "rb") as body:
    digest = hashlib.file_digest(body, "sha256").hexdigest()
print("Status: 201 Created\\n\\n" + os.environ["CONTENT_LENGTH"], digest)
"""
CAT = "#!/bin/sh\necho; exec cat\n"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script"


def variables(exchange: Exchange, request: bytes = REQUEST) -> dict[str, str]:
    lines = exchange.ask(request).body.decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("language", ECHO)
@pytest.mark.parametrize("tcp", [False, True])
def test_a_script_in_any_language_answers_a_post(script: Path, language: str, tcp: bool) -> None:
    write_script(script, ECHO[language])
    with serving("--", script, tcp=tcp) as exchange:
        response = exchange.ask(post(b"hello=world"))
        assert (response.status, response.body) == (200, b"POST 11:hello=world")
        assert response.headers["connection"] == "close"
        assert response.is_whole
        assert exchange.end() == ""


def test_a_request_and_its_body_may_come_in_pieces(script: Path) -> None:
    write_script(script, ECHO["bash"])
    with serving("--", script) as exchange:
        for byte in post(b"hello")[:-1]:
            exchange.connection.send(bytes([byte]))
        assert exchange.ask(b"o").body == b"POST 5:hello"


def test_it_works_between_pipes_too(script: Path) -> None:
    write_script(script, ECHO["bash"])
    done = subprocess.run(
        command("--", script), input=post(b"x" * 99), capture_output=True, timeout=9, check=True
    )
    assert done.stdout.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"x" * 99 in done.stdout
    assert done.stdout.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_a_chunked_body_is_spooled_and_has_a_length(script: Path, size: int) -> None:
    write_script(script, DIGEST)
    body = os.urandom(size)
    with serving("--", script) as exchange:
        pieces = [body[i : i + 50_000] for i in range(0, size, 50_000)]
        response = exchange.ask(chunked(*pieces))
        assert response.status == 201
        assert response.body.decode() == f"{size} {hashlib.sha256(body).hexdigest()}\n"


def test_expect_100_continue_is_answered_before_the_body_comes(script: Path) -> None:
    write_script(script, ECHO["bash"])
    with serving("--", script) as exchange:
        request = post(b"hello", headers=b"Expect: 100-continue\r\n")
        exchange.connection.sendall(request[:-5])
        assert exchange.read_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert exchange.ask(b"hello").body == b"POST 5:hello"


@pytest.mark.parametrize(
    ("request_line", "status_line"),
    [
        (b"HEAD / HTTP/1.1", ""),
        (b"GET / HTTP/1.1", "Status: 204"),
        (b"GET / HTTP/1.1", "Status: 304"),
    ],
)
def test_an_answer_that_has_no_body_gets_none(
    script: Path, request_line: bytes, status_line: str
) -> None:
    write_script(script, f"#!/bin/sh\necho 'X: 1\n{status_line}'\necho; echo hello\n")
    with serving("--", script) as exchange:
        exchange.connection.sendall(request_line + b"\r\nHost: a\r\n\r\n")
        raw = exchange.read_all()
        assert b"X: 1\r\n" in raw
        assert raw.endswith(b"\r\n\r\n")
        assert b"hello" not in raw


def test_output_is_sent_on_as_it_comes(script: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    write_script(script, f"#!/bin/sh\necho; echo one; cat {tmp_path}/gate\n")
    with serving("--", script) as exchange:
        exchange.connection.sendall(REQUEST)
        raw = b""
        while b"one\n\r\n" not in raw:
            raw += exchange.read_some()
        (tmp_path / "gate").write_text("two\n")
        assert exchange.read_all() == b"4\r\ntwo\n\r\n0\r\n\r\n"


def test_an_http_1_0_client_gets_no_chunks(script: Path) -> None:
    write_script(script, "#!/bin/sh\necho; echo hello\n")
    with serving("--", script, tcp=True) as exchange:
        exchange.connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        head, _, body = exchange.read_all().partition(b"\r\n\r\n")
        assert body == b"hello\n"
        assert b"chunked" not in head


def test_the_path_is_cut_and_the_directory_is_kept(script: Path, tmp_path: Path) -> None:
    write_script(script, PRINTENV)
    with serving("--path-info-strip", 2, "--", "./script", cwd=tmp_path) as exchange:
        found = variables(exchange, b"GET /cgi/f/a?b HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/cgi/f", "/a")
    assert found["SCRIPT_FILENAME"] == str(script)
    assert found["DOCUMENT_ROOT"] == found["PWD"] == str(tmp_path)
    assert "CONTENT_LENGTH" not in found


def test_the_environment_is_passed_on_but_for_what_looks_like_a_request(script: Path) -> None:
    write_script(script, PRINTENV)
    own = {"PATH": os.environ["PATH"], "GREETING": "hello", "HTTP_PROXY": "x", "LISTEN_FDS": "1"}
    with serving("--", script, env=own | {"REMOTE_PORT": "1"}) as exchange:
        found = variables(exchange)
    assert found["GREETING"] == "hello"
    assert not {"HTTP_PROXY", "LISTEN_FDS", "REMOTE_PORT"} & found.keys()


@pytest.mark.parametrize("tcp", [False, True])
def test_the_client_is_the_tcp_peer_or_whom_the_proxy_names(script: Path, tcp: bool) -> None:
    write_script(script, PRINTENV)
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
    with serving("--", script, tcp=tcp) as exchange:
        port = exchange.connection.getsockname()[1:2]
        found = variables(exchange, request)
    assert found["REMOTE_ADDR"] == ("127.0.0.1" if tcp else "203.0.113.9")
    assert found.get("REMOTE_PORT") == (str(port[0]) if tcp else None)


@pytest.mark.parametrize("tcp", [False, True])
def test_a_script_that_reads_no_body_holds_nobody_up(script: Path, tcp: bool) -> None:
    write_script(script, "#!/bin/sh\necho; echo hello\n")
    with serving("--", script, tcp=tcp) as exchange:
        response = exchange.ask(post(bytes(5_000_000)))
        assert (response.body, response.is_whole) == (b"hello\n", True)
        assert exchange.end() == ""


def test_a_client_that_sends_all_before_it_reads_holds_nobody_up(script: Path) -> None:
    write_script(script, CAT)
    body = os.urandom(8_000_000)
    with serving("--", script) as exchange:
        assert exchange.ask(post(body)).body == body


def test_a_client_that_reads_while_it_sends_is_served_in_bounded_memory(script: Path) -> None:
    write_script(script, "#!/bin/sh\necho; cat; grep VmHWM /proc/$PPID/status\n")
    size = 32_000_000
    with serving("--", script) as exchange:
        sender = threading.Thread(target=exchange.connection.sendall, args=(post(bytes(size)),))
        sender.start()
        response = exchange.read_response()
        sender.join(DEADLINE)
        peak = response.body[size:].split()
        assert peak[0] == b"VmHWM:"
        assert int(peak[1]) < 40_000  # KiB


def test_a_script_may_run_on_after_it_closed_its_output(script: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    late = tmp_path / "late"
    write_script(
        script,
        f"#!/bin/sh\necho; echo hello\nexec >&-\ncat {tmp_path}/gate > {late}\n",
    )
    with serving("--", script) as exchange:
        response = exchange.ask()
        assert (response.body, response.is_whole) == (b"hello\n", True)
        (tmp_path / "gate").write_text("work")
        assert exchange.end() == ""
        assert late.read_text() == "work"


def test_declared_headers_come_first_and_headers_can_be_done_without(script: Path) -> None:
    write_script(script, "#!/bin/sh\necho hello\n")
    options = ["--response-header", "Content-Type: text/x", "--response-header", "Status: 410"]
    with serving(*options, "--no-response-headers", "--", script) as exchange:
        response = exchange.ask()
    assert (response.status, response.body) == (410, b"hello\n")
    assert response.headers["content-type"] == "text/x"


def test_stderr_is_part_of_the_output_where_asked(script: Path) -> None:
    write_script(script, "#!/bin/sh\necho; echo out; echo err >&2\n")
    with serving("--stderr-as-stdout", "--", script) as exchange:
        assert exchange.ask().body == b"out\nerr\n"
        assert exchange.end() == ""
    with serving("--", script) as exchange:
        assert exchange.ask().body == b"out\n"
        assert exchange.end() == "err\n"


def test_nothing_on_stderr_gets_into_a_connection_that_it_shares(script: Path) -> None:
    write_script(script, "#!/bin/sh\necho noise >&2; echo; echo hello\n")
    with serving("--", script, stderr=subprocess.STDOUT) as exchange:
        exchange.connection.sendall(REQUEST)
        assert b"noise" not in exchange.read_all()


def test_a_program_named_nph_prints_the_whole_response(tmp_path: Path) -> None:
    script = write_script(
        tmp_path / "nph-script", "#!/bin/sh\nprintf 'HTTP/1.0 402 Pay\\r\\nX: 1\\r\\n\\r\\nhello'\n"
    )
    with serving("--", script) as exchange:
        response = exchange.ask()
    assert (response.status, response.body) == (402, b"hello")


def test_a_local_redirect_is_followed_within_the_program(script: Path) -> None:
    write_script(
        script,
        '#!/bin/sh\n[ "$PATH_INFO" = /b ] || { echo "Location: $SCRIPT_NAME/b?c"; echo; exit; }\n'
        'echo; echo "$REQUEST_METHOD $QUERY_STRING $CONTENT_LENGTH"; cat\n',
    )
    with serving("--path-info-strip", 1, "--", script) as exchange:
        response = exchange.ask(post(b"body", path=b"/f/a"))
        assert (response.status, response.body) == (200, b"GET c \n")


def test_a_redirect_elsewhere_is_for_the_client(script: Path) -> None:
    write_script(script, "#!/bin/sh\necho Location: /g/b; echo\n")
    with serving("--path-info-strip", 1, "--", script) as exchange:
        response = exchange.ask(b"GET /f HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (response.status, response.headers["location"]) == (302, "/g/b")


def test_a_connection_without_a_request_is_no_event(script: Path) -> None:
    with serving("--", script) as exchange:
        exchange.connection.close()
        assert exchange.end() == ""


def test_help_shows_how_to_use_it() -> None:
    done = subprocess.run(command("--help"), capture_output=True, text=True, check=True)
    assert "StandardInput=socket" in done.stdout
    assert "python -m conductor.cgi_adapter --path-info-strip 2 -- ./hello.sh" in done.stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["./x"], "unrecognized arguments: ./x"),
        (["--"], 'no program given: write it after "--"'),
        (["--timeout", "soon", "--", "x"], "'soon' is no duration"),
        (["--body-limit", "-1", "--", "x"], "'-1' is no size"),
        (["--path-info-strip", "two", "--", "x"], "'two' is no number of segments"),
        (["--response-header", "text/plain", "--", "x"], "'text/plain' has no colon"),
    ],
)
def test_a_wrong_option_is_explained(words: list[str], problem: str) -> None:
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert problem in done.stderr.splitlines()[-1]
