"""One read for all who need it at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class SharedRead(Generic[Answer]):
    """Shares what is read among those who ask for it, when a thousand streams need a snapshot at once."""

    def __init__(self, read: Callable[[], Awaitable[Answer]]) -> None:
        self._read = read
        self._running: asyncio.Task[Answer] | None = None
        self._next: asyncio.Task[Answer] | None = None

    async def get(self) -> Answer:
        """Return what is read from now on, never what was read before; raise what the read raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._run(self._running))
        return await asyncio.shield(self._next)

    async def _run(self, before: "asyncio.Task[Answer] | None") -> Answer:
        if before is not None:
            await asyncio.wait({before})
        self._running, self._next = self._next, None
        return await self._read()
