"""Connections that the network or the server resets, under both event loops that the programs use."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop
from redis.asyncio.connection import Connection

from jobqueue.servers.connection_pool import ServerPool
from jobqueue.servers.unreachable import ServerUnreachable
from tests.waiting import until_async

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
NewLoop = Callable[[], asyncio.AbstractEventLoop]


def _connect(*, host: str, port: int) -> Connection:
    return Connection(host=host, port=port)


class Server:
    """A server that replies to PING or, if `replying` is False, resets the connection instead."""

    def __init__(self) -> None:
        self.port = 0
        self.replying = True
        self.accepted = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.add(writer)
        try:
            while data := await reader.read(1000):
                # redis-py sends its handshake first, and accepts any reply to it.
                commands = data.count(b"*")
                if b"PING" not in data or self.replying:
                    writer.write(b"+PONG\r\n" * commands)
                else:
                    self.reset()
        except ConnectionError:
            pass

    def reset(self) -> None:
        """Send an RST to every client."""
        for writer in self._open:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._open.clear()


@asynccontextmanager
async def _running() -> AsyncIterator[tuple[Server, ServerPool]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    pool = ServerPool("127.0.0.1", server.port, _connect)
    async with listening:
        yield server, pool
        await pool.close()
        server.reset()


def _run(new_loop: NewLoop, test: Callable[[], Awaitable[None]]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(60):
            await test()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(in_time())


@LOOPS
def test_a_connection_reset_while_idle_is_replaced(new_loop: NewLoop) -> None:
    async def test() -> None:
        async with _running() as (server, pool):
            assert await pool.execute(("PING",)) == [b"PONG"]
            (idle,) = pool._idle
            server.reset()

            async def is_noticed() -> bool:
                return idle._writer is not None and idle._writer.transport.is_closing()

            await until_async(is_noticed)
            assert await pool.execute(("PING",)) == [b"PONG"]
            assert server.accepted == 2

    _run(new_loop, test)


@LOOPS
def test_a_reset_between_request_and_reply_leaves_the_outcome_unknown(new_loop: NewLoop) -> None:
    async def test() -> None:
        async with _running() as (server, pool):
            assert await pool.execute(("PING",)) == [b"PONG"]
            server.replying = False
            with pytest.raises(ServerUnreachable) as raised:
                await pool.execute(("PING",))
            assert raised.value.sent
            server.replying = True
            assert await pool.execute(("PING",)) == [b"PONG"]

    _run(new_loop, test)


@LOOPS
def test_a_connection_whose_handshake_fails_is_closed(new_loop: NewLoop) -> None:
    async def test() -> None:
        disconnected = asyncio.Event()

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                while await reader.read(1000):
                    pass
            writer.close()
            disconnected.set()

        def connect(*, host: str, port: int) -> Connection:
            return Connection(host=host, port=port, password="secret")

        async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
            pool = ServerPool("127.0.0.1", server.sockets[0].getsockname()[1], connect)
            with pytest.raises(ServerUnreachable) as raised:
                await pool.execute(("PING",))
            assert not raised.value.sent
            await disconnected.wait()

    _run(new_loop, test)
