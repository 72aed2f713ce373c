"""Nobody holds a connection by sending little, nothing, or without reading; whoever makes progress has all the time."""

import asyncio
import time

import pytest

from manager.http.deadlines import Deadlines
from tests.unit.manager.http.http_server import Client, Server, chunked, put, served
from tests.waiting import until_async

SHORT = 0.3
"""Tests with many steps in it take them faster."""
LONG = 60.0
NONE = Deadlines(LONG, LONG, LONG, 1, LONG, LONG, LONG)


def only(**seconds: float) -> Deadlines:
    """Return deadlines of which only these are short."""
    return Deadlines(**{name: getattr(NONE, name) for name in Deadlines.__slots__} | seconds)  # type: ignore[arg-type]


async def test_a_connection_that_sends_nothing_is_closed() -> None:
    async with served(deadlines=only(head_seconds=SHORT)) as server:
        client = await server.connect()
        began = time.monotonic()
        assert await client.rest() == b""
        assert SHORT * 0.9 < time.monotonic() - began < LONG / 2


@pytest.mark.parametrize("requests_before", [0, 1])
async def test_half_a_head_is_answered_in_time(requests_before: int) -> None:
    async with served(deadlines=only(head_seconds=SHORT)) as server:
        client = await server.connect()
        for _ in range(requests_before):
            client.send(put(b"x"))
            await client.echo()
        client.send(b"PUT /echo HTTP/1.1\r\nA: ")
        dripping = asyncio.create_task(_drip(client, b"x"))
        status, fields, _ = await client.response()
        dripping.cancel()
        assert (status, fields["connection"]) == (408, "close")


@pytest.mark.parametrize("message", [put(b"x" * 100), chunked(b"x" * 100)])
async def test_a_body_that_drips_is_refused_in_time(message: bytes) -> None:
    async with served(deadlines=only(body_seconds=SHORT, body_bytes=1000, head_seconds=SHORT)) as server:
        client = await server.connect()
        client.send(message[:-60])
        dripping = asyncio.create_task(_drip(client, b""))
        status, fields, body = await client.response()
        dripping.cancel()
        assert (status, fields["connection"]) == (408, "close"), body


async def test_a_slow_body_that_makes_progress_is_accepted() -> None:
    async with served(deadlines=only(body_seconds=SHORT, body_bytes=100, head_seconds=SHORT)) as server:
        client = await server.connect()
        body = b"x" * 40_000
        client.send(put(body)[: -len(body)])
        for position in range(0, len(body), 1000):
            client.send(body[position : position + 1000])
            await asyncio.sleep(SHORT / 10)
        assert await client.echo() == body


async def test_a_route_may_take_longer_than_any_deadline() -> None:
    short = Deadlines(SHORT, SHORT, SHORT, 1000, SHORT, SHORT, SHORT)
    async with served(deadlines=short) as server:
        server.feed.entries = [b"entry"]
        client = await server.connect()
        client.send(b"POST /feed HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        await asyncio.sleep(SHORT * 4)
        server.feed.may_answer.set()
        assert (await client.response())[2] == b"entry"


async def test_only_an_idle_connection_is_closed() -> None:
    async with served(deadlines=only(idle_seconds=SHORT, head_seconds=SHORT, body_seconds=SHORT)) as server:
        client = await server.connect()
        began = time.monotonic()
        while time.monotonic() - began < SHORT * 3:
            client.send(put(b"one"))
            assert await client.echo() == b"one"
            await asyncio.sleep(SHORT / 10)
        last = time.monotonic()
        assert await client.rest() == b""
        assert time.monotonic() - last > SHORT * 0.7


async def test_a_response_that_nobody_reads_is_given_up() -> None:
    async with served(deadlines=only(head_seconds=SHORT, body_seconds=SHORT, unsent_seconds=SHORT)) as server:
        client = await server.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads as well
        client.send(put(bytes(16 << 20)))
        await until_async(lambda: _has_closed(server))


async def test_after_a_refusal_a_silent_client_is_cut_off_soon() -> None:
    async with served(deadlines=only(silence_seconds=SHORT)) as server:
        client = await server.connect()
        client.send(b"nonsense\r\n\r\n")
        assert (await client.response())[0] == 400
        await until_async(lambda: _has_closed(server))


async def test_after_a_refusal_a_client_that_sends_on_is_cut_off_too() -> None:
    async with served(deadlines=only(silence_seconds=SHORT / 2, farewell_seconds=SHORT)) as server:
        client = await server.connect()
        client.send(b"nonsense\r\n\r\n")
        assert (await client.response())[0] == 400
        dripping = asyncio.create_task(_drip(client, b"x"))
        await until_async(lambda: _has_closed(server))
        dripping.cancel()


async def test_after_a_refusal_only_so_much_is_read() -> None:
    async with served(deadlines=only(farewell_bytes=1_000_000)) as server:
        client = await server.connect()
        client.send(b"nonsense\r\n\r\n" + bytes(3_000_000))
        await until_async(lambda: _has_closed(server))


async def _drip(client: Client, piece: bytes) -> None:
    while True:
        client.send(piece or b"x")
        await asyncio.sleep(SHORT / 20)


async def _has_closed(server: Server) -> bool:
    return not server.connections
