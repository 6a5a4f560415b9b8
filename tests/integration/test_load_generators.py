"""The generators against a real server on loopback that answers as it is told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import uvloop

from tests.load.client import Address, Exchange, Failure
from tests.load.generators import ClosedLoop, OpenLoop, Sample
from tests.load.stage import free_port
from tests.load.timetable import Timetable

BODY = b"hello"
RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
MILLISECOND = 1_000_000

Answering = Callable[[int], Awaitable[bytes | None]]  # a request's number; None closes


@contextlib.asynccontextmanager
async def serving(answering: Answering) -> AsyncIterator[tuple[Address, Exchange]]:
    number = 0

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                number += 1
                answer = await answering(number)
                if answer is None:
                    break
                writer.write(answer)
        writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    async with server:
        address = Address(*server.sockets[0].getsockname())
        yield address, Exchange.get(address, "/", BODY)


async def right(_: int) -> bytes:
    return RIGHT


def answers(data: bytes | None) -> Answering:
    async def always(_: int) -> bytes | None:
        return data

    return always


def run(coroutine: Coroutine[Any, Any, Sample]) -> Sample:
    return uvloop.run(coroutine)


def closed(answering: Answering, *, seconds: float = 0.2, timeout: float = 5.0) -> Sample:
    async def go() -> Sample:
        async with serving(answering) as (address, exchange):
            return await ClosedLoop(
                address, exchange, connections=2, seconds=seconds, timeout=timeout
            ).run()

    return run(go())


def opened(
    answering: Answering, table: Timetable, *, connections: int = 64, timeout: float = 5.0
) -> Sample:
    async def go() -> Sample:
        async with serving(answering) as (address, exchange):
            return await OpenLoop(
                address,
                exchange,
                timetable=table,
                connections=connections,
                timeout=timeout,
            ).run()

    return run(go())


def test_a_closed_loop_keeps_asking_on_the_same_connections() -> None:
    sample = closed(right)
    assert len(sample.latencies) > 2  # More than one for each of its connections.
    assert not sample.failures
    assert sample.seconds >= 0.2
    assert sample.throughput > 0


def test_an_open_loop_sends_what_was_planned_and_no_more() -> None:
    sample = opened(right, Timetable(rate=100, seconds=0.3))
    assert len(sample.latencies) == len(sample.lags) == 30
    assert not sample.failures


def test_a_stall_of_the_server_is_in_the_latency_of_every_request_planned_meanwhile() -> None:
    async def stalls_once(number: int) -> bytes:
        if number == 1:
            await asyncio.sleep(0.3)
        return RIGHT

    sample = opened(stalls_once, Timetable(rate=50, seconds=0.3), connections=1)
    latencies = sorted(sample.latencies, reverse=True)
    assert len(latencies) == 15
    assert latencies[0] > 290 * MILLISECOND  # The one that stalled.
    assert latencies[7] > 140 * MILLISECOND  # Planned half-way: it waited for the connection.


def test_an_open_loop_opens_connections_when_none_is_free() -> None:
    all_there = asyncio.Event()

    async def answer_five_at_once(number: int) -> bytes | None:
        if number == 5:
            all_there.set()
        await asyncio.wait_for(all_there.wait(), 5)
        return RIGHT

    sample = opened(answer_five_at_once, Timetable(rate=50, seconds=0.2))
    assert len(sample.latencies) == 10
    assert not sample.failures


def test_another_status_is_a_failure_by_its_kind() -> None:
    sample = opened(answers(RIGHT.replace(b"200", b"502")), Timetable(rate=50, seconds=0.1))
    assert sample.failures == {Failure.STATUS: 5}
    assert not sample.latencies


def test_a_wrong_body_is_a_failure_by_its_kind() -> None:
    sample = opened(answers(RIGHT.replace(b"hello", b"HELLO")), Timetable(rate=50, seconds=0.1))
    assert sample.failures == {Failure.BODY: 5}


def test_an_answer_that_is_none_is_a_failure_by_its_kind() -> None:
    sample = opened(answers(b"HTTP/1.1 nonsense\r\n\r\n"), Timetable(rate=50, seconds=0.1))
    assert sample.failures == {Failure.MALFORMED: 5}


def test_a_connection_closed_in_place_of_an_answer_is_a_failure_by_its_kind() -> None:
    sample = opened(answers(None), Timetable(rate=50, seconds=0.1))
    assert sample.failures == {Failure.CLOSED: 5}


def test_a_request_without_an_answer_ends_at_its_timeout() -> None:
    async def never(_: int) -> bytes:
        await asyncio.sleep(60)
        return RIGHT

    for sample in (
        opened(never, Timetable(rate=50, seconds=0.1), connections=2, timeout=0.3),
        closed(never, seconds=0.1, timeout=0.3),
    ):
        assert set(sample.failures) == {Failure.TIMEOUT}
        assert not sample.latencies


def test_a_closed_loop_goes_on_after_a_lost_connection() -> None:
    async def loses_one(number: int) -> bytes | None:
        return None if number == 5 else RIGHT

    sample = closed(loses_one)
    assert sample.failures == {Failure.CLOSED: 1}
    assert len(sample.latencies) > 50


def test_an_answer_that_announces_the_end_of_its_connection_is_right() -> None:
    goodbye = RIGHT.replace(b"Content", b"Connection: close\r\nContent")
    sample = opened(answers(goodbye), Timetable(rate=50, seconds=0.2))
    assert len(sample.latencies) == 10
    assert not sample.failures


def test_nobody_listening_is_a_failure_of_each_request_and_ends_in_time() -> None:
    async def go(*, open_loop: bool) -> Sample:
        address = Address("127.0.0.1", free_port())
        exchange = Exchange.get(address, "/", BODY)
        if open_loop:
            table = Timetable(rate=50, seconds=0.1)
            return await OpenLoop(address, exchange, timetable=table, connections=8).run()
        return await ClosedLoop(address, exchange, connections=2, seconds=0.2).run()

    assert run(go(open_loop=True)).failures == {Failure.CONNECT: 5}
    sample = run(go(open_loop=False))
    assert set(sample.failures) == {Failure.CONNECT}
    assert sample.failures[Failure.CONNECT] < 30  # It does not flood.


def test_an_answer_in_pieces_is_one_answer() -> None:
    async def go() -> Sample:
        async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError):
                while await reader.readuntil(b"\r\n\r\n"):
                    for byte in RIGHT:
                        writer.write(bytes([byte]))
                        await asyncio.sleep(0)
            writer.close()

        server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
        async with server:
            address = Address(*server.sockets[0].getsockname())
            exchange = Exchange.get(address, "/", BODY)
            return await ClosedLoop(address, exchange, connections=1, seconds=0.1).run()

    sample = run(go())
    assert sample.latencies
    assert not sample.failures
