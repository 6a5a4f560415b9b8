#!/usr/bin/env python3
"""An HTTP/1.1 server for one connection: standard input and output.

The path says what it does; the functions below are its pages. It answers
requests until its input ends or a page says that it is enough.
"""

import os
import sys
import time

# The tests start this program hundreds of times: what is seldom needed is imported there.

ANSWERED = [0]  # requests so far
PIECE = 65536


class Request:
    """A request and what is left of its body."""

    def __init__(self, head: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ")
        self.path, _, query = self.target.partition("?")
        self.query = dict(item.partition("=")[::2] for item in query.split("&"))
        fields = [line.partition(":") for line in lines[1:] if line]
        self.headers = {name.lower(): value.strip() for name, _, value in fields}
        self.head = head
        self.chunked = self.headers.get("transfer-encoding") == "chunked"
        self.remaining = int(self.headers.get("content-length", "0"))

    def body(self) -> "Iterator[bytes]":
        """Yield the body in the pieces in which it comes."""
        while self.chunked:
            size = int(sys.stdin.buffer.readline(), 16)
            data = sys.stdin.buffer.read(size)
            sys.stdin.buffer.readline()
            self.chunked = size > 0
            yield data
        while self.remaining:
            data = sys.stdin.buffer.read1(min(self.remaining, PIECE))
            if not data:
                return
            self.remaining -= len(data)
            yield data


def say(*parts: bytes) -> None:
    """Write at once."""
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[os.write(1, view) :]


def answer(body: bytes, *fields: str, status: str = "200 OK") -> None:
    """Answer with a body whose length is told."""
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    say("\r\n".join(lines).encode() + body)


def hello(_: Request) -> None:
    answer(b"hello\n", "Content-Type: text/plain")


def pid(_: Request) -> None:
    answer(f"{os.getpid()} {ANSWERED[0]}".encode())


def head(request: Request) -> None:
    """Answer with the head as it was received."""
    answer(request.head)


def echo(request: Request) -> None:
    """Send each piece of the body back as a chunk."""
    say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in request.body():
        if piece:
            say(b"%x\r\n%s\r\n" % (len(piece), piece))
    say(b"0\r\n\r\n")


def digest(request: Request) -> None:
    """Read the body to its end; answer with its size and its digest."""
    import hashlib

    size, digest = 0, hashlib.sha256()
    for piece in request.body():
        size += len(piece)
        digest.update(piece)
    answer(f"{size} {digest.hexdigest()}".encode())


def count(request: Request) -> None:
    """Answer with the size of the body."""
    answer(f"{sum(map(len, request.body()))}".encode())


def slow_start(request: Request) -> None:
    """Do not read the body for a while."""
    time.sleep(0.3)
    count(request)


def zeros(request: Request) -> None:
    """Answer with so many bytes."""
    left = int(request.query["size"])
    say(f"HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n".encode())
    block = bytes(PIECE)
    while left:
        say(block[: min(left, PIECE)])
        left -= min(left, PIECE)


def early(_: Request) -> None:
    """Answer before the body was read."""
    answer(b"no, thank you\n", status="403 Forbidden")


def redirect(_: Request) -> None:
    answer(b"", "Location: /elsewhere", status="303 See Other")


def no_content(_: Request) -> None:
    say(b"HTTP/1.1 204 No Content\r\nX-Answer: empty\r\n\r\n")


def not_modified(_: Request) -> None:
    say(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 6\r\n\r\n')


def of_head(_: Request) -> None:
    say(b"HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n")


def hints(request: Request) -> None:
    """Say 103 before the answer (RFC 8297), once or so often, in one piece."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    say(hint * int(request.query.get("count", "1")))
    answer(b"hinted\n")


def until_close(_: Request) -> None:
    """Answer with a body that ends with the connection."""
    say(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nfirst\n")
    say(b"last\n")
    sys.exit(0)


def http10(_: Request) -> None:
    """Answer as the programs of long ago do."""
    say(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nas ever\n")
    sys.exit(0)


def http10_with_length(_: Request) -> None:
    say(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold")
    sys.exit(0)


def cut(_: Request) -> None:
    """Die in the middle of a body."""
    say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    os.kill(os.getpid(), 9)


def cut_chunks(_: Request) -> None:
    say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
    os.kill(os.getpid(), 9)


def cut_until_close(_: Request) -> None:
    say(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    os.kill(os.getpid(), 9)


def die(_: Request) -> None:
    """End without an answer, and say why."""
    print("out of ideas", file=sys.stderr)
    sys.exit(3)


def gibberish(_: Request) -> None:
    say(b"what do you mean?\n\n")


def too_much(_: Request) -> None:
    """Say more than the length that was told."""
    say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour, and more")


def last(_: Request) -> None:
    """Say that this answer is the last, and end."""
    answer(b"goodbye\n", "Connection: close")
    sys.exit(0)


def events(request: Request) -> None:
    """Send an event, then each time that a byte comes out of a named pipe another one."""
    say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    with open(request.query["pipe"], "rb", buffering=0) as pipe:
        number = 0
        say(b"data: 0\n\n")
        while pipe.read(1):
            number += 1
            say(f"data: {number}\n\n".encode())
    sys.exit(0)


def upgrade(request: Request) -> None:
    """Become a tunnel: what comes in goes out in capitals, until the input ends.

    At ``hush`` it closes its output, keeps listening and writes what it hears to a file.
    """
    import socket

    say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n")
    say(b"WELCOME\n")
    while data := sys.stdin.buffer.read1(PIECE):
        if data == b"hush\n":
            with socket.socket(fileno=0) as tunnel:
                tunnel.shutdown(socket.SHUT_WR)
                heard = b"".join(iter(lambda: tunnel.recv(PIECE), b""))
            with open(request.query["file"], "wb") as file:
                file.write(heard)
            os._exit(0)
        say(data.upper())
    say(b"GOODBYE\n")
    sys.exit(0)


def upgrade_refused(_: Request) -> None:
    answer(b"no tunnel here\n")


def family(request: Request) -> None:
    """Start a child and a grandchild that do not listen to reason, and wait with them."""
    import subprocess

    script = 'trap \'\' TERM; sh -c \'trap "" TERM; echo $$ >> "$0"; exec sleep 1000\' "$0" & wait'
    if "gentle" in request.query:
        script = 'sh -c \'echo $$ >> "$0"; exec sleep 1000\' "$0" & wait'
    file = request.query["file"]
    with subprocess.Popen(["/bin/sh", "-c", script, file]) as child:
        with open(file, "a", encoding="ascii") as pids:
            pids.write(f"{child.pid}\n{os.getpid()}\n")
        child.wait()


def digest_family(request: Request) -> None:
    for _ in request.body():
        pass
    family(request)


def wait(request: Request) -> None:
    """Answer when the file named exists no more."""
    with open(request.query["file"] + ".seen", "a", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    while os.path.exists(request.query["file"]):
        time.sleep(0.01)
    answer(b"waited\n")


def sleep(request: Request) -> None:
    time.sleep(float(request.query["seconds"]))
    answer(b"slept\n")


def deaf(request: Request) -> None:
    """Answer, and close only after a while: the next request may already be on its way."""
    answer(b"deaf\n")
    time.sleep(float(request.query["seconds"]))
    os._exit(0)


def environment(_: Request) -> None:
    lines = [f"{name}={value}" for name, value in sorted(os.environ.items())]
    lines += [f"argv={sys.argv[1:]}", f"cwd={os.getcwd()}", f"fds={open_fds()}"]
    answer("\n".join(lines).encode())


def open_fds() -> list[int]:
    return sorted(
        int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")
    )


PAGES = {
    name: page
    for name, page in list(globals().items())
    if callable(page) and getattr(page, "__module__", "") == "__main__" and name[0].islower()
}


def main() -> None:
    while True:
        lines = []
        while (line := sys.stdin.buffer.readline()) not in (b"\r\n", b""):
            lines.append(line)
        if not lines:
            return
        request = Request(b"".join(lines))
        ANSWERED[0] += 1
        page = PAGES.get(request.path.rpartition("/")[2] or "hello")
        if page is None:
            answer(b"no such page\n", status="404 Not Found")
        else:
            page(request)
        if request.headers.get("connection") == "close":
            return


main()
