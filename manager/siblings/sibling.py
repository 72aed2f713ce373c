"""A sibling's side: it serves requests, and ends with the main process."""

import socket
from typing import Any

from manager.siblings.channel import ANSWER_SECONDS, Channel
from manager.siblings.group import ProcessGroup


class Sibling(ProcessGroup):
    """This process is a sibling.

    Args:
        end: its end of the channel to the main process.
        size: processes of this manager.
    """

    is_sibling = True

    def __init__(self, end: socket.socket, size: int) -> None:
        super().__init__()
        self.size = size
        self.answerers["alive"] = _is_alive
        self._channel = Channel(end, self.answerers, lambda: self.on_main_gone())

    async def start(self) -> None:
        """Begin to answer the main process."""
        await self._channel.start()

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def ask_main(self, question: str, about: object = None, seconds: float = ANSWER_SECONDS) -> Any:
        return await self._channel.ask(question, about, seconds)


async def _is_alive(_: object) -> bool:
    return True
