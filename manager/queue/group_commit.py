"""Group commit: while one call is under way, what comes in gathers and shares the next.

Few requests wait for nobody; many share a script call, its round trip and its replica's confirmation.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class _Entry(NamedTuple, Generic[Item, Answer]):
    items: Sequence[Item]
    weight: int
    answers: "asyncio.Future[Sequence[Answer]]"


class GroupCommit(Generic[Item, Answer]):
    """Gathers items for one call at a time.

    Args:
        commit: takes items, gives one answer for each, in order; what it raises reaches everyone who shared the call.
        weigh: an item's weight.
        most_weight: of one call, which always takes the items of at least one request.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        weigh: Callable[[Item], int],
        max_weight: int,
    ) -> None:
        self._commit = commit
        self._weigh = weigh
        self._most_weight = max_weight
        self._waiting: deque[_Entry[Item, Answer]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        """The answer to one item."""
        answers = await self._enter((item,), self._weigh(item))
        return answers[0]

    async def submit_all(self, items: Sequence[Item]) -> list[Answer]:
        """The answers to several, in order; more than one call can take travel in several."""
        futures = []
        start = weight = 0
        for place, item in enumerate(items):
            item_weight = self._weigh(item)
            if place > start and weight + item_weight > self._most_weight:
                futures.append(self._enter(items[start:place], weight))
                start, weight = place, 0
            weight += item_weight
        if start < len(items):
            futures.append(self._enter(items[start:], weight))
        return [answer for answers in await asyncio.gather(*futures) for answer in answers]

    def _enter(self, items: Sequence[Item], weight: int) -> "asyncio.Future[Sequence[Answer]]":
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        answers: asyncio.Future[Sequence[Answer]] = self._task.get_loop().create_future()
        self._waiting.append(_Entry(items, weight, answers))
        return answers

    async def _run(self) -> None:
        try:
            while self._waiting:
                entries = self._take()
                if entries:
                    await self._call(entries)
        finally:
            self._task = None

    def _take(self) -> list[_Entry[Item, Answer]]:
        entries: list[_Entry[Item, Answer]] = []
        weight = 0
        while self._waiting:
            entry = self._waiting[0]
            if entries and weight + entry.weight > self._most_weight:
                break
            self._waiting.popleft()
            # Whoever gave up before the call asks for nothing.
            if not entry.answers.cancelled():
                entries.append(entry)
                weight += entry.weight
        return entries

    async def _call(self, entries: Sequence[_Entry[Item, Answer]]) -> None:
        try:
            answers = await self._commit([item for entry in entries for item in entry.items])
        except Exception as error:  # noqa: BLE001 - it is not lost: everyone who waits gets it
            for entry in entries:
                if not entry.answers.done():
                    entry.answers.set_exception(error)
            return
        start = 0
        for entry in entries:
            end = start + len(entry.items)
            if not entry.answers.done():
                entry.answers.set_result(answers[start:end])
            start = end
