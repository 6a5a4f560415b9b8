"""What ``conductor function serve`` becomes: the manager in the foreground.

A program of its own, started with its settings in a file descriptor. It imports
the functions path and Caddy's runner and nothing that reads declarations, so
that the process that stays is small. What people are told goes to standard
output; the log goes to standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from typing import Any, TextIO

import uvloop

from conductor.caddy.routes import function_route, server_config
from conductor.caddy.runner import Caddy, check_address, find_caddy
from conductor.errors import ConductorError, UserError
from conductor.fastfn.manager import Manager
from conductor.fastfn.requestlog import RequestLog, choose_style
from conductor.fastfn.spec import Format, FunctionSpec

_AT_ONCE = 130  # exit status after a second Ctrl-C
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  # compared with, not listened on


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line decided."""

    specs: list[FunctionSpec]
    host: str
    port: int
    caddy: bool
    run_dir: str
    log_format: str

    @classmethod
    def read(cls, fd: int) -> Settings:
        """Return the settings that stand as JSON in the file ``fd``, and close it."""
        with os.fdopen(fd) as stream:
            data: dict[str, Any] = json.load(stream)
        host, port = data.pop("listen")
        specs = [FunctionSpec.from_json(spec) for spec in data.pop("specs")]
        return cls(specs, host, port, **data)

    @property
    def address(self) -> str:
        """HOST:PORT, as a URL and Caddy have it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where to look from this machine."""
        return (
            f"http://{'localhost:' + str(self.port) if self.host in _WILDCARDS else self.address}"
        )


class Serving:
    """One run of the manager, from its start to Ctrl-C."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = RequestLog(choose_style(settings.log_format))
        self._manager = Manager(settings.run_dir, self._log)
        self._caddy: Caddy | None = None
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Serve until told to stop; raises ConductorError when that is not possible any more."""
        settings = self._settings
        if settings.caddy:
            find_caddy()
        check_address(settings.host, settings.port)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        await self._manager.start()
        try:
            if await self._started():
                self._announce()
            failure = await self._over
        finally:
            await self._stop()
        if failure:
            raise ConductorError(failure)

    def _on_signal(self) -> None:
        if self._over.done():
            os._exit(_AT_ONCE)  # the kernel ends Caddy, and spawners end with our socket
        self._over.set_result("")
        _say("\nStopping: requests under way may finish; Ctrl-C again ends at once.")

    async def _started(self) -> bool:
        """Start, unless told to stop meanwhile; whether it came to an end."""
        starting = asyncio.ensure_future(self._start())
        await asyncio.wait((starting, self._over), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConductorError):
                await starting
            return False
        await starting
        return True

    def _on_caddy_exit(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(reason)

    async def _start(self) -> None:
        await self._add_all()
        settings = self._settings
        if settings.caddy:
            self._caddy = Caddy(
                os.path.join(settings.run_dir, "caddy"),
                lambda message: self._log.event("caddy", message),
                self._on_caddy_exit,
            )
            routes = [_route(spec) for spec in settings.specs]
            config = server_config(settings.address, routes)
            await self._caddy.start(config, settings.host, settings.port)
        else:
            await self._manager.listen(settings.host, settings.port)

    async def _add_all(self) -> None:
        """Add every function; one that does not start is told of and tried again later."""
        adding = (self._manager.add(spec) for spec in self._settings.specs)
        for outcome in await asyncio.gather(*adding, return_exceptions=True):
            if isinstance(outcome, UserError) or not isinstance(outcome, ConductorError | None):
                raise outcome
            if outcome is not None:
                _say(f"conductor: {outcome}; it is tried again", sys.stderr)

    def _announce(self) -> None:
        front = "Caddy" if self._settings.caddy else "Conductor's own listener (no Caddy)"
        url, specs = self._settings.url, self._settings.specs
        lines = [f"Serving {len(specs)} functions on {url} with {front}."]
        lines += [f"  curl {url}/cgi/{spec.id}/" for spec in specs]
        _say("\n".join([*lines, "Stop with Ctrl-C."]))

    async def _stop(self) -> None:
        if self._caddy is not None:
            await self._caddy.stop()
        await self._manager.stop()


def _say(text: str, stream: TextIO | None = None) -> None:
    """Print; whether anybody still reads must not decide whether anybody is served."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=stream or sys.stdout, flush=True)


def _route(spec: FunctionSpec) -> dict[str, object]:
    return function_route(
        spec.id,
        spec.socket,
        part_id=spec.part_id,
        daemon=spec.format is Format.SDACTIVATE,
        strip=spec.path_info_strip,
    )


async def _serve(settings: Settings) -> None:
    await Serving(settings).run()


def main() -> int:
    """Run with ``--settings-fd N``; return the exit status."""
    settings = Settings.read(int(sys.argv[2]))
    try:
        uvloop.run(_serve(settings))
    except ConductorError as error:
        print(f"conductor: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
