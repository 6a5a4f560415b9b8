"""The ways to start a worker, and what they have in common.

A launcher makes the worker's pipes or socket, starts its process and returns
what the manager and the spawner need of it. posix_spawn(3) serves wherever only
descriptors change: it does not copy the spawner's memory map. Where something
must be said that is known only in the child (LISTEN_PID), or the child must
wait before it becomes the program, there is a fork.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # what signal wraps, at a child's cost
import os
import signal
import socket
from typing import Any, NamedTuple, NoReturn

Config = dict[str, Any]

# Python ignores these; a program expects the defaults (signal(7)).
DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)
_RESTORED = tuple(int(number) for number in (*DEFAULT_SIGNALS, signal.SIGTERM))
_MOST_FDS = os.sysconf("SC_OPEN_MAX")


class Launched(NamedTuple):
    """A worker that was started."""

    pid: int
    manager_fds: tuple[int, ...]  # to be sent to the manager, then closed
    stderr: int  # read end of its standard error, or -1


class HttpStdioLauncher:
    """Starts programs that speak HTTP on a socket that is their stdin and stdout."""

    def __init__(self, config: Config) -> None:
        self._argv = [config["program"], *config["arguments"]]
        self._environment = config["environment"]

    def launch(self) -> Launched:
        """Start one worker; raises OSError when the program cannot be run."""
        ours, theirs = socket.socketpair()
        stderr, stderr_end = os.pipe()
        try:
            pid = os.posix_spawn(
                self._argv[0],
                self._argv,
                self._environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, stderr_end, 2),
                ],
                setpgroup=0,
                setsigdef=DEFAULT_SIGNALS,
            )
        except OSError:
            ours.close()
            os.close(stderr)
            raise
        finally:
            theirs.close()
            os.close(stderr_end)
        return Launched(pid, (ours.detach(),), stderr)


class SdactivateLauncher:
    """Starts daemons that accept on a listening socket given as fd 3 (sd_listen_fds(3))."""

    def __init__(self, config: Config, listener: int) -> None:
        self._config = config
        self._listener = listener

    def launch(self) -> Launched:
        """Start one worker; its exec's failure shows as its exit with 127."""
        stderr, stderr_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become_daemon(stderr_end)
        os.close(stderr_end)
        join_own_group(pid)
        return Launched(pid, (), stderr)

    def _become_daemon(self, stderr_end: int) -> NoReturn:
        config = self._config
        environment = dict(config["environment"])
        environment["LISTEN_FDS"] = "1"
        environment["LISTEN_PID"] = str(os.getpid())
        environment["LISTEN_FDNAMES"] = config["name"]
        try:
            null = os.open(os.devnull, os.O_RDONLY)
            listener = os.dup(self._listener)  # above 3, whatever stood there
            for source, target in ((null, 0), (stderr_end, 1), (stderr_end, 2), (listener, 3)):
                os.dup2(source, target)
            forget_spawner(4)
        except OSError:
            os._exit(126)
        execute([config["program"], *config["arguments"]], environment)


def join_own_group(pid: int) -> None:
    """Make ``pid`` the leader of its process group; the child does the same, whoever is first."""
    try:
        os.setpgid(pid, pid)
    except OSError:  # it has run its program already, and has done so itself
        return


def execute(argv: list[str], environment: dict[Any, Any]) -> NoReturn:
    """In a forked child: become the program ``argv``."""
    try:
        os.execve(argv[0], argv, environment)
    except OSError as error:
        os.write(2, f"{argv[0]} cannot be run: {error.strerror}\n".encode())
    os._exit(127)


def forget_spawner(keep: int) -> None:
    """In a forked child: keep descriptors below ``keep`` only, lead a group, take signals as usual.

    The channel and the manager's ends are among those closed: while a copy is open
    nobody sees its end.
    """
    os.closerange(keep, _MOST_FDS)
    os.setpgid(0, 0)
    _signal.set_wakeup_fd(-1)
    for number in _RESTORED:
        _signal.signal(number, _signal.SIG_DFL)
