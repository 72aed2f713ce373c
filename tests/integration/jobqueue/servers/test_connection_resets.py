"""Connections that the network or the server resets, under both of the event loops that programs run on."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop
from redis.asyncio.connection import Connection

from jobqueue.servers.connection_pool import ServerPool, ServerUnreachable
from tests.waiting import until_async

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
NewLoop = Callable[[], asyncio.AbstractEventLoop]


def _connect(*, host: str, port: int) -> Connection:
    return Connection(host=host, port=port)


class Server:
    """Answers PING, and resets its connections when told."""

    def __init__(self) -> None:
        self.port = 0
        self.answering = True
        self.accepted = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.add(writer)
        try:
            while question := await reader.read(1000):
                # redis-py introduces itself first; whatever it says is fine.
                questions = question.count(b"*")
                if b"PING" not in question or self.answering:
                    writer.write(b"+PONG\r\n" * questions)
                else:
                    self.reset()
        except ConnectionError:
            pass

    def reset(self) -> None:
        """An RST to everybody."""
        for writer in self._open:
            wire = writer.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._open.clear()


@asynccontextmanager
async def _running() -> AsyncIterator[tuple[Server, ServerPool]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    node = ServerPool("127.0.0.1", server.port, _connect)
    async with listening:
        yield server, node
        await node.close()
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
        async with _running() as (server, node):
            assert await node.execute(("PING",)) == [b"PONG"]
            (idle,) = node._idle
            server.reset()

            async def noticed() -> bool:
                return idle._writer is not None and idle._writer.transport.is_closing()

            await until_async(noticed)
            assert await node.execute(("PING",)) == [b"PONG"]
            assert server.accepted == 2

    _run(new_loop, test)


@LOOPS
def test_a_reset_between_request_and_reply_leaves_the_outcome_unknown(new_loop: NewLoop) -> None:
    async def test() -> None:
        async with _running() as (server, node):
            assert await node.execute(("PING",)) == [b"PONG"]
            server.answering = False
            with pytest.raises(ServerUnreachable) as raised:
                await node.execute(("PING",))
            assert raised.value.sent
            server.answering = True
            assert await node.execute(("PING",)) == [b"PONG"]

    _run(new_loop, test)


@LOOPS
def test_a_connection_whose_handshake_fails_is_closed(new_loop: NewLoop) -> None:
    async def test() -> None:
        gone = asyncio.Event()

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                while await reader.read(1000):
                    pass
            writer.close()
            gone.set()

        def connect(*, host: str, port: int) -> Connection:
            return Connection(host=host, port=port, password="secret")

        async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
            node = ServerPool("127.0.0.1", server.sockets[0].getsockname()[1], connect)
            with pytest.raises(ServerUnreachable) as raised:
                await node.execute(("PING",))
            assert not raised.value.sent
            await gone.wait()

    _run(new_loop, test)
