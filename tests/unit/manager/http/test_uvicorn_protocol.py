"""Behaviour of a connection with the one-write responses of fast routes."""

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

TEST_TIMEOUT_SECONDS = 60


class Echo:
    """A fast route that answers with the request's body."""

    media_type = b"text/echo"

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        return await read_body(scope, receive, 1 << 24)


async def no_other_route(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("only the fast route must be called")


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def served(
    keep_alive_seconds: int = TEST_TIMEOUT_SECONDS,
) -> AsyncIterator[tuple[Callable[[], Awaitable[Streams]], ServerState]]:
    """Yield a function that connects to a server, and the server's state."""
    gateway = Gateway({("PUT", "/echo"): Echo()}, no_other_route, ApiKeyAuth(()), Metrics(), None)
    config = uvicorn.Config(gateway, lifespan="off", ws="none", log_config=None, timeout_keep_alive=keep_alive_seconds)
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
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            yield connect, state
    finally:
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        await until_async(partial(is_empty, state.connections))


async def is_empty(things: Collection[object]) -> bool:
    return not things


def response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/echo\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def put(body: bytes, version: str = "1.1", *headers: str) -> bytes:
    head = "\r\n".join([f"PUT /echo HTTP/{version}", f"content-length: {len(body)}", *headers, "", ""])
    return head.encode() + body


async def test_one_connection_carries_many_requests() -> None:
    async with served() as (connect, state):
        reader, writer = await connect()
        for body in (b"", b"one", b"x" * 300_000):
            writer.write(put(body))
            expected = response(body)
            assert await reader.readexactly(len(expected)) == expected
        assert state.total_requests == 3


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with served() as (connect, _):
        reader, writer = await connect()
        writer.write(put(b"one") + put(b"two") + put(b"three"))
        expected = b"".join(response(body) for body in (b"one", b"two", b"three"))
        assert await reader.readexactly(len(expected)) == expected


@pytest.mark.parametrize(
    "target", ["/echo?a=1", "/ec%68o", f"/echo?a={'x' * 2 * MAX_CACHED_TARGET_BYTES}", "http://h/echo"]
)
async def test_a_target_is_parsed_alike_with_and_without_the_cache(target: str) -> None:
    async with served() as (connect, _):
        reader, writer = await connect()
        for body in (b"one", b"two"):
            writer.write(put(body).replace(b"/echo", target.encode(), 1))
            expected = response(body)
            assert await reader.readexactly(len(expected)) == expected


@pytest.mark.parametrize("target", [b"/echo\xff", b"nothing"])
async def test_an_invalid_target_is_rejected_and_closes_the_connection(target: bytes) -> None:
    async with served() as (connect, _):
        reader, writer = await connect()
        writer.write(put(b"one").replace(b"/echo", target, 1))
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


async def test_an_upgrade_request_is_answered_without_upgrade() -> None:
    async with served() as (connect, _):
        reader, writer = await connect()
        writer.write(put(b"", "1.1", "connection: upgrade", "upgrade: h2c"))
        expected = response(b"")
        assert await reader.readexactly(len(expected)) == expected


async def test_the_connection_closes_if_the_client_asks_for_it() -> None:
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
        expected = response(body)
        assert await reader.readexactly(len(expected)) == expected


async def test_a_slow_reader_gets_the_whole_response() -> None:
    async with served() as (connect, _):
        reader, writer = await connect()
        body = bytes(8 << 20)
        writer.write(put(body) + put(b"two"))
        expected = response(body) + response(b"two")
        assert await reader.readexactly(len(expected)) == expected


async def test_only_an_idle_connection_is_closed() -> None:
    keep_alive_seconds = 3
    async with served(keep_alive_seconds) as (connect, _):
        loop = asyncio.get_running_loop()
        reader, writer = await connect()
        began = last = loop.time()
        expected = response(b"one")
        while loop.time() - began < keep_alive_seconds + 1:
            writer.write(put(b"one"))
            assert await reader.readexactly(len(expected)) == expected
            last = loop.time()
            await asyncio.sleep(0.1)
        assert await reader.read() == b""
        assert loop.time() - last > keep_alive_seconds - 0.1


async def test_a_request_can_take_longer_than_the_keep_alive_timeout() -> None:
    keep_alive_seconds = 1
    async with served(keep_alive_seconds) as (connect, _):
        reader, writer = await connect()
        expected = response(b"one")
        writer.write(put(b"one"))
        assert await reader.readexactly(len(expected)) == expected
        writer.write(put(b"one")[:-1])
        await asyncio.sleep(keep_alive_seconds + 0.2)
        writer.write(b"e")
        assert await reader.readexactly(len(expected)) == expected


async def test_a_closed_connection_leaves_no_timer() -> None:
    async with served() as (connect, state):
        reader, writer = await connect()
        writer.write(put(b"one"))
        await reader.readuntil(b"one")
        (connection,) = state.connections
        assert isinstance(connection, ManagerHttpProtocol)
        timer = connection._idle_timer
        assert timer is not None
        writer.close()
        await until_async(partial(is_empty, state.connections))
        assert timer.cancelled()


async def test_an_answered_request_is_freed_without_garbage_collection() -> None:
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
