"""The spawner's process: ``python -m conductor.fastfn.spawner CHANNEL_FD``.

It holds no request and decides nothing: it starts the workers that the manager
asks for, hands their descriptors over, relays what they write to standard
error and reports their exits. It imports little and has no event loop library:
its memory is paid once for each function, and copied by each ``exec`` worker.

It ends with its channel. Then, and on SIGTERM, it ends every process group that
it started, the grace period first.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time

from conductor.fastfn import wire
from conductor.fastfn.runtimes.exec import ExecLauncher
from conductor.fastfn.runtimes.python import PythonZygote
from conductor.fastfn.spawner.launchers import (
    Config,
    HttpStdioLauncher,
    Launched,
    SdactivateLauncher,
)
from conductor.fastfn.spawner.stderr import StderrRelay

GRACE = 5.0  # seconds from SIGTERM to SIGKILL at the end


class Spawner:
    """One function's workers, from their start to their reaping."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._poll = select.epoll()
        self._workers: dict[int, int] = {}  # pid: worker
        self._pids: dict[int, int] = {}  # worker: pid
        self._leftovers: set[int] = set()  # groups that outlived their leader
        self._told: set[int] = set()  # leaders that the manager had signalled
        self._doomed: dict[int, float] = {}  # groups that outlived such a leader: when to kill
        self._relay = StderrRelay(self._poll, self._send)
        self._launcher: ExecLauncher | HttpStdioLauncher | SdactivateLauncher | None = None
        self._zygote: PythonZygote | None = None
        self._stopping = False
        self._wakeup, wakeup = os.pipe()
        for fd in (self._wakeup, wakeup):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)

    def run(self) -> int:
        """Serve the channel until it ends; return the exit status."""
        message, fds = wire.receive(self._channel)
        try:
            self._configure(message, fds)
        except OSError as error:
            self._send({"op": "failed", "error": str(error)})
            return 1
        for fd in (self._channel.fileno(), self._wakeup):
            self._poll.register(fd, select.EPOLLIN)
        while not self._stopping:
            for fd, _ in self._poll.poll(self._patience()):
                self._serve(fd)
            self._kill_doomed()
        self._end_all()
        return 0

    def _configure(self, config: Config, fds: list[int]) -> None:
        os.chdir(config["directory"])
        farewell_ours, farewell = os.pipe()
        os.set_blocking(farewell, False)
        match config["kind"]:
            case "python":
                self._zygote = PythonZygote(config, farewell)
                self._poll.register(self._zygote.channel.fileno(), select.EPOLLIN)
                self._relay.add(self._zygote.stderr, 0)
            case "exec":
                self._launcher = ExecLauncher(config)
            case "http-stdio":
                self._launcher = HttpStdioLauncher(config)
            case _:
                self._launcher = SdactivateLauncher(config, fds[0])
        self._send({"op": "hello", "pid": os.getpid()}, (farewell_ours,))
        os.close(farewell_ours)
        if self._zygote is None:
            self._send({"op": "ready"})

    def _serve(self, fd: int) -> None:
        if fd == self._channel.fileno():
            self._on_channel()
        elif fd == self._wakeup:
            os.read(self._wakeup, 4096)
            self._reap()
        elif self._zygote is not None and fd == self._zygote.channel.fileno():
            self._on_zygote(self._zygote)
        else:
            self._relay.read(fd)

    def _on_channel(self) -> None:
        try:
            message, _ = wire.receive(self._channel)
        except (EOFError, ConnectionError):
            self._stopping = True
            return
        match message["op"]:
            case "spawn":
                for worker in message["workers"]:
                    self._spawn(worker)
            case "kill":
                self._kill(message["worker"], message["signal"])

    def _spawn(self, worker: int) -> None:
        if self._zygote is not None:
            self._zygote.order(worker)
            return
        assert self._launcher is not None  # noqa: S101  # _configure set one of the two
        try:
            launched = self._launcher.launch()
        except OSError as error:
            problem = f"{error.filename or 'the program'} cannot be run: {error.strerror}"
            self._send({"op": "stderr", "worker": worker, "lines": [problem]})
            self._send({"op": "exited", "worker": worker, "status": 127 << 8})
            return
        self._launched(worker, launched)

    def _launched(self, worker: int, launched: Launched) -> None:
        self._workers[launched.pid] = worker
        self._pids[worker] = launched.pid
        self._relay.add(launched.stderr, worker)
        self._send({"op": "spawned", "worker": worker, "pid": launched.pid}, launched.manager_fds)
        for fd in launched.manager_fds:
            os.close(fd)

    def _on_zygote(self, zygote: PythonZygote) -> None:
        try:
            report, first, second = zygote.report()
        except (EOFError, ConnectionError):
            self._relay.read(zygote.stderr)
            self._send({"op": "failed", "error": "the Python zygote ended"})
            self._stopping = True
            return
        match report:
            case "ready":
                self._send({"op": "ready"})
            case "pid":
                self._launched(first, zygote.launched(first, second))
            case "exit":
                self._exited(first, second)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._exited(pid, status)

    def _exited(self, pid: int, status: int) -> None:
        worker = self._workers.pop(pid, None)
        if worker is None:
            return
        del self._pids[worker]
        self._relay.drain(worker)
        self._send({"op": "exited", "worker": worker, "status": status})
        if _signal_group(pid, 0):  # somebody in its group lives on
            self._leftovers.add(pid)
            if pid in self._told:
                self._doomed[pid] = time.monotonic() + GRACE
        self._told.discard(pid)
        if self._leftovers:
            self._leftovers = {group for group in self._leftovers if _signal_group(group, 0)}

    def _kill(self, worker: int, number: int) -> None:
        pid = self._pids.get(worker)
        if pid is not None:
            self._told.add(pid)
            _signal_group(pid, number)

    def _patience(self) -> float | None:
        """Return the seconds until the first doomed group is to be killed."""
        if not self._doomed:
            return None
        return max(0.0, min(self._doomed.values()) - time.monotonic())

    def _kill_doomed(self) -> None:
        """Kill what had its grace period after its leader was ended."""
        now = time.monotonic()
        for group in [group for group, deadline in self._doomed.items() if deadline <= now]:
            del self._doomed[group]
            _signal_group(group, signal.SIGKILL)

    def _send(self, message: wire.Message, fds: tuple[int, ...] = ()) -> None:
        try:
            wire.send(self._channel, message, fds)
        except OSError:  # the manager is gone, or does not take any more: nobody to work for
            self._stopping = True

    def _on_term(self, *_: object) -> None:
        self._stopping = True

    def _end_all(self) -> None:
        """End every group that was started: SIGTERM, the grace period, SIGKILL."""
        deadline = time.monotonic() + GRACE
        self._end_groups({*self._workers, *self._leftovers}, deadline)
        if self._zygote is not None:  # last, because its workers are its to reap
            self._end_groups({self._zygote.pid}, deadline)

    def _end_groups(self, groups: set[int], deadline: float) -> None:
        groups = {group for group in groups if _signal_group(group, signal.SIGTERM)}
        while groups and (left := deadline - time.monotonic()) > 0:
            self._await_child(left)
            groups = {group for group in groups if _signal_group(group, 0)}
        for group in groups:
            _signal_group(group, signal.SIGKILL)

    def _await_child(self, seconds: float) -> None:
        """Wait for a child's end, and reap; look again soon for those that are nobody's child."""
        select.select([self._wakeup], [], [], min(seconds, 0.05))
        with contextlib.suppress(BlockingIOError, ChildProcessError):
            os.read(self._wakeup, 4096)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _signal_group(group: int, number: int) -> bool:
    """Send signal ``number`` (0: none) to a process group; whether there is one."""
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True


def main() -> int:
    """Serve the channel that is the argument, and return the exit status."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)  # a worker that held it would hide our end from the manager
    return Spawner(channel).run()


if __name__ == "__main__":
    sys.exit(main())
