"""The programs that a run starts, and their end.

Each is the leader of a process group of its own, so that Ctrl-C reaches the
load tests alone and they end the rest in order. Ending is synchronous and
bounded: the group is asked (TERM), then made to (KILL), and nothing that
happens meanwhile interrupts it. What a program left behind in other groups
(Conductor's workers have their own) comes back to this process, which is a
subreaper: ``end_descendants`` ends these too, and says that there were some.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Self

from conductor.errors import ConductorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GRACE = 10.0  # seconds between TERM and KILL
START_TIMEOUT = 20.0  # seconds until a program must answer
PATIENCE = 1.0  # seconds for what lost its parent to end by itself
POLL = 0.02  # seconds between two looks
QUOTED = 2000  # bytes of a program's output, quoted when it fails

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


class ProcessError(ConductorError):
    """A program of the load tests did not start, or did not live."""


class Program:
    """A running program with its process group; a context manager that ends it."""

    def __init__(
        self,
        command: Sequence[str],
        log: str,
        environment: dict[str, str],
        grace: float = GRACE,
    ) -> None:
        """Start ``command``; its output goes to the file ``log``. Raises ProcessError."""
        self.name = os.path.basename(command[0])
        self._log = log
        self._grace = grace
        try:
            with open(log, "wb") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    process_group=0,
                )
        except OSError as error:
            raise ProcessError(f"{command[0]} cannot be started: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_until(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until ``ready``; raises ProcessError when the program ends first or is too slow."""
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            if (ended := self._ended()) is not None:
                raise ProcessError(f"{self.name} {_how(ended)}{self._quote()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name}: {what} in {START_TIMEOUT:g}s{self._quote()}")
            time.sleep(POLL)

    def stop(self) -> None:
        """End the whole group; when this returns, none of it is left."""
        with undisturbed():
            if self._process.returncode is not None:
                return
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + self._grace
            while self._ended() is None and time.monotonic() < deadline:
                time.sleep(POLL)
            # The leader is not reaped yet, so its number is still this group's.
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _ended(self) -> os.waitid_result | None:
        """Return how the leader ended, None while it lives; it is left to be reaped by stop."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _quote(self) -> str:
        with open(self._log, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - QUOTED))
            text = log.read().decode(errors="replace").strip()
        return f"; its output ends with:\n{text}" if text else " and no output"


def adopt_orphans() -> None:
    """Make what the programs leave behind children of this process. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def end_descendants() -> list[str]:
    """End every process that is still a child of this one; return their command names.

    To be called when every Program has been stopped. What is left then gets
    PATIENCE to end by itself; whatever does not was left behind, and is named.
    """
    left: set[str] = set()
    with undisturbed():
        deadline = time.monotonic() + PATIENCE
        while (living := _living_children()) and time.monotonic() < deadline:
            time.sleep(POLL)
        while living:
            left |= {_stat(pid)[0] for pid in living}
            for pid in living:
                os.kill(pid, signal.SIGKILL)  # Not reaped yet: the number is still its own.
                os.waitpid(pid, 0)
            living = _living_children()  # Children of these are children of ours now.
    return sorted(left)


def _living_children() -> list[int]:
    """Return this process's children that have not ended, and reap those that have."""
    me, numbers = os.getpid(), (int(name) for name in os.listdir("/proc") if name.isdigit())
    living = []
    for pid in numbers:
        _, parent, has_ended = _stat(pid)
        if parent == me and has_ended:
            os.waitpid(pid, 0)
        elif parent == me:
            living.append(pid)
    return living


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back what would interrupt an ending; it is delivered afterwards."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _how(ended: os.waitid_result) -> str:
    if ended.si_code == os.CLD_EXITED:
        return f"ended with status {ended.si_status}"
    return f"was ended by signal {ended.si_status}"


def _stat(pid: int) -> tuple[str, int, bool]:
    """Return a process's name, its parent, and whether it has ended: proc_pid_stat(5)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            text = stat.read()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0, True
    name = text[text.index("(") + 1 : text.rindex(")")]
    state, parent = text[text.rindex(")") + 2 :].split()[:2]
    return name, int(parent), state in "ZX"
