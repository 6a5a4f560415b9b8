"""Talking to a running manager: the other side of ``control``, for commands.

One connection a request, JSON lines both ways, no asyncio: a command asks,
prints and ends. Every read has a deadline and every line a bound, because what
listens on the socket may be something else, or stuck.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

from conductor.errors import ConductorError, ManagerUnreachableError, UserError

ANSWER_TIMEOUT = 10.0  # seconds for an answer that the manager has at hand
MAX_LINE = 16 * 1024 * 1024  # bytes of one answer
_PIECE = 64 * 1024


class ControlClient:
    """Asks the manager whose control socket is ``path``."""

    def __init__(self, path: str) -> None:
        self._path = path

    def call(
        self, op: str, *, timeout: float = ANSWER_TIMEOUT, **arguments: object
    ) -> dict[str, Any]:
        """Return the result of ``op``, waiting ``timeout`` seconds for it.

        Raises ManagerUnreachableError when no manager answers, and what the manager
        answers with: UserError when the request was at fault, else ConductorError.
        """
        result: dict[str, Any]
        for result in self.stream(op, timeout=timeout, **arguments):
            return result
        raise ManagerUnreachableError(f"The manager at {self._path} closed without an answer")

    def stream(self, op: str, *, timeout: float | None, **arguments: object) -> Iterator[Any]:
        """Yield the results of ``op`` until the manager closes.

        ``timeout`` is for each of them, in seconds; None waits as long as a person
        wants to watch. Raises as ``call`` does.
        """
        request = {"op": op} | {k: v for k, v in arguments.items() if v is not None}
        with self._connect() as connection:
            try:
                connection.sendall(json.dumps(request).encode() + b"\n")
                for line in _lines(connection, timeout):
                    yield _result(line)
            except TimeoutError:
                raise ManagerUnreachableError(
                    f"The manager at {self._path} does not answer within {timeout:g}s"
                ) from None
            except OSError as error:
                raise ManagerUnreachableError(
                    f"The manager at {self._path} broke off: {error.strerror}"
                ) from None

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWER_TIMEOUT)
        try:
            connection.connect(self._path)
        except OSError as error:
            connection.close()
            raise ManagerUnreachableError(self._why_unreachable(error)) from None
        return connection

    def _why_unreachable(self, error: OSError) -> str:
        if isinstance(error, PermissionError):
            return f"The manager at {self._path} is not yours: ask as root or as its user"
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            return (
                f"No manager runs at {self._path}; start one with"
                " `conductor function serve DIRECTORY`, or name another with --run-dir"
            )
        return f"The manager at {self._path} cannot be reached: {error.strerror or error}"


def _lines(connection: socket.socket, timeout: float | None) -> Iterator[bytes]:
    """Yield each line that comes, all of it within ``timeout`` seconds of the one before."""
    buffer = bytearray()
    deadline = _deadline(timeout)
    while True:
        connection.settimeout(None if deadline is None else max(deadline - time.monotonic(), 1e-3))
        piece = connection.recv(_PIECE)
        if not piece:
            return
        buffer += piece
        if b"\n" in piece:
            *lines, rest = bytes(buffer).split(b"\n")
            yield from lines
            buffer = bytearray(rest)
            deadline = _deadline(timeout)
        if len(buffer) > MAX_LINE:
            raise ConductorError("The manager's answer is too long")


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _result(line: bytes) -> Any:
    try:
        answer = json.loads(line)
        if answer["ok"]:
            return answer["result"]
        message, status = str(answer["error"]), answer.get("exit_status")
    except (ValueError, TypeError, KeyError):
        raise ConductorError("What answers on the control socket is no manager") from None
    raise UserError(message) if status == UserError.exit_status else ConductorError(message)
