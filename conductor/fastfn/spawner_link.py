"""The manager's end of a spawner: starts it, gives orders, hears reports.

The spawner runs in a session of its own, so that a terminal's Ctrl-C reaches the
manager alone and the manager ends things in order. What comes from the spawner
goes to a ``SpawnerEvents``; nothing here knows what a worker is for.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from typing import Protocol

from conductor.fastfn import wire
from conductor.fastfn.spec import Format, FunctionSpec

_STOP_TIMEOUT = 8.0  # seconds; the spawner itself kills after its grace period
_FAREWELL = 8  # bytes: a worker's number and its exit status


class SpawnerEvents(Protocol):
    """Who hears of a spawner's reports."""

    def on_spawned(self, worker: int, pid: int, fds: list[int]) -> None:
        """Take charge of a started worker and of ``fds``."""

    def on_exited(self, worker: int, status: int) -> None:
        """Hear that a worker was reaped; ``status`` is waitpid(2)'s."""

    def on_stderr(self, worker: int, lines: list[str]) -> None:
        """Hear what a worker wrote to standard error."""

    def on_spawner_lost(self, reason: str) -> None:
        """Hear that the spawner and its hold on the workers are gone."""


class SpawnerLink:
    """One spawner process, as the manager's child."""

    def __init__(self, events: SpawnerEvents, loop: asyncio.AbstractEventLoop) -> None:
        self._events = events
        self._loop = loop
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.is_ready = False  # it has started, and what it preloads is there
        self._ordered: list[int] = []  # workers asked for before that
        self._unsent: deque[wire.Message] = deque()  # orders that the channel did not take yet
        self._farewell = -1
        self._farewells: dict[int, int] = {}  # worker: exit status
        self._ending: set[asyncio.Task[None]] = set()  # of spawners dismissed

    @property
    def pid(self) -> int | None:
        """The spawner's process id, None when there is none."""
        return self._process.pid if self._process is not None else None

    def start(self, config: wire.Message, fds: tuple[int, ...] = ()) -> None:
        """Start a spawner and tell it its function; raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "conductor.fastfn.spawner", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._channel = ours
        ours.setblocking(False)
        self._loop.add_reader(ours.fileno(), self._on_readable)
        try:
            wire.send(ours, config, fds)
        except OSError:
            self.dismiss()
            raise

    def spawn(self, workers: list[int]) -> None:
        """Ask for workers with these numbers, as soon as the spawner is ready."""
        if self.is_ready:
            self._send({"op": "spawn", "workers": workers})
        else:
            self._ordered += workers

    def kill(self, worker: int, number: int) -> None:
        """Send signal ``number`` to a worker's process group."""
        self._send({"op": "kill", "worker": worker, "signal": number})

    def take_farewell(self, worker: int) -> int | None:
        """Return the exit status with which ``worker`` took its leave, or None if it did not."""
        self._read_farewells()
        return self._farewells.pop(worker, None)

    def abandon(self, reason: str) -> None:
        """Kill a spawner that does not do its work."""
        self._lose(reason)

    def dismiss(self) -> None:
        """End a spawner that is not needed, without waiting for it; another may be started."""
        process = self._process
        self._close()
        if process is not None:
            task = self._loop.create_task(self._reap(process))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def stop(self) -> None:
        """End the spawner and with it all its workers; returns when it is reaped."""
        self.dismiss()
        if self._ending:
            await asyncio.wait(self._ending)

    async def _reap(self, process: subprocess.Popen[bytes]) -> None:
        try:
            await asyncio.wait_for(asyncio.to_thread(process.wait), _STOP_TIMEOUT)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait)

    def _send(self, message: wire.Message) -> None:
        """Send ``message``, later if the spawner is behind with reading.

        A spawner that reads no more is found out by the workers that do not come
        (limits.start_timeout); what waits here is bounded by the workers there may be.
        """
        if self._channel is None:
            return
        if self._unsent:
            self._unsent.append(message)
            return
        try:
            wire.send(self._channel, message)
        except BlockingIOError:
            self._unsent.append(message)
            self._loop.add_writer(self._channel.fileno(), self._on_writable)
        except OSError as error:
            # Not at once: whoever gives an order is in the middle of a decision.
            self._loop.call_soon(self._lose, f"the spawner cannot be reached: {error}")

    def _on_writable(self) -> None:
        if self._channel is None:
            return
        try:
            while self._unsent:
                wire.send(self._channel, self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"the spawner cannot be reached: {error}")
            return
        self._loop.remove_writer(self._channel.fileno())

    def _on_readable(self) -> None:
        try:
            while self._channel is not None:
                message, fds = wire.receive(self._channel)
                self._dispatch(message, fds)
        except BlockingIOError:
            return
        except (EOFError, OSError, ValueError) as error:
            self._lose(f"the spawner ended unexpectedly {error}".rstrip())

    def _dispatch(self, message: wire.Message, fds: list[int]) -> None:
        match message["op"]:
            case "spawned":
                self._events.on_spawned(message["worker"], message["pid"], fds)
            case "exited":
                self._events.on_exited(message["worker"], message["status"])
                self._farewells.pop(message["worker"], None)
            case "stderr":
                self._events.on_stderr(message["worker"], message["lines"])
            case "hello":
                self._farewell = fds[0]
                os.set_blocking(self._farewell, False)
            case "ready":
                self.is_ready = True
                ordered, self._ordered = self._ordered, []
                if ordered:
                    self.spawn(ordered)
            case "failed":
                self._lose(message["error"])

    def _read_farewells(self) -> None:
        try:
            while data := os.read(self._farewell, _FAREWELL * 512):
                for start in range(0, len(data), _FAREWELL):
                    worker = int.from_bytes(data[start : start + 4], "big")
                    status = int.from_bytes(data[start + 4 : start + _FAREWELL], "big")
                    self._farewells[worker] = status
        except OSError:  # nothing more, or no spawner
            return

    def _lose(self, reason: str) -> None:
        if self._channel is None:
            return
        process = self._process
        self._close()
        if process is not None:
            process.kill()
            process.wait()  # it is dead or about to be: returns at once
        self._events.on_spawner_lost(reason)

    def _close(self) -> None:
        if self._channel is not None:
            self._loop.remove_reader(self._channel.fileno())
            self._loop.remove_writer(self._channel.fileno())
            self._channel.close()
            self._channel = None
        if self._farewell >= 0:
            os.close(self._farewell)
            self._farewell = -1
        self._farewells.clear()
        self._ordered.clear()
        self._unsent.clear()
        self.is_ready = False
        self._process = None


def spawner_config(spec: FunctionSpec) -> wire.Message:
    """Return what a spawner is told of its function."""
    kind = spec.runtime if spec.format is Format.CGI else spec.format.value
    return {
        "op": "configure",
        "kind": kind,
        "name": spec.id,
        "program": spec.program,
        "arguments": list(spec.arguments),
        "interpreter": list(spec.interpreter),
        "preload": list(spec.preload),
        "directory": spec.directory,
        "environment": spec.environment,
        "stderr_as_stdout": spec.stderr_as_stdout,
    }


def describe_exit(status: int) -> str:
    """Return what a status of waitpid(2) means: "exited with status 3", "was killed by SIGKILL"."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"was killed by {signal.Signals(number).name}"
        except ValueError:
            return f"was killed by signal {number}"
    return f"exited with status {os.waitstatus_to_exitcode(status)}"


def kill_group(pid: int) -> None:
    """Kill a worker's process group whose spawner cannot do it any longer."""
    if pid > 0:
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            return
