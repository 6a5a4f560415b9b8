"""The CGI program as a process: its pipes, its exit, its end.

It gets pipes and never the connection, since scripts open /dev/stdin, which fails
on a socket. It leads a process group, and whoever ends it early ends them all.
Processes that it leaves behind after a whole answer are left alone: work in the
background is why they are there. ``os.posix_spawn`` does all that is needed here;
importing subprocess would cost every request some milliseconds.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from contextlib import suppress

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
        self._stdin, self._stdout = -1, -1
        self._pid = self._spawn(command, environment, stderr_as_stdout=stderr_as_stdout)
        self.stdin_fd: int | None = self._stdin
        self.stdout_fd: int | None = self._stdout
        os.set_blocking(self._stdin, False)
        self.pidfd = os.pidfd_open(self._pid)
        self._exited = False

    def _spawn(
        self, command: list[str], environment: dict[bytes, bytes], *, stderr_as_stdout: bool
    ) -> int:
        stdin, self._stdin = os.pipe()
        self._stdout, stdout = os.pipe()
        outputs = (1, 2) if stderr_as_stdout else (1,)
        actions = [(os.POSIX_SPAWN_DUP2, stdout, output) for output in outputs]
        try:
            return os.posix_spawn(
                command[0],
                command,
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, stdin, 0), *actions],
                setpgroup=0,
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them; programs do not
            )
        except OSError as error:
            os.close(self._stdin)
            os.close(self._stdout)
            cure = _CURES.get(error.errno or 0, "")
            raise CgiError(502, f"it cannot be run: {error.strerror}{cure}") from None
        finally:
            os.close(stdin)
            os.close(stdout)

    def __repr__(self) -> str:
        return f"<Child {self._pid} {'exited' if self.has_exited else 'running'}>"

    @property
    def has_exited(self) -> bool:
        """Whether the program itself has ended; it is not reaped yet, so its group still is."""
        self._exited = self._exited or self._wait_for_exit(0)
        return self._exited

    @property
    def killed_by(self) -> str | None:
        """The name of the signal that killed the program, or None."""
        found = self._exit_information()
        if found is None or found.si_code == os.CLD_EXITED:
            return None
        number = found.si_status
        return signal.Signals(number).name if number <= signal.SIGSYS else f"signal {number}"

    @property
    def fate(self) -> str:
        """How the program stands, for the end of a sentence."""
        found = self._exit_information()
        if found is None:
            return "it closed its output and still runs"
        if found.si_code == os.CLD_EXITED:
            return f"it exited with status {found.si_status}"
        return f"it was killed by {self.killed_by}"

    def write_input(self, data: bytes) -> int:
        """Write to the program, as much as it takes; close when it reads no more."""
        try:
            return os.write(self._stdin, data)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            self.close_input()
            return 0

    def read_output(self) -> bytes | None:
        """Return what a ready program has printed; b"" when it will print no more."""
        data = read_nowait(self._stdout, _PIECE)
        if data == b"":
            self._close_output()
        return data

    def close_input(self) -> None:
        """Let the program see the end of its input."""
        if self.stdin_fd is not None:
            os.close(self.stdin_fd)
            self.stdin_fd = None

    def _close_output(self) -> None:
        if self.stdout_fd is not None:
            os.close(self.stdout_fd)
            self.stdout_fd = None

    def end(self, *, whole_group: bool) -> None:
        """Reap the program; one that still runs, or the ``whole_group``, is ended first."""
        if whole_group or not self.has_exited:
            self._signal_group(signal.SIGTERM)
            self._wait_for_exit(_GRACE)
            self._signal_group(signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self.pidfd)
        self.close_input()
        self._close_output()

    def _signal_group(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._pid, number)

    def _wait_for_exit(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _exit_information(self) -> os.waitid_result | None:
        options = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PIDFD, self.pidfd, options)
