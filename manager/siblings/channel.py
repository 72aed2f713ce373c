"""Questions and answers between two processes of a manager, over a pair of connected sockets, in both directions."""

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
"""How long an answer may take by default; more than a scrape waits for Redis."""
_LENGTH_BYTES = 4

Answerer = Callable[[Any], Awaitable[Any]]
"""Takes what a question is about, and returns the answer; both are JSON values."""


class NoAnswer(Exception):
    """The other process has ended, takes too long, or could not answer."""


class Channel:
    """This process's end.

    Args:
        end: of the pair; the channel closes it.
        answerers: what answers the other process's questions, by their names.
        on_closed: called once when the other process has closed its end or is gone.

    Attributes:
        is_open: the other process has begun to read, and has not ended.
    """

    def __init__(self, end: socket.socket, answerers: Mapping[str, Answerer], on_closed: Callable[[], None]) -> None:
        self._end = end
        self._answerers = answerers
        self._on_closed = on_closed
        self.is_open = False
        self._numbers = count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to read."""
        reader, self._writer = await asyncio.open_connection(sock=self._end)
        self._reading = asyncio.create_task(self._read(reader))
        self._send({"open": True})

    async def ask(self, question: str, about: object = None, seconds: float = ANSWER_SECONDS) -> Any:
        """Return the other process's answer.

        Raises:
            NoAnswer: see there.
        """
        if not self.is_open:
            raise NoAnswer(f"{question}: the other process is not there")
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"ask": question, "number": number, "about": about})
            async with asyncio.timeout(seconds):
                return await answer
        except (TimeoutError, OSError) as error:
            raise NoAnswer(f"{question}: {error or 'no answer in time'}") from error
        finally:
            del self._asked[number]

    async def close(self) -> None:
        """Close this end: the other process notices it."""
        if self._reading is not None:
            running = [self._reading, *self._answering]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()

    def _send(self, message: Mapping[str, object]) -> None:
        assert self._writer is not None
        text = json.dumps(message).encode()
        self._writer.write(len(text).to_bytes(_LENGTH_BYTES) + text)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
                self._take(json.loads(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError):
            self._on_closed()
        finally:
            self.is_open = False
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(NoAnswer("the other process has ended"))

    def _take(self, message: Mapping[str, Any]) -> None:
        if "open" in message:
            self.is_open = True
            return
        if "ask" in message:
            task = asyncio.create_task(self._answer(message["ask"], message["number"], message["about"]))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        answer = self._asked.get(message["number"])
        if answer is None or answer.done():
            return  # It came too late.
        if "error" in message:
            answer.set_exception(NoAnswer(message["error"]))
        else:
            answer.set_result(message["answer"])

    async def _answer(self, question: str, number: int, about: object) -> None:
        try:
            self._send({"number": number, "answer": await self._answerers[question](about)})
        except Exception as error:
            log.exception("event=sibling_not_answered question=%s", question)
            self._send({"number": number, "error": f"{question}: {error!r}"})
