"""A real Caddy as a child process: for ``conductor function serve --caddy``.

It is started with a configuration of its own, keeps its files in the run
directory and has no admin endpoint, so that it meets no other Caddy of the
machine. Its owner ends it; should the owner die first, the kernel ends it
(PR_SET_PDEATHSIG, set by setpriv(1) so that no code runs between fork and
exec). It gets a session of its own: Ctrl-C is for the owner, who stops Caddy
before the functions behind it.

Caddy's log is for its operator; of it only errors are passed on, and not those
that say that a client has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from conductor.errors import ConductorError, UserError

START_TIMEOUT = 15.0  # seconds until Caddy must listen
STOP_TIMEOUT = 8.0  # seconds from TERM to KILL, longer than the grace period it is given
_POLL = 0.02  # seconds between two looks at whether it listens
_LINE = 64 * 1024  # bytes of a log line
_ERRORS = ("error", "dpanic", "panic", "fatal")


class Caddy:
    """One Caddy process; ``report`` is told its errors, ``on_exit`` an end nobody asked for."""

    def __init__(
        self, directory: str, report: Callable[[str], None], on_exit: Callable[[str], None]
    ) -> None:
        self._directory = directory
        self._report = report
        self._on_exit = on_exit
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._last_errors: deque[str] = deque(maxlen=3)

    async def start(self, config: dict[str, Any], host: str, port: int) -> None:
        """Start Caddy with ``config``, and return when it listens on ``host`` and ``port``.

        Raises UserError when there is no Caddy or the address is taken, and
        ConductorError when Caddy does not come up.
        """
        program = find_caddy()
        check_address(host, port)
        file = self._write(config)
        self._process = await asyncio.create_subprocess_exec(
            *_tied_to_us(),
            program,
            "run",
            "--config",
            file,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
            limit=_LINE,
            start_new_session=True,
        )
        self._watcher = asyncio.create_task(self._watch(self._process))
        try:
            await self._wait_listening(host, port)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End Caddy: what is under way may finish, until STOP_TIMEOUT."""
        process, watcher = self._process, self._watcher
        self._process = None  # from here on its end is no news
        if process is None or watcher is None:
            return
        for kind in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(kind)
            done, _ = await asyncio.wait({watcher}, timeout=STOP_TIMEOUT)
            if done:
                return

    def _write(self, config: dict[str, Any]) -> str:
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        file = os.path.join(self._directory, "caddy.json")
        with open(file, "w", encoding="utf-8") as stream:
            json.dump(config, stream, indent=2)
        return file

    def _environment(self) -> dict[str, str]:
        ours = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), self._directory)
        return dict(os.environ) | ours

    async def _wait_listening(self, host: str, port: int) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await _is_listening(host, port):
                    if self._watcher is None or self._watcher.done():
                        raise self._failed("ended at its start")
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise self._failed(f"does not listen after {START_TIMEOUT:g}s") from None
        if self._watcher is None or self._watcher.done():  # somebody else listens there
            raise self._failed("ended at its start")

    def _failed(self, what: str) -> ConductorError:
        return ConductorError(": ".join((f"Caddy {what}", *self._last_errors)))

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is not None:
            await self._relay(process.stderr)
        status = await process.wait()
        if process is self._process:
            self._on_exit(f"Caddy ended unexpectedly with status {status}")

    async def _relay(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than _LINE: that part is skipped
                continue
            if not line:
                return
            if message := error_in(line):
                self._last_errors.append(message)
                self._report(message)


def find_caddy() -> str:
    """Return the path of the ``caddy`` program, or raise UserError."""
    program = shutil.which("caddy")
    if program is None:
        raise UserError(
            "caddy is not in PATH; install it (Debian: apt-get install caddy) or leave out --caddy"
        )
    return program


def check_address(host: str, port: int) -> None:
    """Raise UserError when nobody could listen on ``host`` and ``port`` now."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror as error:
        raise UserError(f"{host} is no address to listen on: {error.strerror}") from None
    except OSError as error:
        raise UserError(_why_not(host, port, error)) from None


def error_in(line: bytes) -> str:
    """Return the message of a line of Caddy's log, when it is an error that matters, else ""."""
    text = line.decode("utf-8", "replace").strip()
    try:
        entry = json.loads(text)
    except ValueError:
        return text  # not the log: a crash, or a complaint about the configuration
    if not isinstance(entry, dict) or entry.get("level") not in _ERRORS:
        return ""
    details = str(entry.get("error", ""))
    if "context canceled" in details:
        return ""
    return ": ".join(filter(None, (str(entry.get("msg", "")), details)))


async def _is_listening(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def _tied_to_us() -> tuple[str, ...]:
    """Return the command that has the kernel end what follows when this process dies."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()


def _why_not(host: str, port: int, error: OSError) -> str:
    address = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use by another program; choose another address with --listen"
    if error.errno == errno.EACCES:
        return f"{address} needs more rights; choose a port above 1023 with --listen"
    return f"{address} cannot be listened on: {error.strerror}"
