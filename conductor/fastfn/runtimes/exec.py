"""The runtime for any program: a forked child waits, and only execve(2) is left to do.

The child is a copy of the spawner with its pipes, group and signals in place. It
cannot know the environment earlier, and execve takes it whole, so nothing of
what the program sees differs from a plain start.
"""

from __future__ import annotations

import os
from typing import NoReturn

from conductor.fastfn.spawner.launchers import (
    Config,
    Launched,
    execute,
    forget_spawner,
    join_own_group,
)


class ExecLauncher:
    """Forks children that wait for their variables."""

    def __init__(self, config: Config) -> None:
        self._argv = [config["program"], *config["arguments"]]
        encoded = config["environment"].items()
        self._environment = {os.fsencode(key): os.fsencode(value) for key, value in encoded}
        self._merge_stderr = config["stderr_as_stdout"]

    def launch(self) -> Launched:
        """Start one worker."""
        stdin, stdin_ours = os.pipe()
        stdout_ours, stdout = os.pipe()
        stderr_ours, stderr = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._wait_and_become(stdin, stdout, stdout if self._merge_stderr else stderr)
        for fd in (stdin, stdout, stderr):
            os.close(fd)
        join_own_group(pid)
        return Launched(pid, (stdin_ours, stdout_ours), stderr_ours)

    def _wait_and_become(self, stdin: int, stdout: int, stderr: int) -> NoReturn:
        try:
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            forget_spawner(3)
            variables = read_variables()
        except OSError:
            os._exit(126)
        if variables is None:
            os._exit(0)
        execute(self._argv, {**self._environment, **variables})


def read_variables() -> dict[bytes, bytes] | None:
    """Return the meta-variables from standard input, or None if there will be no request."""
    size = read_exactly(4)
    if not size:
        return None
    block = read_exactly(int.from_bytes(size, "big"))
    return dict(item.split(b"=", 1) for item in block.split(b"\0") if item)


def read_exactly(size: int) -> bytes:
    """Return ``size`` bytes of standard input and not one more: the body follows."""
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            return b""
        data += part
    return data
