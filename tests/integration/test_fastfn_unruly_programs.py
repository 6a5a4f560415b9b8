"""Programs that do what they should not, and clients that count on it."""

from pathlib import Path

import pytest

from conductor.errors import ConductorError
from tests.integration.support.functions import function
from tests.integration.support.http import request
from tests.integration.support.manager import ManagerProcess

# A common mistake: HTTP/1.1 with keep-alive, and an answer to POST without a look at its body.
LAZY = """#!/usr/bin/env python3
import socket
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        text = (self.path + " " + ",".join(self.headers.get_all("X-Forwarded-Prefix", []))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET


Handler(socket.socket(fileno=0), ("", 0), None)
"""
CLOSES_AT_ONCE = "#!/bin/sh\nexec 0<&- 1>&-\nsleep 0.2\nexit 1\n"


def write(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_a_body_that_a_program_leaves_unread_is_nobody_elses_request(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    spec = function(
        "lazy",
        write(tmp_path / "lazy", LAZY),
        format="http-stdio",
        max=1,
        limits={"requests": 0},
    )
    manager.add(spec)
    smuggled = request("GET", "/smuggled")
    for _ in range(10):
        with manager.connect(spec.id) as attacker, manager.connect(spec.id) as victim:
            assert attacker.post("/post", smuggled).text.startswith("/post")
            assert victim.get("/mine").text.startswith("/mine")


def test_a_client_does_not_say_under_which_prefix_a_program_is_served(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    spec = function(
        "prefixed",
        write(tmp_path / "prefixed", LAZY),
        format="http-stdio",
        limits={"requests": 0},
        path_info_strip=2,
    )
    manager.add(spec)
    with manager.connect(spec.id) as client:
        answer = client.get("/cgi/app.test.prefixed/a", "X-Forwarded-Prefix: https://elsewhere")
        assert answer.text == "/a /cgi/app.test.prefixed"


def test_a_program_that_closes_its_connection_at_once_is_not_started_without_end(
    manager: ManagerProcess, tmp_path: Path
) -> None:
    spec = function(
        "closes",
        write(tmp_path / "closes", CLOSES_AT_ONCE),
        format="http-stdio",
        limits={"requests": 0},
    )
    with pytest.raises(ConductorError, match="died at its start"):
        manager.add(spec)
    assert manager.show(spec.id)["state"] == "backoff"
    numbers = manager.call("stats", function=spec.id)["functions"][0]
    assert numbers["workers_started"] < 10
    manager.call("remove", function=spec.id)
