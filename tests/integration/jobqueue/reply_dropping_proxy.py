"""A TCP proxy in front of a server that can drop a reply after the server has carried out the command."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class ReplyDroppingProxy:
    """Forwards bytes both ways. A reply that it drops closes the connection instead.

    Attributes:
        dropped_replies: how many replies were dropped.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._drops_left = 0
        self.dropped_replies = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def drop_replies(self, count: int = 1) -> None:
        """Drop the next `count` replies."""
        self._drops_left = count

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target_port)
        try:
            async with asyncio.TaskGroup() as group:
                requests = group.create_task(_forward(reader, to_server))
                await self._forward_replies(from_server, writer)
                requests.cancel()
        finally:
            to_server.close()
            writer.close()

    async def _forward_replies(self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await from_server.read(65536):
            if self._drops_left:
                self._drops_left -= 1
                self.dropped_replies += 1
                return
            writer.write(data)
            await writer.drain()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def run_proxy(url: str) -> AsyncIterator[ReplyDroppingProxy]:
    """Run a proxy in front of the server at `url`."""
    proxy = ReplyDroppingProxy(urlsplit(url).port or 6379)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
