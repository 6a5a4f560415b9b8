"""The CGI program as a process: its pipes, its exit, its end.

It gets pipes and never the connection, since scripts open /dev/stdin, which fails
on a socket. It leads a process group, and whoever ends it early ends them all.
Processes that it leaves behind after a whole answer are left alone: work in the
background is why they are there.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
from contextlib import suppress
from typing import IO, cast

from conductor.cgi_adapter.errors import CgiError
from conductor.cgi_adapter.waiting import read_nowait

_PIECE = 64 * 1024  # bytes of one read
_GRACE = 2.0  # seconds from SIGTERM to SIGKILL
_CURES = {
    errno.ENOENT: "; if the file is there, the interpreter in its #! line is not",
    errno.EACCES: "; is it an executable file (chmod +x)?",
    errno.ENOEXEC: "; a script begins with a line like #!/bin/sh",
}


class Child:
    """A program that was started. Both pipes are ours to close, and so is the group to end."""

    def __init__(
        self, command: list[str], environment: dict[bytes, bytes], *, stderr_as_stdout: bool
    ) -> None:
        """Start ``command``. Raises CgiError(502) where it cannot be run."""
        try:
            self._process = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if stderr_as_stdout else None,
                env=environment,
                process_group=0,
            )
        except OSError as error:
            cure = _CURES.get(error.errno or 0, "")
            raise CgiError(502, f"it cannot be run: {error.strerror}{cure}") from None
        self._stdin = cast("IO[bytes]", self._process.stdin)  # both are there: PIPE asks for them
        self._stdout = cast("IO[bytes]", self._process.stdout)
        self.stdin_fd: int | None = self._stdin.fileno()
        self.stdout_fd: int | None = self._stdout.fileno()
        os.set_blocking(self._stdin.fileno(), False)
        self.pidfd = os.pidfd_open(self._process.pid)
        self._exited = False

    def __repr__(self) -> str:
        return f"<Child {self._process.pid} {'exited' if self.has_exited else 'running'}>"

    @property
    def has_exited(self) -> bool:
        """Whether the program itself has ended; it is not reaped yet, so its group still is."""
        self._exited = self._exited or self._wait_for_exit(0)
        return self._exited

    @property
    def signal(self) -> int | None:
        """The signal that killed the program, or None."""
        found = self._exit_information()
        if found is None or found.si_code == os.CLD_EXITED:
            return None
        return found.si_status

    @property
    def fate(self) -> str:
        """How the program stands, for the end of a sentence."""
        found = self._exit_information()
        if found is None:
            return "it closed its output and still runs"
        if found.si_code == os.CLD_EXITED:
            return f"it exited with status {found.si_status}"
        return f"it was killed by {signal.Signals(found.si_status).name}"

    def write_input(self, data: bytes) -> int:
        """Write to the program, as much as it takes; close when it reads no more."""
        try:
            return os.write(self._stdin.fileno(), data)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            self.close_input()
            return 0

    def read_output(self) -> bytes | None:
        """Return what a ready program has printed; b"" when it will print no more."""
        data = read_nowait(self._stdout.fileno(), _PIECE)
        if data == b"":
            self._stdout.close()
            self.stdout_fd = None
        return data

    def close_input(self) -> None:
        """Let the program see the end of its input."""
        self._stdin.close()
        self.stdin_fd = None

    def end(self, *, whole_group: bool) -> None:
        """Reap the program; one that still runs, or the ``whole_group``, is ended first."""
        if whole_group or not self.has_exited:
            self._signal_group(signal.SIGTERM)
            self._wait_for_exit(_GRACE)
            self._signal_group(signal.SIGKILL)
        self._process.wait()
        os.close(self.pidfd)
        self._stdin.close()
        self._stdout.close()

    def _signal_group(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _wait_for_exit(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _exit_information(self) -> os.waitid_result | None:
        options = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PIDFD, self.pidfd, options)
