"""A client that closes its sending half is answered; what a client that is gone did not take goes to the next one."""

import asyncio
import socket
import struct

import pytest

from manager.http.uvicorn_protocol import SLICE_BYTES
from tests.unit.manager.http.http_server import Client, Server, chunked, put, served
from tests.waiting import until_async

POST_FEED = b"POST /feed HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
POST_LONG = POST_FEED.replace(b"/feed", b"/long")
WAITED_SECONDS = 0.2
_PACKET_BYTES = 256 * 1024
"""What asyncio receives at once, at most."""


async def half_closed(server: Server, data: bytes) -> Client:
    """Return a client that sends nothing after `data`."""
    client = await server.connect()
    client.send(data)
    client.writer.write_eof()
    return client


@pytest.mark.parametrize("request_", [put(b"body"), chunked(b"bo", b"dy"), put(b"body", "1.0")])
async def test_a_half_closed_client_is_answered(request_: bytes) -> None:
    async with served() as server:
        client = await half_closed(server, request_)
        assert await client.echo() == b"body"
        assert await client.rest() == b""


async def test_a_half_closed_client_gets_every_answer_of_its_pipeline() -> None:
    async with served() as server:
        client = await half_closed(server, put(b"one") + put(b"x" * 100_000) + put(b"cut off")[:-1])
        assert [await client.echo() for _ in range(2)] == [b"one", b"x" * 100_000]
        assert await client.rest() == b""


async def test_a_half_closed_client_hears_what_is_wrong() -> None:
    async with served() as server:
        client = await half_closed(server, b"nonsense\r\n\r\n")
        assert (await client.response())[0] == 400
        assert await client.rest() == b""


async def test_a_route_that_waits_answers_a_half_closed_client_at_once() -> None:
    async with served() as server:
        client = await half_closed(server, POST_LONG)
        assert (await client.response())[2] == b"nothing yet"


@pytest.mark.parametrize("size", [3, SLICE_BYTES // 2])
async def test_so_does_one_with_further_requests_behind_it(size: int) -> None:
    async with served() as server:
        client = await half_closed(server, POST_LONG + put(b"x" * size) + put(b"cut off")[:-1])
        assert (await client.response())[2] == b"nothing yet"
        assert await client.echo() == b"x" * size
        assert await client.rest() == b""


async def test_a_request_does_not_wait_if_more_is_behind_it_than_is_received() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(POST_LONG + POST_LONG + put(b"little"))
        await until_async(lambda: pipelined(server, 2))
        client.send(put(b"x" * 1000) * 20)
        for _ in range(2):
            assert (await client.response())[2] == b"nothing yet"
        assert await client.echo() == b"little"
        for _ in range(20):
            assert await client.echo() == b"x" * 1000


async def test_nor_does_one_that_has_come_in_one_packet_with_all_that_is_behind_it() -> None:
    """Its own body is long, so that nothing is received any more before it has been read."""
    async with served() as server:
        client = await server.connect()
        await until_async(lambda: accepted(server))
        (connection,) = server.connections
        body = bytes(SLICE_BYTES * 20)
        connection.data_received(POST_LONG.replace(b": 0", b": %d" % len(body)) + body + put(b"x" * 1000) * 20)
        assert (await client.response())[2] == b"nothing yet"
        for _ in range(20):
            assert await client.echo() == b"x" * 1000


@pytest.mark.parametrize("body_bytes", [0, SLICE_BYTES * 20])
@pytest.mark.parametrize("behind_bytes", [0, SLICE_BYTES // 2])
async def test_a_request_waits_whatever_its_own_size_and_with_little_behind_it(
    body_bytes: int, behind_bytes: int
) -> None:
    async with served() as server:
        client = await server.connect()
        client.send(POST_LONG.replace(b": 0", b": %d" % body_bytes) + bytes(body_bytes))
        await until_async(lambda: received_and_read(server))
        client.send(put(b"x" * behind_bytes))
        await until_async(lambda: pipelined(server, 1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.head(), WAITED_SECONDS)
        client.writer.write_eof()
        assert (await client.response())[2] == b"nothing yet"


async def test_a_request_that_begins_behind_another_waits_with_little_behind_it() -> None:
    async with served() as server:
        server.feed.entries = [b"entry"]
        client = await server.connect()
        client.send(POST_FEED + POST_LONG + put(b"little"))
        await until_async(lambda: pipelined(server, 2))
        server.feed.may_answer.set()
        assert (await client.response())[2] == b"entry"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.head(), WAITED_SECONDS)
        client.writer.write_eof()
        assert (await client.response())[2] == b"nothing yet"
        assert await client.echo() == b"little"


async def test_only_a_little_is_received_behind_a_request_that_waits() -> None:
    async with served() as server:
        server.feed.entries = [b"entry"]
        client = await server.connect()
        client.send(POST_FEED + put(b"x" * 1000) * 4000)
        await until_async(lambda: received_enough(server))
        server.feed.may_answer.set()
        assert (await client.response())[2] == b"entry"
        for _ in range(4000):
            assert await client.echo() == b"x" * 1000


@pytest.mark.parametrize("data", [put(b"body")[:-1], b"PUT /echo HT", b""])
async def test_half_a_request_is_not_waited_for(data: bytes) -> None:
    async with served() as server:
        client = await half_closed(server, data)
        assert await client.rest() == b""


async def test_a_half_closed_client_takes_its_entry() -> None:
    async with served() as server:
        server.feed.entries = [b"entry"]
        client = await half_closed(server, POST_FEED)
        server.feed.may_answer.set()
        assert (await client.response())[2] == b"entry"
        assert await client.rest() == b""
        assert server.feed.entries == []


@pytest.mark.parametrize("with_reset", [False, True])
@pytest.mark.parametrize("answers_before", [0, 1])
@pytest.mark.parametrize("behind", [b"", put(b"next")])
async def test_what_a_gone_client_did_not_take_goes_to_the_next(
    with_reset: bool, answers_before: int, behind: bytes
) -> None:
    async with served() as server:
        client = await server.connect()
        for _ in range(answers_before):
            client.send(put(b"before"))
            await client.echo()
        server.feed.entries = [b"entry"]
        client.send(POST_FEED + behind)
        await until_async(lambda: taken(server))
        if with_reset:
            descriptor: socket.socket = client.writer.get_extra_info("socket")
            descriptor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.close()
        await until_async(lambda: noticed(server))
        server.feed.may_answer.set()
        await until_async(lambda: given_back(server))
        next_client = await server.connect()
        next_client.send(POST_FEED)
        assert (await next_client.response())[2] == b"entry"


async def test_an_entry_that_was_partly_read_is_not_handed_out_again() -> None:
    async with served() as server:
        entry = bytes(32 << 20)
        server.feed.entries = [entry]
        client = await half_closed(server, POST_FEED)
        server.feed.may_answer.set()
        await client.reader.readexactly(100_000)
        client.writer.transport.abort()
        await until_async(lambda: closed(server))
        assert server.feed.entries == []


async def taken(server: Server) -> bool:
    return not server.feed.entries


async def pipelined(server: Server, count: int) -> bool:
    return [len(each._pipeline) for each in server.connections] == [count]


async def received_and_read(server: Server) -> bool:
    (connection,) = server.connections
    current = connection._current
    return current is not None and current.received and not current._has_news and not connection._is_read_paused


async def received_enough(server: Server) -> bool:
    for connection in server.connections:
        assert len(connection._unread) <= SLICE_BYTES + _PACKET_BYTES
    return any(len(connection._unread) > SLICE_BYTES for connection in server.connections)


async def given_back(server: Server) -> bool:
    return server.feed.entries == [b"entry"]


async def noticed(server: Server) -> bool:
    return all(each._is_half_closed for each in server.connections)


async def closed(server: Server) -> bool:
    return not server.connections


async def accepted(server: Server) -> bool:
    return bool(server.connections)
