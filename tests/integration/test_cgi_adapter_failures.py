"""Whatever goes wrong, the client gets the right status or no end, and nothing is left running."""

from __future__ import annotations

import os
import resource
import signal
import socket
from pathlib import Path

import pytest

from tests.cgi_adapter_client import (
    DEADLINE,
    REQUEST,
    chunked,
    is_alive,
    post,
    serving,
    wait_until,
    write_script,
)

# Tells its own process id and that of a child in its group, then lives on.
FAMILY = "#!/bin/sh\n{before}\nsleep 300 &\necho $$ $! > pids.new\nmv pids.new pids\n{then}\nwait\n"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script"


def family(script: Path, before: str = "", then: str = "") -> Path:
    return write_script(script, FAMILY.format(before=before, then=then))


def pids(directory: Path) -> list[int]:
    wait_until((directory / "pids").exists)
    return [int(word) for word in (directory / "pids").read_text().split()]


def wait_until_ended(processes: list[int]) -> None:
    wait_until(lambda: not any(is_alive(pid) for pid in processes))


# --- requests that are refused


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /.. HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", 400),
        (chunked(b"a").replace(b"Host", b"Content-Length: 5\r\nHost"), 400),
        (chunked(b"a").replace(b"1\r\na", b"x\r\na"), 400),
        (chunked(b"a").replace(b"chunked", b"gzip"), 501),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200_000, 431),
    ],
)
@pytest.mark.parametrize("tcp", [False, True])
def test_a_request_in_doubt_is_refused_before_the_program_runs(
    script: Path, tmp_path: Path, request_bytes: bytes, status: int, tcp: bool
) -> None:
    write_script(script, "#!/bin/sh\ntouch ran\n")
    with serving("--", script, tcp=tcp, cwd=tmp_path) as exchange:
        response = exchange.ask(request_bytes)
        assert (response.status, response.is_whole) == (status, True)
        exchange.connection.close()
        assert f": {status}: " in exchange.end()
    # A broken chunked body is found out before the program runs, since it is spooled whole.
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("request_bytes", [post(bytes(5000)), chunked(bytes(900), bytes(900))])
def test_a_body_over_the_limit_is_refused(script: Path, request_bytes: bytes) -> None:
    write_script(script, "#!/bin/sh\necho; wc -c\n")
    with serving("--body-limit", "1KiB", "--", script) as exchange:
        response = exchange.ask(request_bytes)
        assert response.status == 413
        assert b"longer than the 1024 bytes allowed" in response.body
    with serving("--body-limit", "8KiB", "--", script) as exchange:
        assert exchange.ask(request_bytes).status == 200


def test_a_refused_body_is_not_asked_for(script: Path) -> None:
    with serving("--body-limit", "1KiB", "--", script) as exchange:
        request = post(bytes(5000), headers=b"Expect: 100-continue\r\n")
        exchange.connection.sendall(request[:-5000])
        assert exchange.read_some().startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("request_bytes", [REQUEST[:-5], chunked(b"hello")[:-7]])
def test_a_request_that_does_not_come_is_not_waited_for(script: Path, request_bytes: bytes) -> None:
    with serving("--timeout", "200ms", "--", script) as exchange:
        assert exchange.ask(request_bytes).status == 408


def test_a_request_that_ends_too_early_is_no_request(script: Path) -> None:
    write_script(script, "#!/bin/sh\ncat >/dev/null\necho; echo ran\n")
    for cut in (REQUEST[:-2], post(b"hello")[:-1]):
        with serving("--", script) as exchange:
            exchange.connection.sendall(cut)
            exchange.connection.shutdown(socket.SHUT_WR)
            assert exchange.read_response().status == 400


def test_a_body_that_the_disk_cannot_hold_is_our_error(script: Path) -> None:
    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    with serving("--", script, preexec_fn=no_room) as exchange:
        assert exchange.ask(chunked(bytes(3_000_000))).status == 500
        exchange.connection.close()
        assert "500: it could not be served: " in exchange.end()


# --- programs that fail


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("#!/bin/sh\necho hello\n", "the program's output begins with 'hello', not a header"),
        ("#!/bin/sh\nexit 3\n", "without printing a response; it exited with status 3"),
        ("#!/bin/sh\nkill -SEGV $$\n", "before it answered it was killed by SIGSEGV"),
        ("#!/bin/sh\necho X: 1\n", "before the empty line that ends its headers"),
        ("#!/bin/sh\nprintf 'X: 1\\n 2\\n\\n'\n", "is folded onto the one before it"),
        ("#!/bin/sh\nexec >&-; exec sleep 300\n", "it closed its output and still runs"),
        ("#!/nowhere\n", "it cannot be run: No such file or directory; if the file is there,"),
        ("echo\n", "it cannot be run: Exec format error; a script begins with a line like"),
    ],
)
def test_a_program_that_gives_no_answer_is_a_bad_gateway(
    script: Path, text: str, sentence: str
) -> None:
    write_script(script, text)
    with serving("--", script) as exchange:
        response = exchange.ask()
        assert (response.status, response.body) == (502, b"502 Bad Gateway\n")
        assert sentence in exchange.end()


def test_a_program_that_is_not_there_or_not_executable_is_a_bad_gateway(script: Path) -> None:
    with serving("--", script) as exchange:
        assert exchange.ask().status == 502
    script.write_text("#!/bin/sh\n")
    script.chmod(0o644)
    with serving("--", script) as exchange:
        assert exchange.ask().status == 502
        assert "chmod +x" in exchange.end()


def test_a_program_that_redirects_to_itself_for_ever_is_a_bad_gateway(script: Path) -> None:
    write_script(script, "#!/bin/sh\necho Location: /; echo\n")
    with serving("--", script) as exchange:
        assert exchange.ask().status == 502
        assert "redirected to itself" in exchange.end()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("#!/bin/sh\necho; echo half\nkill -KILL $$\n", "half-way through its answer"),
        ("#!/bin/sh\nprintf 'Content-Length: 9\\n\\nhalf\\n'\n", "4 bytes of its Content-Length"),
    ],
)
@pytest.mark.parametrize("tcp", [False, True])
def test_half_an_answer_does_not_look_whole(
    script: Path, text: str, sentence: str, tcp: bool
) -> None:
    write_script(script, text)
    with serving("--", script, tcp=tcp) as exchange:
        response = exchange.ask()
        assert not response.is_whole
        assert sentence in exchange.end()


def test_half_an_answer_to_an_http_1_0_client_ends_with_a_reset(script: Path) -> None:
    write_script(script, "#!/bin/sh\necho; echo half\nkill -KILL $$\n")
    with serving("--", script, tcp=True) as exchange:
        exchange.connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: exchange.connection.recv(65536), b""))


def test_an_exit_status_says_nothing_about_the_answer(script: Path) -> None:
    write_script(script, "#!/bin/sh\necho; echo hello; exit 1\n")
    with serving("--", script) as exchange:
        response = exchange.ask()
        assert (response.body, response.is_whole) == (b"hello\n", True)
        assert exchange.end() == ""


def test_output_beyond_its_content_length_is_dropped(script: Path) -> None:
    write_script(script, "#!/bin/sh\nprintf 'Content-Length: 2\\n\\nhello'\n")
    with serving("--", script) as exchange:
        exchange.connection.sendall(REQUEST)
        assert exchange.read_all().endswith(b"\r\n\r\nhe")


# --- time limits, lost clients, signals


def test_a_program_that_takes_too_long_is_ended_with_its_group(
    script: Path, tmp_path: Path
) -> None:
    family(script)
    with serving("--timeout", "400ms", "--", script, cwd=tmp_path) as exchange:
        assert exchange.ask().status == 504
        assert "504: it took longer than the time limit" in exchange.end()
        wait_until_ended(pids(tmp_path))


def test_a_program_that_ignores_sigterm_is_killed(script: Path, tmp_path: Path) -> None:
    family(script, before="trap '' TERM")
    with serving("--timeout", "400ms", "--", script, cwd=tmp_path) as exchange:
        assert exchange.ask().status == 504
        exchange.end()
        wait_until_ended(pids(tmp_path))


def test_an_answer_lasts_while_any_process_holds_its_output(script: Path, tmp_path: Path) -> None:
    write_script(script, "#!/bin/sh\necho; (cat gate; echo two) & echo one\n")
    os.mkfifo(tmp_path / "gate")
    with serving("--", script, cwd=tmp_path) as exchange:
        exchange.connection.sendall(REQUEST)
        assert exchange.read_some()
        (tmp_path / "gate").write_text("")
        assert b"two\n" in exchange.read_all()


def test_a_time_limit_within_the_answer_breaks_it_off(script: Path, tmp_path: Path) -> None:
    family(script, then="echo; echo half")
    with serving("--timeout", "400ms", "--", script, cwd=tmp_path) as exchange:
        response = exchange.ask()
        assert (response.body, response.is_whole) == (b"half\n", False)
        exchange.end()
        wait_until_ended(pids(tmp_path))


def test_a_program_that_runs_on_after_its_answer_has_the_rest_of_the_time(
    script: Path, tmp_path: Path
) -> None:
    family(script, before="exec 3>&1 >/dev/null", then="(echo; echo hello) >&3; exec 3>&-")
    write_script(script, script.read_text().replace("300 &", "300 3>&- &"))
    with serving("--timeout", "600ms", "--", script, cwd=tmp_path) as exchange:
        assert exchange.ask().is_whole
        assert "after its answer: it took longer" in exchange.end()
        wait_until_ended(pids(tmp_path))


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_a_lost_client_ends_the_program_and_its_group(
    script: Path, tmp_path: Path, tcp: bool, begun: bool
) -> None:
    family(script, then="echo; echo half" if begun else "")
    with serving("--", script, cwd=tmp_path, tcp=tcp) as exchange:
        exchange.connection.sendall(REQUEST)
        processes = pids(tmp_path)
        assert all(is_alive(pid) for pid in processes)
        if begun:
            assert exchange.read_some()
        exchange.connection.close()
        assert "its client left" in exchange.end()
        wait_until_ended(processes)


def test_a_client_that_stops_reading_a_stream_is_noticed_when_it_leaves(script: Path) -> None:
    write_script(script, "#!/bin/sh\necho; exec cat /dev/zero\n")
    with serving("--", script) as exchange:
        exchange.connection.sendall(REQUEST)
        assert exchange.read_some()
        exchange.connection.close()
        assert "its client left" in exchange.end()


def test_half_closing_a_unix_socket_is_not_leaving(script: Path) -> None:
    write_script(script, "#!/bin/sh\necho; echo hello\n")
    with serving("--", script) as exchange:
        exchange.connection.sendall(REQUEST)
        exchange.connection.shutdown(socket.SHUT_WR)
        assert exchange.read_response().body == b"hello\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_adapter_ends_the_program(
    script: Path, tmp_path: Path, number: signal.Signals
) -> None:
    family(script)
    with serving("--", script, cwd=tmp_path) as exchange:
        exchange.connection.sendall(REQUEST)
        processes = pids(tmp_path)
        exchange.adapter.send_signal(number)
        assert "a signal stopped the adapter" in exchange.end()
        wait_until_ended(processes)


def test_what_a_program_leaves_in_the_background_is_left_alone(
    script: Path, tmp_path: Path
) -> None:
    write_script(script, "#!/bin/sh\necho; sleep 300 >&- 2>&- &\necho $! > pids; echo $!\n")
    with serving("--", script, cwd=tmp_path) as exchange:
        left = int(exchange.ask().body)
        assert exchange.end() == ""
        assert is_alive(left)
        os.kill(left, signal.SIGKILL)
        exchange.adapter.wait(DEADLINE)
