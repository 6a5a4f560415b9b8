#!/usr/bin/env python3
"""A CGI script whose path says what it does; the functions below are its pages.

It runs under every runtime, and must look the same under each.
"""

import os
import sys
import time

import neighbour

# The tests start this script hundreds of times: what is seldom needed is imported there.
QUERY = dict(item.partition("=")[::2] for item in os.environ["QUERY_STRING"].split("&"))
PIECE = 65536


def reply(body="", *fields):
    print(*fields, *([] if fields else ["Content-Type: text/plain"]), "", body, sep="\n", end="")


def hello():
    reply("hello\n")


def environment():
    import json

    reply(json.dumps(dict(os.environ), indent=1, sort_keys=True), "Content-Type: application/json")


def start():
    """Tell how the script was started."""
    import json
    import signal
    import threading

    facts = {
        "argv": sys.argv,
        "cwd": os.getcwd(),
        "file": __file__,
        "name": __name__,
        "path0": sys.path[0],
        "main": sys.modules["__main__"].__dict__ is globals(),
        "doc": __doc__.splitlines()[0],
        "package": __package__,
        "child_fds": child_fds(),
        "pipes": [os.readlink(f"/proc/self/fd/{fd}").partition(":")[0] for fd in range(3)],
        "group_leader": os.getpgid(0) == os.getpid(),
        "threads": threading.active_count(),
        "encodings": [s.encoding for s in (sys.stdin, sys.stdout, sys.stderr)],
        "buffering": [s.line_buffering for s in (sys.stdin, sys.stdout, sys.stderr)],
        "signals": {
            s.name: str(signal.getsignal(s))
            for s in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD)
        },
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "umask": oct(os.umask(0o22)),
        "executable": sys.executable,
        "flags": str(sys.flags),
        "gc": gc_is_on(),
    }
    reply(json.dumps(facts, indent=1, sort_keys=True))


def gc_is_on():
    import gc

    return gc.isenabled()


def child_fds():
    """Return what descriptors a program started by the script has."""
    import subprocess

    code = "import os; print(*(f for f in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/'+f)))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, close_fds=False)
    return sorted(map(int, done.stdout.split()))


# Standard input.


def digest():
    import hashlib

    size, digest = 0, hashlib.sha256()
    while piece := os.read(0, PIECE):
        size += len(piece)
        digest.update(piece)
    reply(f"{size} {digest.hexdigest()}")


def count():
    size = 0
    while piece := os.read(0, PIECE):
        size += len(piece)
    reply(size)


def slow_start():
    time.sleep(0.3)
    count()


def echo():
    body = sys.stdin.buffer.read(int(os.environ.get("CONTENT_LENGTH", "0")))
    reply("")
    sys.stdout.flush()
    sys.stdout.buffer.write(body)


def length():
    reply(os.environ.get("CONTENT_LENGTH"))


def half():
    reply(sys.stdin.read(5))


def dev_stdin():
    with open("/dev/stdin", "rb") as file:
        reply(file.read().decode())


def early():
    reply("no, thank you\n", "Status: 403 Forbidden", "Content-Length: 14")


# Endings.


def status():
    reply(f"status {QUERY['code']}\n")
    sys.exit(int(QUERY["code"]))


def exit_text():
    reply("exit with a text\n")
    sys.exit("this is the reason")


def exit_early():
    sys.exit(3)


def traceback():
    raise ValueError("the script has a bug")


def late_traceback():
    reply("before the bug\n")
    raise ValueError("the script has a late bug")


def silent():
    pass


def die():
    print("out of ideas", file=sys.stderr)
    sys.exit(3)


def killed():
    import signal

    reply("half an answer")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def killed_before():
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def os_exit():
    reply("left at once\n")
    sys.stdout.flush()
    os._exit(0)


def until_close():
    reply("first\n")
    sys.stdout.flush()
    reply("last\n", "not a header")


def lives_on():
    """Close the output, and finish some work after it."""
    reply("answered\n")
    sys.stdout.flush()
    os.close(1)
    while not os.path.exists(QUERY["go"]):
        time.sleep(0.01)
    with open(QUERY["file"], "w") as file:
        file.write("worked on\n")
    os._exit(0)


def background():
    """Leave a child behind that holds the output open."""
    import subprocess

    reply("not waiting\n")
    sys.stdout.flush()
    child = subprocess.Popen(["sleep", "1000"])
    with open(QUERY["file"], "w") as file:
        file.write(str(child.pid))


def family():
    import subprocess

    script = 'sh -c \'echo $$ >> "$0"; exec sleep 1000\' "$0" & wait'
    with subprocess.Popen(["/bin/sh", "-c", script, QUERY["file"]]) as child:
        with open(QUERY["file"], "a") as file:
            file.write(f"{child.pid}\n{os.getpid()}\n")
        child.wait()


def digest_family():
    sys.stdin.buffer.read()
    family()


def sleep():
    time.sleep(float(QUERY["seconds"]))
    reply("slept\n")


def wait():
    with open(QUERY["file"] + ".seen", "a") as file:
        file.write(f"{os.getpid()}\n")
    while os.path.exists(QUERY["file"]):
        time.sleep(0.01)
    reply("waited\n")


def begin_and_wait():
    reply("begun\n")
    sys.stdout.flush()
    wait()


def process():
    reply(f"{os.getpid()} 1\n")


def events():
    """Print an event, then each time that a byte comes out of a named pipe another one."""
    reply("", "Content-Type: text/event-stream")
    sys.stdout.flush()
    with open(QUERY["pipe"], "rb", buffering=0) as pipe:
        number = 0
        print("data: 0\n", flush=True)
        while pipe.read(1):
            number += 1
            print(f"data: {number}\n", flush=True)


# Heads.


def of_head():
    reply("", "Content-Length: 123456")


def no_content():
    reply("", "Status: 204 No Content", "X-Answer: empty", "Content-Length: 0")


def not_modified():
    reply("", "Status: 304", 'ETag: "1"', "Content-Length: 6")


def zeros():
    left = int(QUERY["size"])
    reply("", f"Content-Length: {left}")
    sys.stdout.flush()
    while left:
        left -= os.write(1, bytes(min(left, PIECE)))


def too_short():
    reply("four", "Content-Length: 100")


def too_long():
    reply("four, and more", "Content-Length: 4")


def no_type():
    reply("bare\n", "X-Other: 1")


def headless():
    print("what do you mean?\n")


def cut_head():
    print("Content-Type: text/plain")


def cookies():
    reply("cookies\n", "Set-Cookie: a=1", "Set-Cookie: b=2")


def crlf():
    sys.stdout.write("Content-Type: text/plain\r\nX-A: 1\r\n\r\ncrlf\r\n")


def teapot():
    reply("short and stout\n", "Status: 418 I'm a teapot")


def redirect():
    reply("", "Location: http://elsewhere.test/a?b=c")


def redirect_with_status():
    reply("moved\n", "Status: 301 Moved Permanently", "Location: http://elsewhere.test/")


def local_redirect():
    reply("", f"Location: {os.environ['SCRIPT_NAME']}/method?from=here")


def away_redirect():
    reply("", "Location: /another/function")


def round_redirect():
    reply("", f"Location: {os.environ['SCRIPT_NAME']}/round_redirect")


def method():
    names = ("REQUEST_METHOD", "QUERY_STRING", "CONTENT_LENGTH", "PATH_INFO", "REQUEST_URI")
    reply("\n".join(f"{name}={os.environ.get(name)}" for name in names))


def slow_head():
    for piece in ("Content-", "Type: text/plain\n", "\n", "slow", "ly\n"):
        print(piece, end="", flush=True)
        time.sleep(0.01)


def noise():
    reply("with noise\n")
    print("a line of noise", file=sys.stderr)


def merged():
    """Print to both streams, head first."""
    reply("from stdout\n")
    sys.stdout.flush()
    print("from stderr", file=sys.stderr)


# Python.


def at_exit():
    import atexit

    atexit.register(lambda: print("registered first"))
    atexit.register(print, "registered last")
    reply("before the end\n")


def thread():
    """End the main thread while another still works."""
    import threading

    reply("main thread\n")

    def work():
        time.sleep(0.05)
        print("other thread")

    threading.Thread(target=work).start()


def unclosed():
    """Leave files open, here and in a module: the interpreter closes them."""
    global FILE
    FILE = open(QUERY["file"], "w")
    FILE.write("written at exit\n")
    neighbour.open_log(QUERY["file"] + ".neighbour")
    reply("unclosed\n")


def destructor():
    global NOISY

    class Noisy:
        def __del__(self):
            with open(QUERY["file"], "w") as file:
                file.write("destroyed\n")

    NOISY = Noisy()
    reply("destructor\n")


def slow_destructor():
    global SLOW

    class Slow:
        def __del__(self):
            while os.path.exists(QUERY["file"]):
                time.sleep(0.01)

    SLOW = Slow()
    reply("no waiting\n")


def counter():
    """Count in a module that may have been there before the fork."""
    import random

    random.count = getattr(random, "count", 0) + 1
    reply(f"{random.count}\n")


def randomness():
    import random

    import tempfile
    import uuid

    name = next(tempfile._get_candidate_names())
    reply(f"{random.random()} {uuid.uuid4()} {name}")


def imported():
    """Tell what a module beside the script found in the environment when it was imported."""
    reply(f"{neighbour.QUERY_AT_IMPORT} {neighbour.__file__}\n")


def annotations():
    reply(str(sorted(set(globals()) - {"__annotations__"} - set(PAGES))))


PAGES = {
    name: page
    for name, page in list(globals().items())
    if callable(page) and getattr(page, "__module__", "") == "__main__"
}


if __name__ == "__main__":
    PAGES[os.environ["PATH_INFO"].rpartition("/")[2] or "hello"]()
