"""Exchanges that have ended, for what counts and logs them."""

from __future__ import annotations

import asyncio

from conductor.fastfn.exchange import Exchange
from conductor.fastfn.gateway import Connection, Gateway
from conductor.http1.heads import parse_request_head


def _connection() -> Connection:
    loop = asyncio.new_event_loop()
    loop.close()  # nothing happens on it any more
    return Connection(Gateway(lambda _exchange: None, loop, proxied=False))


def ended_exchange(
    target: str = "/",
    *,
    method: str = "GET",
    status: int = 200,
    sent: int = 0,
    queue: float = 0.0,
    worker: float = 0.0,
    error: str = "",
) -> Exchange:
    """Return the exchange of a request that waited ``queue`` and was answered in ``worker`` s."""
    head = parse_request_head(f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert head is not None
    exchange = Exchange(_connection(), head)
    exchange.claimed = exchange.arrived + queue
    exchange.ended = exchange.claimed + worker
    exchange.status = status
    exchange.sent = sent
    exchange.error = error
    return exchange
