"""What happens is written in batches, readable and harmless; a log that is stuck stops nobody."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from conductor.fastfn import requestlog
from conductor.fastfn.requestlog import (
    KEPT,
    Entry,
    RequestLog,
    Style,
    choose_style,
    format_text,
    printable,
)
from tests.records import ended_exchange

DEADLINE = 10.0  # seconds until a test gives up

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    read_end, write_end = os.pipe()
    yield read_end, write_end
    for fd in (read_end, write_end):
        with contextlib.suppress(OSError):
            os.close(fd)


def written(pipe: Pipe, style: Style, record: Callable[[RequestLog], None]) -> str:
    """Return what a log writes of what ``record`` tells it."""

    async def run() -> None:
        log = RequestLog(style, pipe[1])
        log.start(asyncio.get_running_loop())
        record(log)
        await log.stop()

    asyncio.run(run())
    return os.read(pipe[0], 1_000_000).decode()


async def until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not is_true():
        assert time.monotonic() < end, "nothing came of it"
        await asyncio.sleep(0.002)


def record_one_of_each(log: RequestLog) -> None:
    exchange = ended_exchange("/a?b", method="POST", sent=1500, queue=0.002, worker=0.04)
    log.request("app.f", exchange)
    log.stderr("app.f", "a warning", 42)
    log.event("app.f", "died at its start")
    log.event("", "ready")


# Formats.


def test_text_is_a_line_for_people(pipe: Pipe) -> None:
    lines = written(pipe, "text", record_one_of_each).splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in lines] == [
        "app.f POST /a?b 200 1.46KiB 42ms (queue 2ms, worker 40ms)",
        "app.f[42]: a warning",
        "app.f: died at its start",
        "ready",
    ]
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines)


def test_json_is_a_line_for_programs(pipe: Pipe) -> None:
    before = time.time()
    entries = [json.loads(line) for line in written(pipe, "json", record_one_of_each).splitlines()]
    for entry in entries:
        assert before - 1 < entry.pop("time") < time.time() + 1
    assert entries == [
        {
            "kind": "request",
            "function": "app.f",
            "method": "POST",
            "path": "/a?b",
            "status": 200,
            "bytes": 1500,
            "queue_ms": 2.0,
            "worker_ms": 40.0,
            "total_ms": 42.0,
            "message": "",
        },
        {"kind": "stderr", "function": "app.f", "pid": 42, "message": "a warning"},
        {"kind": "event", "function": "app.f", "message": "died at its start"},
        {"kind": "event", "function": "", "message": "ready"},
    ]


def test_a_failed_request_says_why() -> None:
    fields = (b"GET", b"/", 502, 30, 0.0, 1.5, 1.5)
    entry = Entry(0.0, "request", "f", "the worker was killed by SIGKILL", fields)
    line = format_text(entry, colour=False, clock=False)
    assert line == (
        "f GET / 502 30B 1.5s (queue 0ms, worker 1.5s) - the worker was killed by SIGKILL\n"
    )


@pytest.mark.parametrize(("status", "shade"), [(200, "32"), (404, "33"), (503, "31")])
def test_a_status_has_its_colour_on_a_terminal(status: int, shade: str) -> None:
    entry = Entry(0.0, "request", "f", "", (b"GET", b"/", status, 0, 0.0, 0.0, 0.0))
    assert f" \x1b[{shade}m{status}\x1b[0m " in format_text(entry, colour=True)
    assert "\x1b" not in format_text(entry, colour=False)


def test_a_pipe_gets_no_colours(pipe: Pipe) -> None:
    assert "\x1b" not in written(pipe, "text", record_one_of_each)


@pytest.mark.parametrize("kind", ["request", "stderr", "event"])
def test_an_entry_survives_its_json(kind: str) -> None:
    fields: tuple[Any, ...] = ()
    if kind == "request":
        fields = (b"GET", b"/\xe4", 200, 7, 0.25, 0.5, 0.75)
    elif kind == "stderr":
        fields = (42,)
    entry = Entry(1.5, kind, "f", "a message", fields)  # type: ignore[arg-type]  # one of the kinds
    assert Entry.from_json(json.loads(json.dumps(entry.to_json()))) == entry


def test_the_style_that_is_asked_for_is_taken() -> None:
    assert choose_style("text") == "text"
    assert choose_style("json") == "json"


@pytest.mark.parametrize(("offset", "style"), [(0, "journal"), (1, "text")])
def test_the_journal_is_recognized_by_the_stream_it_names(offset: int, style: str) -> None:
    program = (
        "import os, sys; status = os.fstat(2)\n"
        f"os.environ['JOURNAL_STREAM'] = f'{{status.st_dev}}:{{status.st_ino + {offset}}}'\n"
        "from conductor.fastfn.requestlog import choose_style; print(choose_style('auto'))"
    )
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == style


# Harmless.


@pytest.mark.parametrize(
    ("evil", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x00\x07\x7f\x9b", "\\x00\\x07\\x7f\\x9b"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
        ("Grüße, 世界 🙂", "Grüße, 世界 🙂"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(pipe: Pipe, evil: str, shown: str) -> None:
    assert printable(evil) == shown

    def record(log: RequestLog) -> None:
        log.stderr("f", evil, 1)
        log.event("f", evil)
        log.request("f", ended_exchange(error=evil))

    lines = written(pipe, "text", record).splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() and line.endswith(shown) for line in lines)


def test_json_keeps_what_was_said_and_stays_one_line(pipe: Pipe) -> None:
    said = '\x1b[2J"\n\u2028\udcff ä'
    text = written(pipe, "json", lambda log: log.stderr("f", said, None))
    assert text.isascii()
    assert text.count("\n") == 1
    assert json.loads(text)["message"] == said


# Order and memory.


def test_entries_are_written_in_the_order_in_which_things_happened(pipe: Pipe) -> None:
    def record(log: RequestLog) -> None:
        for number in range(100):
            log.request("f", ended_exchange(f"/{number}"))
            log.stderr("f", f"line {number}", 1)

    entries = [json.loads(line) for line in written(pipe, "json", record).splitlines()]
    told = [entry.get("path") or entry["message"] for entry in entries]
    assert told == [text for n in range(100) for text in (f"/{n}", f"line {n}")]


def test_records_are_written_without_anybody_asking(pipe: Pipe) -> None:
    async def run() -> str:
        loop = asyncio.get_running_loop()
        log = RequestLog("text", pipe[1])
        log.start(loop)
        text = b""
        for word in ("one", "two"):
            log.event("", word)
            text += await loop.run_in_executor(None, os.read, pipe[0], 1000)
        await log.stop()
        return text.decode()

    text = asyncio.run(asyncio.wait_for(run(), DEADLINE))
    assert re.sub(r"\d\d:\d\d:\d\d ", "", text) == "one\ntwo\n"


def test_the_last_entries_of_each_function_are_kept() -> None:
    log = RequestLog("text")
    for number in range(KEPT + 5):
        log.event("busy", str(number))
    log.event("quiet", "only this")
    assert [entry.message for entry in log.last("quiet", 10)] == ["only this"]
    kept = [entry.message for entry in log.last("busy", 10_000)]
    assert kept == [str(number) for number in range(5, KEPT + 5)]
    assert [entry.message for entry in log.last("busy", 2)] == kept[-2:]
    assert log.last("busy", 0) == []
    assert log.last("nobody", 10) == []


def test_the_last_entries_of_all_are_in_the_order_of_time() -> None:
    log = RequestLog("text")
    for number in range(6):
        log.stderr("even" if number % 2 == 0 else "odd", f"{number}", number or None)
    log.request("other", ended_exchange("/last"))
    entries = log.last(None, 4)
    assert [entry.message for entry in entries] == ["3", "4", "5", ""]
    assert entries[-1].fields[1] == b"/last"


def test_entries_of_the_same_moment_are_no_trouble() -> None:
    log = RequestLog("text")
    for pid in (None, 7, None):  # cannot be compared with each other
        log._keep(Entry(1.0, "stderr", f"f{pid}", "same", (pid,)))
    assert len(log.last(None, 10)) == 3


# Followers.


def test_followers_are_told_until_they_leave() -> None:
    log = RequestLog("text")
    first: list[str] = []
    second: list[str] = []
    log.event("", "before")
    leave = log.follow(lambda entry: first.append(entry.message))
    log.follow(lambda entry: second.append(entry.message))
    log.event("", "one")
    leave()
    leave()
    log.event("", "two")
    assert first == ["one"]
    assert second == ["one", "two"]


def test_a_follower_may_leave_when_it_is_told() -> None:
    log = RequestLog("text")
    told: list[str] = []

    def once(entry: Entry) -> None:
        told.append(entry.message)
        leave()

    leave = log.follow(once)
    log.follow(lambda entry: told.append(entry.message))
    log.event("", "one")
    log.event("", "two")
    assert sorted(told) == ["one", "one", "two"]


# A log that does not take more.


def stuck(pipe: Pipe, body: Callable[[RequestLog], Coroutine[Any, Any, None]]) -> None:
    """Run ``body`` with a log whose first batch is more than the pipe takes."""

    async def run() -> None:
        log = RequestLog("text", pipe[1])
        log.start(asyncio.get_running_loop())
        for _ in range(1500):
            log.event("f", "x" * 100)
        await until(lambda: log._writing is not None)
        await body(log)

    asyncio.run(asyncio.wait_for(run(), 2 * DEADLINE))


def test_what_cannot_be_written_is_bounded_and_the_newest_dropped(pipe: Pipe) -> None:
    many = requestlog._BACKLOG + 250
    read = bytearray()

    async def body(log: RequestLog) -> None:
        followed: list[Entry] = []
        log.follow(followed.append)
        exchange = ended_exchange()
        for number in range(many):
            exchange.head.target = b"/%d" % number
            log.request("f", ended_exchange(f"/{number}") if number % 1000 == 0 else exchange)
        await until(lambda: len(followed) == many)
        assert len(log._pending) == requestlog._BACKLOG
        assert log._ended == []
        assert log._dropped == 250
        await until(lambda: take(pipe[0], read) and b"250 log entries were dropped" in read)

    os.set_blocking(pipe[0], False)
    stuck(pipe, body)
    assert len(read.splitlines()) == 1500 + requestlog._BACKLOG + 1


def take(fd: int, into: bytearray) -> bool:
    with contextlib.suppress(BlockingIOError):
        into += os.read(fd, 1_000_000)
    return True


def test_a_log_that_is_stuck_does_not_hold_up_the_end(pipe: Pipe) -> None:
    async def body(log: RequestLog) -> None:
        before = time.monotonic()
        await log.stop()
        assert time.monotonic() - before < requestlog.STOP_TIMEOUT + 1

    stuck(pipe, body)
    program = (
        "import asyncio, os\n"
        "from conductor.fastfn.requestlog import RequestLog\n"
        "async def main():\n"
        "    log = RequestLog('text', os.pipe()[1])\n"
        "    log.start(asyncio.get_running_loop())\n"
        "    for _ in range(1500): log.event('f', 'x' * 100)\n"
        "    await log.stop()\n"
        "asyncio.run(main())"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=DEADLINE)


def test_a_log_that_nobody_reads_any_more_stops_nothing(pipe: Pipe) -> None:
    os.close(pipe[0])

    async def run() -> None:
        log = RequestLog("text", pipe[1])
        log.start(asyncio.get_running_loop())
        for _ in range(3):
            log.event("f", "into the void")
            await log_is_empty(log)
        await log.stop()

    async def log_is_empty(log: RequestLog) -> None:
        await until(lambda: log._writing is None and not log._pending)

    asyncio.run(run())


def test_a_stream_that_another_program_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe[1], False)
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4096)
    read = bytearray()

    async def run() -> None:
        log = RequestLog("text", pipe[1])
        log.start(asyncio.get_running_loop())
        for _ in range(500):
            log.event("f", "x" * 100)
        await until(lambda: take(pipe[0], read) and read.count(b"\n") == 500)
        await log.stop()

    os.set_blocking(pipe[0], False)
    asyncio.run(run())


def test_a_log_that_was_never_started_can_be_stopped() -> None:
    log = RequestLog("text")
    log.event("f", "nobody will read this")
    asyncio.run(asyncio.wait_for(log.stop(), DEADLINE))
