"""Clients that do not come to the end of what they say."""

from __future__ import annotations

import threading
import time
from typing import Self

from tests.integration.support.http import Answer, Client
from tests.integration.support.manager import ManagerProcess

_HEAD = b"GET /hello HTTP/1.1\r\nHost: example.test\r\nX-Endless: "
_PATIENCE = 60.0  # seconds


class SlowHead:
    """A client that begins a head, and then says nothing or a byte a second."""

    def __init__(self, client: Client, *, trickles: bool) -> None:
        self._client = client
        self._trickles = trickles
        self._begin = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answer = Answer()
        self.age = 0.0  # seconds from the first byte to the answer
        self.closed = False  # whether the connection was closed after it
        client.send(_HEAD)
        self._thread.start()

    def wait_answered(self) -> None:
        """Return when the answer is there."""
        self._thread.join(_PATIENCE)

    def close(self) -> None:
        """Leave."""
        self._client.end_writing()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        try:
            self._client.socket.settimeout(1.0 if self._trickles else _PATIENCE)
            while not self._is_answered():
                self._client.send(b"x")
            self.age = time.monotonic() - self._begin
            self.answer = self._client.read()
            self.closed = self._client.is_closed()
        except (OSError, AssertionError):
            return  # The tests have ended before the answer.

    def _is_answered(self) -> bool:
        try:
            return self._client.peek()
        except TimeoutError:
            return False


class SlowHeads:
    """Three connections: one stops in its head, one sends a byte a second, one waits."""

    def __init__(self) -> None:
        self._manager = ManagerProcess()
        self._begin = time.monotonic()

    def __enter__(self) -> Self:
        self._manager.__enter__()
        function_id = self._manager.add_http("slow", limits={"requests": 0})
        self.waiting = self._manager.connect(function_id)
        assert self.waiting.get("/hello").status == 200
        self.silent = SlowHead(self._manager.connect(function_id), trickles=False)
        self.trickling = SlowHead(self._manager.connect(function_id), trickles=True)
        return self

    def __exit__(self, *_: object) -> None:
        for client in (self.silent, self.trickling, self.waiting):
            client.close()
        self._manager.__exit__()
