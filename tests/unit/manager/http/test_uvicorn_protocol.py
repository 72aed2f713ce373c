"""How a connection behaves around the short answers of hot routes."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from weakref import ref

import pytest
import uvicorn
from uvicorn.server import ServerState

from manager.http.asgi import Receive, Scope, Send, read_body
from manager.http.authentication import ApiKeyAuth
from manager.http.gateway import Gateway
from manager.http.uvicorn_protocol import MAX_CACHED_TARGET_BYTES, ManagerHttpProtocol
from manager.metrics import Metrics
from tests.waiting import until_async

ANSWERED = b"HTTP/1.1 200 OK\r\ncontent-type: text/echo\r\ncontent-length: %d\r\n\r\n%b"


class Echo:
    """Answers with the body."""

    media_type = b"text/echo"

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        return await read_body(scope, receive, 1 << 24)


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("no other route is asked")


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def served(
    keep_alive_seconds: int = 60,
) -> AsyncIterator[tuple[Callable[[], Awaitable[Streams]], ServerState]]:
    """Connects to a server, whose state stands beside."""
    front = Gateway({("PUT", "/echo"): Echo()}, nothing, ApiKeyAuth(()), Metrics(), None)
    config = uvicorn.Config(front, lifespan="off", ws="none", log_config=None, timeout_keep_alive=keep_alive_seconds)
    config.load()
    state = ServerState()
    writers = []
    server = await asyncio.get_running_loop().create_server(
        lambda: ManagerHttpProtocol(config, state, {}), "127.0.0.1", 0
    )

    async def connect() -> Streams:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writers.append(writer)
        return reader, writer

    try:
        async with asyncio.timeout(60):
            yield connect, state
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        await until_async(partial(none, state.connections))


async def none(things: Collection[object]) -> bool:
    return not things


def put(body: bytes, version: str = "1.1", *headers: str) -> bytes:
    head = "\r\n".join([f"PUT /echo HTTP/{version}", f"content-length: {len(body)}", *headers, "", ""])
    return head.encode() + body


async def test_one_connection_carries_many_requests() -> None:
    async with served() as (connect, state):
        reader, writer = await connect()
        for body in (b"", b"one", b"x" * 300_000):
            writer.write(put(body))
            expected = ANSWERED % (len(body), body)
            assert await reader.readexactly(len(expected)) == expected
        assert state.total_requests == 3


async def test_requests_that_come_together_are_answered_in_their_order() -> None:
    async with served() as (connect, _):
        reader, writer = await connect()
        writer.write(put(b"one") + put(b"two") + put(b"three"))
        expected = b"".join(ANSWERED % (len(body), body) for body in (b"one", b"two", b"three"))
        assert await reader.readexactly(len(expected)) == expected


@pytest.mark.parametrize(
    "target", ["/echo?a=1", "/ec%68o", f"/echo?a={'x' * 2 * MAX_CACHED_TARGET_BYTES}", "http://h/echo"]
)
async def test_a_target_is_read_alike_the_first_time_and_again(target: str) -> None:
    async with served() as (connect, _):
        reader, writer = await connect()
        for body in (b"one", b"two"):
            writer.write(put(body).replace(b"/echo", target.encode(), 1))
            expected = ANSWERED % (3, body)
            assert await reader.readexactly(len(expected)) == expected


@pytest.mark.parametrize("target", [b"/echo\xff", b"nothing"])
async def test_what_is_no_target_is_refused_and_ends_the_connection(target: bytes) -> None:
    async with served() as (connect, _):
        reader, writer = await connect()
        writer.write(put(b"one").replace(b"/echo", target, 1))
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


async def test_an_offer_of_another_protocol_is_passed_over() -> None:
    async with served() as (connect, _):
        reader, writer = await connect()
        writer.write(put(b"", "1.1", "connection: upgrade", "upgrade: h2c"))
        expected = ANSWERED % (0, b"")
        assert await reader.readexactly(len(expected)) == expected


async def test_the_connection_ends_where_the_client_wants_it() -> None:
    async with served() as (connect, _):
        for message in (put(b"one", "1.1", "connection: close"), put(b"one", "1.0")):
            reader, writer = await connect()
            writer.write(message)
            answer = await reader.read()
            assert b"\r\nconnection: close\r\n" in answer
            assert answer.endswith(b"\r\n\r\none")


async def test_a_client_is_told_to_send_its_body() -> None:
    async with served() as (connect, _):
        reader, writer = await connect()
        head, body = put(b"one", "1.1", "expect: 100-continue")[:-3], b"one"
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        expected = ANSWERED % (3, body)
        assert await reader.readexactly(len(expected)) == expected


async def test_a_client_that_does_not_read_gets_all_of_it_in_the_end() -> None:
    async with served() as (connect, _):
        reader, writer = await connect()
        body = bytes(8 << 20)
        writer.write(put(body) + put(b"two"))
        expected = ANSWERED % (len(body), body) + ANSWERED % (3, b"two")
        assert await reader.readexactly(len(expected)) == expected


async def test_an_idle_connection_is_closed_and_one_in_use_is_not() -> None:
    async with served(keep_alive_seconds=3) as (connect, _):
        loop = asyncio.get_running_loop()
        reader, writer = await connect()
        began = last = loop.time()
        expected = ANSWERED % (3, b"one")
        while loop.time() - began < 4:
            writer.write(put(b"one"))
            assert await reader.readexactly(len(expected)) == expected
            last = loop.time()
            await asyncio.sleep(0.1)
        assert await reader.read() == b""
        assert loop.time() - last > 2.9


async def test_a_request_that_takes_longer_than_idle_connections_live_is_answered() -> None:
    async with served(keep_alive_seconds=1) as (connect, _):
        reader, writer = await connect()
        expected = ANSWERED % (3, b"one")
        writer.write(put(b"one"))
        assert await reader.readexactly(len(expected)) == expected
        writer.write(put(b"one")[:-1])
        await asyncio.sleep(1.2)
        writer.write(b"e")
        assert await reader.readexactly(len(expected)) == expected


async def test_a_connection_that_is_gone_leaves_no_timer() -> None:
    async with served() as (connect, state):
        reader, writer = await connect()
        writer.write(put(b"one"))
        await reader.readuntil(b"one")
        (connection,) = state.connections
        assert isinstance(connection, ManagerHttpProtocol)
        timer = connection._idle_timer
        assert timer is not None
        writer.close()
        await until_async(partial(none, state.connections))
        assert timer.cancelled()


async def test_a_request_that_is_answered_waits_for_no_garbage_collection() -> None:
    async with served() as (connect, state):
        reader, writer = await connect()
        requests = []
        gc.disable()
        try:
            for _ in range(2):
                writer.write(put(b"one"))
                await reader.readuntil(b"one")
                requests += [ref(connection.cycle) for connection in state.connections]
            assert len(requests) == 2
            assert requests[0]() is None
        finally:
            gc.enable()
