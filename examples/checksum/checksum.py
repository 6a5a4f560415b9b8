#!/usr/bin/python3
"""Checksums of what is sent: HTTP/1.1 on stdin and stdout, many requests one after the other.

GET /                         how to use it
POST or PUT /NAME             all checksums of the body, as JSON
POST or PUT /ALGORITHM/NAME   that one, as sha256sum and its kin print it

NAME is only repeated in the answer, and may be missing.

The body is never kept: it may be as large as you like. The standard library's
http.server does the talking; all it needs is to be told that its connection is
stdin and stdout. So this works by hand too:

    printf 'GET / HTTP/1.0\\r\\n\\r\\n' | ./checksum.py
"""

import hashlib
import json
import os
import sys
import zlib
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

PIECE = 64 * 1024
HASHES = ("md5", "sha1", "sha256", "sha512", "blake2b")
ALGORITHMS = ("crc32", *HASHES)
HELP = """Checksums of what you send.

    curl -T FILE {prefix}/            all of them, as JSON
    curl -T FILE {prefix}/sha256/     one of them, as sha256sum prints it

There are """ + ", ".join(ALGORITHMS) + ".\n"


class BadBody(Exception):
    """The body is not framed as HTTP frames bodies, or ends too early."""


class Crc32:
    """CRC-32 with the methods of hashlib's objects."""

    def __init__(self):
        self.value = 0

    def update(self, data):
        self.value = zlib.crc32(data, self.value)

    def hexdigest(self):
        return f"{self.value:08x}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "checksum"

    def setup(self):
        self.rfile = sys.stdin.buffer
        self.wfile = sys.stdout.buffer

    def finish(self):
        self.wfile.flush()

    def do_GET(self):
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # nobody reads it, so no request can follow it
        path = self.path.partition("?")[0]
        if path != "/":
            self.answer(404, "There is nothing here.\n")
        else:
            host = self.headers.get("Host", "localhost")
            prefix = self.headers.get("X-Forwarded-Prefix", "")
            self.answer(200, HELP.format(prefix=f"http://{host}{prefix}"))

    do_HEAD = do_GET

    def do_POST(self):
        name = unquote(self.path.partition("?")[0]).strip("/")
        algorithm, _, rest = name.partition("/")
        try:
            if algorithm in ALGORITHMS:
                self.answer_one(algorithm, rest or "-")
            else:
                self.answer_all(name or "-")
        except BadBody as error:
            self.close_connection = True
            self.answer(400, f"{error}\n")

    do_PUT = do_POST

    def answer_one(self, algorithm, name):
        _, sums = self.checksums([algorithm])
        self.answer(200, f"{sums[algorithm]}  {name}\n")

    def answer_all(self, name):
        size, sums = self.checksums(ALGORITHMS)
        result = {"name": name, "bytes": size} | sums
        self.answer(200, json.dumps(result, indent=2) + "\n", "application/json")

    def checksums(self, algorithms):
        sums = {name: Crc32() if name == "crc32" else hashlib.new(name) for name in algorithms}
        size = 0
        for piece in self.body():
            size += len(piece)
            for checksum in sums.values():
                checksum.update(piece)
        return size, {name: checksum.hexdigest() for name, checksum in sums.items()}

    # The body, a piece at a time (RFC 9112 section 6).

    def handle_expect_100(self):
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def body(self):
        coding = self.headers.get_all("Transfer-Encoding", [])
        lengths = self.headers.get_all("Content-Length", [])
        if coding:
            if lengths or [c.lower() for c in coding] != ["chunked"]:
                raise BadBody("Transfer-Encoding must be chunked, and alone")
            return self.chunked_body()
        if len(lengths) > 1 or not all(n.isascii() and n.isdigit() for n in lengths):
            raise BadBody("Content-Length must be one number")
        return self.pieces(int(lengths[0]) if lengths else 0)

    def pieces(self, length):
        while length:
            piece = self.rfile.read(min(length, PIECE))
            if not piece:
                raise BadBody("the body ended too early")
            length -= len(piece)
            yield piece

    def chunked_body(self):
        while size := self.chunk_size():
            yield from self.pieces(size)
            if self.line() != b"":
                raise BadBody("a chunk is longer than it says")
        while self.line() != b"":
            pass  # trailers

    def chunk_size(self):
        digits = self.line().partition(b";")[0].strip(b" \t")
        if not digits or len(digits) > 15 or digits.strip(b"0123456789abcdefABCDEF"):
            raise BadBody("a chunk has no size")
        return int(digits, 16)

    def line(self):
        line = self.rfile.readline(4096)
        if not line.endswith(b"\n"):
            raise BadBody("a line of the body is too long, or its last")
        return line.rstrip(b"\r\n")

    # The answer.

    def answer(self, status, text, kind="text/plain; charset=utf-8", **headers):
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_request(self, code="-", size="-"):
        pass  # whoever runs this keeps the log


if __name__ == "__main__":
    try:
        Handler(None, ("", 0), None)
    except (BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the client is gone, and what is buffered has nowhere to go
