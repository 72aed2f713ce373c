"""A subscription to channels of one server, on a connection of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobqueue.servers.connection import describe, drop
from jobqueue.servers.connection_pool import ServerPool
from jobqueue.servers.unreachable import ServerUnreachable

PING_SECONDS = 5.0
"""A server that has sent nothing for so long is asked for a sign of life, which it must give within the same time."""

Message = tuple[bytes, bytes]
"""Channel and content."""


@asynccontextmanager
async def subscription(server: ServerPool, pattern: str) -> AsyncIterator[AsyncIterator[Message]]:
    """Subscribe to the channels that match a glob-style pattern; yield the messages to them.

    Redis sends a message to those who are subscribed at the moment, and keeps none.

    Raises:
        ServerUnreachable: the server does not reply, at first or any more.
        RedisError: the server refuses.
    """
    async with server.pinned_connection() as pinned:
        (reply,) = await pinned.execute(("PSUBSCRIBE", pattern))
        if isinstance(reply, RedisError):
            raise reply
        pinned.is_reusable = False
        connection = pinned.connection
        writer = connection._writer
        try:
            yield _messages(connection)
        except (RedisConnectionError, RedisTimeoutError, InvalidResponse, OSError) as error:
            raise ServerUnreachable(f"Redis at {server.address}: {describe(error)}", sent=True) from error
        finally:
            await drop(connection, writer)


async def _messages(connection: Connection) -> AsyncIterator[Message]:
    asked = False
    while True:
        reply = await connection.read_response(timeout=PING_SECONDS, disconnect_on_error=False)
        if reply is None and asked:
            raise RedisTimeoutError("no reply in time")
        asked = reply is None
        if asked:
            await connection.send_command("PING", check_health=False)
        elif reply[0] == b"pmessage":
            yield reply[2], reply[3]
