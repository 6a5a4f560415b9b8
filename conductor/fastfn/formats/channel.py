"""What channels of every format have in common, and what they expect of their owner."""

from __future__ import annotations

import asyncio
import os
from typing import Protocol

from conductor.fastfn.exchange import Exchange

EXIT_WAIT = 0.1  # seconds that an answer without a length waits to hear how its worker ended


class ChannelOwner(Protocol):
    """The deployment, as its channels see it."""

    loop: asyncio.AbstractEventLoop

    def channel_done(self, channel: Channel, *, reusable: bool) -> None:
        """Take the worker back: its exchange has ended."""

    def channel_broken(self, channel: Channel, *, unread: Exchange | None = None) -> None:
        """Take note that the worker is of no use; ``unread`` never reached it."""

    def channel_redirected(self, channel: Channel, exchange: Exchange) -> None:
        """Give ``exchange``, which its program has redirected, to another worker."""

    def take_farewell(self, worker: int) -> int | None:
        """Return the exit status that a worker said before it closed its output."""

    def explain_death(self, worker: int) -> str:
        """Return a sentence on how a worker ended, with its last line of standard error."""


class Channel:
    """The manager's end of one worker."""

    def __init__(self, owner: ChannelOwner, worker: int) -> None:
        self.owner = owner
        self.worker = worker
        self.exchange: Exchange | None = None
        self.exit_status: int | None = None  # waitpid(2)'s, once it is known
        self._exit_timer: asyncio.TimerHandle | None = None

    def start(self, exchange: Exchange, *, last: bool) -> None:
        """Give the worker a request; ``last`` says that it will be recycled after it."""
        raise NotImplementedError

    def send_body(self, data: bytes) -> None:
        """Take a part of the request's body; ``b""`` says that it is complete."""
        raise NotImplementedError

    def pause(self) -> None:
        """Stop reading the answer: the client is slower."""
        raise NotImplementedError

    def resume(self) -> None:
        """Go on reading the answer."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the descriptors: the worker sees the end of its input."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Break off whatever is under way: the worker is to be killed."""
        self.exchange = None
        self.owner.channel_broken(self)

    def exited(self, status: int) -> None:
        """Hear that the worker was reaped; what it wrote may still be there to be read."""
        self.exit_status = status
        if self.exchange is not None:
            self.drain_after_exit()

    def drain_after_exit(self) -> None:
        """Read what is left, and end the exchange that is under way."""
        raise NotImplementedError

    # An answer whose end only its worker's end tells.

    def await_exit(self) -> None:
        """Hear how the worker ended before the answer is called complete, but do not wait long.

        A worker that was killed half-way closes its output just as one that is done.
        """
        if self.exit_status is None:
            self._exit_timer = self.owner.loop.call_later(EXIT_WAIT, self.conclude)
        else:
            self.conclude()

    def conclude(self) -> None:
        """End the answer that the end of the output has ended."""
        self.stop_waiting()
        exchange = self.exchange
        if exchange is None:
            return
        if self.was_killed():
            self.fail(502, self.owner.explain_death(self.worker))
            return
        self.exchange = None
        exchange.end()
        self.owner.channel_done(self, reusable=False)

    def was_killed(self) -> bool:
        """Whether a signal is known to have ended the worker."""
        return self.exit_status is not None and os.WIFSIGNALED(self.exit_status)

    def stop_waiting(self) -> None:
        """Forget the timer that waits for the exit."""
        if self._exit_timer is not None:
            self._exit_timer.cancel()
            self._exit_timer = None

    def fail(self, status: int, message: str) -> None:
        """End the exchange with an error and have the worker killed."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.fail(status, message)
        self.owner.channel_broken(self)
