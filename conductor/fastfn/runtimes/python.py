"""The runtime for Python scripts: a zygote that runs the script's own interpreter.

The zygote (``harness/python.py``) imports the modules of ``preload`` once and forks
a worker when it is told to. It is told over a SOCK_SEQPACKET pair: ``fork ID`` with
the worker's three descriptors; it answers ``ready``, ``pid ID PID`` and ``exit PID STATUS``.
Workers are its children, not the spawner's, so their exits are its to report.
"""

from __future__ import annotations

import os
import socket

from conductor.fastfn.spawner.launchers import DEFAULT_SIGNALS, Config, Launched

HARNESS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "harness", "python.py")
_REPORT = 128  # bytes, more than any report of the zygote


class PythonZygote:
    """The spawner's end of one zygote."""

    def __init__(self, config: Config, farewell: int) -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.stderr, stderr = os.pipe()
        self._merge_stderr = config["stderr_as_stdout"]
        self._starting: dict[int, tuple[tuple[int, int], int]] = {}
        preload = config["preload"]
        argv = [
            *config["interpreter"],
            HARNESS,
            str(theirs.fileno()),
            str(farewell),
            str(len(preload)),
            *preload,
            config["program"],
            *config["arguments"],
        ]
        self.pid = _spawn(argv, config["environment"], stderr, (theirs.fileno(), farewell))
        theirs.close()
        os.close(stderr)

    def order(self, worker: int) -> None:
        """Have a worker forked; ``report`` returns it once it runs."""
        stdin, stdin_ours = os.pipe()
        stdout_ours, stdout = os.pipe()
        stderr_ours, stderr = os.pipe()
        self._starting[worker] = ((stdin_ours, stdout_ours), stderr_ours)
        ends = [stdin, stdout, stdout if self._merge_stderr else stderr]
        try:
            socket.send_fds(self.channel, [b"fork %d" % worker], ends)
        finally:
            for fd in (stdin, stdout, stderr):
                os.close(fd)

    def report(self) -> tuple[str, int, int]:
        """Return the zygote's next report: ``ready``, ``pid`` or ``exit`` with its two numbers.

        Raises EOFError when the zygote is gone.
        """
        words = self.channel.recv(_REPORT).split()
        if not words:
            raise EOFError
        numbers = [int(word) for word in words[1:]] + [0, 0]
        return words[0].decode(), numbers[0], numbers[1]

    def launched(self, worker: int, pid: int) -> Launched:
        """Return the worker that was ordered as ``worker`` and now runs as ``pid``."""
        manager_fds, stderr = self._starting.pop(worker)
        return Launched(pid, manager_fds, stderr)


def _spawn(
    argv: list[str], environment: dict[str, str], stderr: int, inherited: tuple[int, ...]
) -> int:
    """Start the zygote with an empty pipe as its stdin: its workers' stdin is a pipe too.

    Python looks at what its standard streams are when it starts; what it finds
    then must still be true after the fork.
    """
    stdin, writer = os.pipe()
    os.close(writer)
    for fd in inherited:
        os.set_inheritable(fd, True)
    try:
        return os.posix_spawn(
            argv[0],
            argv,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, stdin, 0),
                (os.POSIX_SPAWN_DUP2, stderr, 1),
                (os.POSIX_SPAWN_DUP2, stderr, 2),
            ],
            setpgroup=0,
            setsigdef=DEFAULT_SIGNALS,
        )
    finally:
        os.close(stdin)
        for fd in inherited:
            os.set_inheritable(fd, False)
