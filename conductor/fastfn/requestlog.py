"""One line a request, one line for each line of a worker's standard error, one for each event.

Recording is one append to a list; formatting and writing happen in batches in a
thread, because a terminal or a journal that does not take more must not stop the
manager. What cannot be written in time is dropped and counted, the newest first.

The last entries of each function are kept for ``conductor function logs``, and
whoever follows is told of new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import queue
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from conductor.durations import format_duration, format_size
from conductor.fastfn.exchange import Exchange

KEPT = 500  # entries of each function
_BACKLOG = 20_000  # entries not written yet; more are dropped
_FLUSH = 0.05  # seconds between a record and its writing
STOP_TIMEOUT = 2.0  # seconds that the last batch may take

Style = Literal["text", "json", "journal"]


class Entry(NamedTuple):
    """What is logged."""

    time: float  # seconds since the epoch
    kind: Literal["request", "stderr", "event"]
    function: str
    message: str  # a request's error, a line, or what happened
    fields: tuple[Any, ...] = ()  # of a request: those of REQUEST_FIELDS; of a line: the pid

    def to_json(self) -> dict[str, Any]:
        """Return the entry with its fields by name."""
        entry: dict[str, Any] = {
            "time": round(self.time, 3),
            "kind": self.kind,
            "function": self.function,
        }
        if self.kind == "request":
            method, path, status, size, queue, worker, total = self.fields
            entry |= {
                "method": method.decode("latin-1"),
                "path": path.decode("latin-1"),
                "status": status,
                "bytes": size,
                "queue_ms": round(queue * 1000, 3),
                "worker_ms": round(worker * 1000, 3),
                "total_ms": round(total * 1000, 3),
            }
        elif self.fields:
            entry["pid"] = self.fields[0]
        entry["message"] = self.message
        return entry

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Entry:
        """Return the entry that ``to_json`` made ``data`` of."""
        fields: tuple[Any, ...] = ()
        if data["kind"] == "request":
            spent = (data[key] / 1000 for key in ("queue_ms", "worker_ms", "total_ms"))
            start = (data["method"].encode("latin-1"), data["path"].encode("latin-1"))
            fields = (*start, data["status"], data["bytes"], *spent)
        elif data["kind"] == "stderr":
            fields = (data.get("pid"),)
        return cls(data["time"], data["kind"], data["function"], data["message"], fields)


class RequestLog:
    """Where the manager's records go."""

    def __init__(self, style: Style, stream: int = 2) -> None:
        self._emit: Callable[[list[Entry]], None] = _WRITERS[style](stream)
        self._batches: queue.SimpleQueue[list[Entry] | None] = queue.SimpleQueue()
        self._ended: list[tuple[str, Exchange]] = []  # requests that are no entries yet
        self._pending: list[Entry] = []
        self._dropped = 0
        self._scheduled = False
        self._kept: dict[str, deque[Entry]] = {}
        self._followers: set[Callable[[Entry], None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writing: asyncio.Future[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write from now on, in a thread that ``loop`` hears from.

        A daemon thread: an executor's would hold up the process's exit for as long as it is stuck.
        """
        self._loop = loop
        threading.Thread(target=self._write, args=(loop,), name="log", daemon=True).start()

    async def stop(self) -> None:
        """Write what is left."""
        if self._loop is None:
            return
        while self._ended or self._pending or self._writing is not None:
            self._flush()
            if self._writing is not None:
                done, _ = await asyncio.wait([self._writing], timeout=STOP_TIMEOUT)
                if not done:
                    return
        self._batches.put(None)

    def request(self, function: str, exchange: Exchange) -> None:
        """Record a request that has ended; it becomes an entry together with others, later."""
        self._ended.append((function, exchange))
        if not self._scheduled:
            self._schedule()

    def stderr(self, function: str, line: str, pid: int | None) -> None:
        """Record a line that a worker wrote to standard error."""
        self._record(Entry(time.time(), "stderr", function, line, (pid,)))

    def event(self, function: str, message: str) -> None:
        """Record what happened to a function, or with "" to the manager."""
        self._record(Entry(time.time(), "event", function, message))

    def last(self, function: str | None, count: int) -> list[Entry]:
        """Return the last ``count`` entries of one function, or of all."""
        self._absorb()
        if function is not None:
            entries = list(self._kept.get(function, ()))
        else:
            entries = [entry for kept in self._kept.values() for entry in kept]
            entries.sort(key=lambda entry: entry.time)
        return entries[-count:] if count > 0 else []

    def follow(self, follower: Callable[[Entry], None]) -> Callable[[], None]:
        """Call ``follower`` with each new entry until the function returned is called."""
        self._absorb()
        self._followers.add(follower)
        return lambda: self._followers.discard(follower)

    def _absorb(self) -> None:
        """Make entries of the requests that have ended."""
        ended, self._ended = self._ended, []
        epoch = time.time() - time.monotonic()
        for function, exchange in ended:
            arrived, claimed, at = exchange.arrived, exchange.claimed, exchange.ended
            head = exchange.head
            times = (claimed - arrived, at - claimed, at - arrived)
            fields = (head.method, head.target, exchange.status, exchange.sent, *times)
            self._keep(Entry(at + epoch, "request", function, exchange.error, fields))

    def _record(self, entry: Entry) -> None:
        self._absorb()  # in the order in which things happened
        self._keep(entry)
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        if self._loop is not None:
            self._scheduled = True
            self._loop.call_later(_FLUSH, self._flush)

    def _keep(self, entry: Entry) -> None:
        kept = self._kept.get(entry.function)
        if kept is None:
            kept = self._kept[entry.function] = deque(maxlen=KEPT)
        kept.append(entry)
        for follower in tuple(self._followers):
            follower(entry)
        if len(self._pending) >= _BACKLOG:
            self._dropped += 1
        else:
            self._pending.append(entry)

    def _flush(self) -> None:
        self._scheduled = False
        self._absorb()
        if self._writing is not None or not self._pending or self._loop is None:
            return
        batch, self._pending = self._pending, []
        if self._dropped:
            text = f"{self._dropped} log entries were dropped: the log is slower than the requests"
            batch.append(Entry(time.time(), "event", "", text))
            self._dropped = 0
        self._writing = self._loop.create_future()
        self._batches.put(batch)

    def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        while (batch := self._batches.get()) is not None:
            # A log that cannot be written has nowhere to say so.
            with contextlib.suppress(Exception):
                self._emit(batch)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._written)

    def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.set_result(None)
        if (self._ended or self._pending) and not self._scheduled:
            self._schedule()


def choose_style(wanted: str) -> Style:
    """Return the style: ``auto`` is the journal's where stderr leads there (systemd.exec(5))."""
    if wanted == "text":
        return "text"
    if wanted == "json":
        return "json"
    stream = os.environ.get("JOURNAL_STREAM", "")
    status = os.fstat(2)
    return "journal" if stream == f"{status.st_dev}:{status.st_ino}" else "text"


# Writers: each is made for a stream and called with a batch, in a thread.


def _text_writer(stream: int) -> Callable[[list[Entry]], None]:
    colour = os.isatty(stream) and "NO_COLOR" not in os.environ

    def emit(batch: list[Entry]) -> None:
        _write_all(stream, "".join(format_text(entry, colour=colour) for entry in batch).encode())

    return emit


def _json_writer(stream: int) -> Callable[[list[Entry]], None]:
    def emit(batch: list[Entry]) -> None:
        lines = [json.dumps(entry.to_json()) + "\n" for entry in batch]
        _write_all(stream, "".join(lines).encode())

    return emit


def _journal_writer(_stream: int) -> Callable[[list[Entry]], None]:
    from conductor.systemd.journal import send  # noqa: PLC0415  # only where there is a journal

    def emit(batch: list[Entry]) -> None:
        for entry in batch:
            fields = {
                key: value
                for key, value in entry.to_json().items()
                if key != "message" and value is not None
            }
            priority = 3 if entry.kind == "event" else 4 if entry.message else 6
            text = format_text(entry, colour=False, clock=False).rstrip("\n")
            send(
                text, priority, {f"CONDUCTOR_{key.upper()}": value for key, value in fields.items()}
            )

    return emit


_WRITERS: dict[Style, Callable[[int], Callable[[list[Entry]], None]]] = {
    "text": _text_writer,
    "json": _json_writer,
    "journal": _journal_writer,
}


def _write_all(stream: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(stream, data) :]
        except BlockingIOError:  # another program on the same terminal has made it so (open(2))
            room = select.poll()
            room.register(stream, select.POLLOUT)
            room.poll()


def format_text(entry: Entry, *, colour: bool, clock: bool = True) -> str:
    """Return the line for people, its end included."""
    when = _clock(int(entry.time)) if clock else ""
    name = entry.function
    if entry.kind == "request":
        return f"{when}{name} {_format_request(entry, colour=colour)}\n"
    text = printable(entry.message)
    if entry.kind == "stderr":
        pid = entry.fields[0]
        return f"{when}{name}{f'[{pid}]' if pid else ''}: {text}\n"
    return f"{when}{name + ': ' if name else ''}{_paint(text, '33', colour=colour)}\n"


@functools.lru_cache(maxsize=4)
def _clock(second: int) -> str:
    return time.strftime("%H:%M:%S ", time.localtime(second))


def _format_request(entry: Entry, *, colour: bool) -> str:
    method, path, status, size, queue, worker, total = entry.fields
    shade = "32" if status < 400 else "33" if status < 500 else "31"
    parts = f"queue {format_duration(queue)}, worker {format_duration(worker)}"
    times = f"{format_duration(total)} ({parts})"
    line = f"{printable(method.decode('latin-1'))} {printable(path.decode('latin-1'))}"
    error = f" - {printable(entry.message)}" if entry.message else ""
    return f"{line} {_paint(str(status), shade, colour=colour)} {format_size(size)} {times}{error}"


def _paint(text: str, code: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def printable(text: str) -> str:
    """Return ``text`` with nothing in it that a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
