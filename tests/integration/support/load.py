"""Clients that ask for the same thing again and again, and count what goes wrong."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Self

from tests.integration.support.http import Client, request
from tests.integration.support.waiting import wait_until


class Load:
    """Some connections, each with one request after the other, until the end of the block."""

    def __init__(
        self,
        connect: Callable[[], Client],
        *,
        clients: int = 4,
        target: str = "/",
        body: bytes | None = None,
        pauses: tuple[float, ...] = (),
    ) -> None:
        self.answers: list[str] = []  # the bodies
        self.failures: list[str] = []
        self._connect = connect
        self._request = request("GET" if body is None else "POST", target, body=body)
        self._pauses = pauses  # seconds before each request, in turn
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_answers(self, count: int) -> None:
        """Return when so many more answers came than now."""
        goal = len(self.answers) + count
        wait_until(lambda: len(self.answers) >= goal or self.failures, f"{count} answers", 60)

    def _run(self) -> None:
        pauses = itertools.cycle(self._pauses or (0.0,))
        while not self._stop.is_set():
            try:
                with self._connect() as client:
                    while not self._stop.is_set():
                        self._stop.wait(next(pauses))
                        self._ask(client)
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))

    def _ask(self, client: Client) -> None:
        answer = client.send(self._request).read()
        if answer.status == 200:
            self.answers.append(answer.text)
        else:
            self.failures.append(f"{answer.status} {answer.text}")
        assert answer.headers.get("connection") != "close", "the connection was given up"
