"""A TCP proxy before a server that can lose an answer after the server has done its work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class ReplyDroppingProxy:
    """Passes bytes both ways until it is told to lose the next answer, which closes the connection instead.

    Attributes:
        lost: how many answers were lost.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._losses_left = 0
        self.dropped_replies = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def drop_replies(self, count: int = 1) -> None:
        """The next `count` answers do not arrive."""
        self._losses_left = count

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, questions = await asyncio.open_connection("127.0.0.1", self._target_port)
        try:
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(_pass_on(reader, questions))
                await self._answer(answers, writer)
                asking.cancel()
        finally:
            questions.close()
            writer.close()

    async def _answer(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await answers.read(65536):
            if self._losses_left:
                self._losses_left -= 1
                self.dropped_replies += 1
                return
            writer.write(data)
            await writer.drain()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def run_proxy(url: str) -> AsyncIterator[ReplyDroppingProxy]:
    """Runs a proxy before the server at `url`."""
    proxy = ReplyDroppingProxy(urlsplit(url).port or 6379)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
