"""One connection of redis-py: logged in, read, and closed in ways that redis-py's own methods leave open."""

import asyncio
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection
from redis.exceptions import InvalidResponse, ResponseError


async def shake_hands(connection: AbstractConnection) -> None:
    """Log in and so on, as redis-py does. If that fails, it forgets the writer and leaves a TLS socket to linger."""
    writer = connection._writer
    try:
        await connection.on_connect_check_health()
    except BaseException:
        if writer is not None:
            writer.transport.abort()
        raise


async def read_reply(connection: Connection) -> Any:
    """Return a reply; one that is an error, as the error."""
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


async def drop(connection: Connection, writer: asyncio.StreamWriter | None) -> None:
    """Close a connection at once. `writer` was its own: redis-py forgets it when a read or write has failed."""
    # If the handshake was cut short, the connection has a writer that the caller has not seen.
    writer = connection._writer or writer
    # Disconnecting alone lets a TLS socket linger until the other side, which may be silent, has said goodbye.
    await connection.disconnect(nowait=True)
    if writer is not None:
        writer.transport.abort()


def describe(error: BaseException) -> str:
    """Return what has gone wrong, in words: a timeout has none of its own."""
    if isinstance(error, InvalidResponse):
        return f"what answers is no Redis server ({error})"
    return str(error) or ("no reply in time" if isinstance(error, TimeoutError) else type(error).__name__)
