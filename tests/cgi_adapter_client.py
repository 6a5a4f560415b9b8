"""Runs the real adapter for a real script, with a real connection in its hands."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import h11

DEADLINE = 15.0  # seconds until a test gives up; nothing here takes long
REQUEST = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"


def post(body: bytes, *, path: bytes = b"/", headers: bytes = b"") -> bytes:
    head = b"POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n"
    return head % (path, headers, len(body)) + body


def chunked(*chunks: bytes) -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (*chunks, b""))


def write_script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def wait_until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not is_true():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.002)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


@dataclass
class Response:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    is_whole: bool = False  # its end was said, and not only seen

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class Exchange:
    """The client's side of one connection, and the adapter that serves it."""

    def __init__(self, connection: socket.socket, adapter: subprocess.Popen[bytes]) -> None:
        self.connection = connection
        self.adapter = adapter

    def ask(self, request: bytes = REQUEST) -> Response:
        self.connection.sendall(request)
        return self.read_response()

    def read_response(self) -> Response:
        """Read to the end of the connection, as h11 understands it."""
        http = h11.Connection(h11.CLIENT)
        http.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
        http.send(h11.EndOfMessage())
        found = Response()
        while True:
            try:
                event = http.next_event()
            except h11.RemoteProtocolError:
                return found
            if event is h11.NEED_DATA:
                http.receive_data(self.read_some())
            elif isinstance(event, h11.Response):
                found.status = event.status_code
                found.headers = {n.decode(): v.decode() for n, v in event.headers}
            elif isinstance(event, h11.Data):
                found.pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                found.is_whole = True
                return found

    def read_some(self) -> bytes:
        try:
            return self.connection.recv(65536)
        except ConnectionResetError:
            return b""

    def read_all(self) -> bytes:
        pieces = list(iter(self.read_some, b""))
        return b"".join(pieces)

    def end(self) -> str:
        """Wait for the adapter's end and return what it wrote to stderr."""
        _, stderr = self.adapter.communicate(timeout=DEADLINE)
        assert self.adapter.returncode == 0, stderr.decode()
        return stderr.decode()


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "conductor.cgi_adapter", *map(str, words)]


@contextmanager
def serving(*words: object, tcp: bool = False, **settings: object) -> Iterator[Exchange]:
    """Start the adapter with the arguments ``words`` on a new connection; end it afterwards."""
    ours, theirs = tcp_pair() if tcp else socket.socketpair()
    ours.settimeout(DEADLINE)
    stderr = settings.pop("stderr", subprocess.PIPE)
    with ours, theirs:
        adapter = subprocess.Popen(  # type: ignore[call-overload]  # settings by name
            command(*words),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs if stderr is subprocess.STDOUT else stderr,
            **settings,
        )
        theirs.close()
        with adapter:
            try:
                yield Exchange(ours, adapter)
            finally:
                ours.close()
                if adapter.poll() is None:
                    adapter.terminate()
                adapter.wait(DEADLINE)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]
