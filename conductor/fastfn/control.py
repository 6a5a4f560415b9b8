"""The control socket: JSON lines in, JSON lines out, for the command line and for programs.

A request is one line, ``{"op": NAME, ...}``; the answer is one line with ``ok`` and
``result`` or ``error``, except for ``logs``, which has a line for each entry. Only root and the
manager's own user may ask (SO_PEERCRED, unix(7)); the socket's mode says the same
to everyone else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from conductor.errors import ConductorError, UserError
from conductor.fastfn.function import bind
from conductor.fastfn.requestlog import Entry
from conductor.fastfn.spec import FunctionSpec, SpecError

if TYPE_CHECKING:
    from conductor.fastfn.manager import Manager

MAX_LINE = 1024 * 1024  # bytes of a request
_IDLE = 60.0  # seconds that a client may take to write a line, or to read ours
_MAX_CLIENTS = 64
_FOLLOWED = 1000  # entries that a slow follower may be behind

Request = dict[str, Any]


class ControlServer:
    """Answers what is asked of a manager."""

    def __init__(self, manager: Manager, path: str) -> None:
        self._manager = manager
        self._path = path
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._operations: dict[str, Callable[[Request], Awaitable[Any]]] = {
            "list": self._list,
            "show": self._show,
            "stats": self._stats,
            "restart": self._restart,
            "add": self._add,
            "remove": self._remove,
            "drain": self._drain,
        }

    async def start(self) -> None:
        """Listen; raises UserError."""
        listener = bind(self._path)
        os.chmod(self._path, 0o600)
        self._server = await asyncio.start_unix_server(
            self._on_client, sock=listener, limit=MAX_LINE
        )

    async def stop(self) -> None:
        """Listen no more and let go of who is connected."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # asyncio runs this in a task
        self._clients.add(task)
        try:
            if len(self._clients) > _MAX_CLIENTS:
                await self._answer(writer, _error("too many are asking; try again", 1))
            elif not _is_allowed(writer.get_extra_info("socket")):
                await self._answer(
                    writer, _error("only root and the manager's own user may ask", 1)
                )
            else:
                await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass  # the client is gone or too slow, or the manager stops
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), _IDLE)
            except ValueError:
                await self._answer(writer, _error(f"the request is over {MAX_LINE} bytes", 2))
                return
            if not line:
                return
            request = _parse(line)
            if request is not None and request["op"] == "logs":
                await self._logs(request, reader, writer)
                return
            await self._answer(writer, await self._carry_out(request))

    async def _carry_out(self, request: Request | None) -> dict[str, Any]:
        if request is None:
            return _error('a request is one line like {"op": "list"}', 2)
        operation = self._operations.get(request["op"])
        if operation is None:
            known = ", ".join(sorted([*self._operations, "logs"]))
            return _error(f"unknown operation {request['op']!r}; there are {known}", 2)
        try:
            return {"ok": True, "result": await operation(request)}
        except ConductorError as error:
            return _error(str(error), error.exit_status)

    async def _answer(self, writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
        writer.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")
        await asyncio.wait_for(writer.drain(), _IDLE)

    # Operations.

    async def _list(self, _request: Request) -> Any:
        now = self._manager.clock()
        return {"functions": [f.status(now) for f in self._manager.functions.values()]}

    async def _show(self, request: Request) -> Any:
        return self._manager.find(request.get("function")).details(self._manager.clock())

    async def _stats(self, request: Request) -> Any:
        return self._manager.numbers(request.get("function"))

    async def _restart(self, request: Request) -> Any:
        function = self._manager.find(request.get("function"))
        await function.replace(function.spec)
        workers = function.current.counts()
        standing = sum(workers[state] for state in ("starting", "idle", "busy"))
        return {"function": function.spec.id, "workers": standing}

    async def _add(self, request: Request) -> Any:
        try:
            spec = FunctionSpec.from_json(request.get("spec"))
        except SpecError as error:
            raise UserError(f"spec: {error}") from None
        await self._manager.add(spec)
        return {"function": spec.id}

    async def _remove(self, request: Request) -> Any:
        function = self._manager.find(request.get("function"))
        await self._manager.remove(function.spec.id)
        return {"function": function.spec.id}

    async def _drain(self, request: Request) -> Any:
        function = self._manager.find(request.get("function"))
        timeout = function.spec.limits.timeout or 60.0
        return {"function": function.spec.id, "drained": await function.drain(timeout)}

    async def _logs(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Write the last entries and, if asked to follow, the new ones until the client leaves."""
        name = request.get("function")
        try:
            function = None if name is None else self._manager.find(name).spec.id
        except UserError as error:
            await self._answer(writer, _error(str(error), error.exit_status))
            return
        lines = request.get("lines", 10)
        last = self._manager.log.last(function, lines if isinstance(lines, int) else 10)
        if not request.get("follow"):
            await self._write_entries(last, writer)
            return
        news: asyncio.Queue[Entry] = asyncio.Queue(_FOLLOWED)

        def offer(entry: Entry) -> None:
            if function in (None, entry.function) and not news.full():
                news.put_nowait(entry)

        unfollow = self._manager.log.follow(offer)
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await self._write_entries(last, writer)
            await self._relay(news, gone, writer)
        finally:
            unfollow()
            gone.cancel()

    async def _write_entries(self, entries: list[Entry], writer: asyncio.StreamWriter) -> None:
        for entry in entries:
            await self._answer(writer, {"ok": True, "result": entry.to_json()})

    async def _relay(
        self,
        news: asyncio.Queue[Entry],
        gone: asyncio.Future[bytes],
        writer: asyncio.StreamWriter,
    ) -> None:
        while not gone.done():
            entry = asyncio.ensure_future(news.get())
            await asyncio.wait((entry, gone), return_when=asyncio.FIRST_COMPLETED)
            if entry.done():
                await self._answer(writer, {"ok": True, "result": entry.result().to_json()})
            else:
                entry.cancel()


def _parse(line: bytes) -> Request | None:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) and isinstance(request.get("op"), str) else None


def _error(message: str, exit_status: int) -> dict[str, Any]:
    return {"ok": False, "error": message, "exit_status": exit_status}


def _is_allowed(peer: socket.socket) -> bool:
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (0, os.geteuid())
