"""Group commit: requests that arrive while a call is in flight share the next call.

A single request is sent at once. Many concurrent ones share a script call, its round trip and its confirmation by a
replica.

Hot path: see benchmarks/README.md#http_enqueue.
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
    answers: asyncio.Future[Sequence[Answer]]


class GroupCommit(Generic[Item, Answer]):
    """Batches the items of concurrent requests, with one call in flight at a time.

    Args:
        commit: sends items and returns one answer for each, in order. Its exception reaches every request of the call.
        weigh: returns an item's weight.
        max_weight: limit of one call. A call takes the items of at least one request, however heavy.
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
        self._max_weight = max_weight
        self._waiting: deque[_Entry[Item, Answer]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        """Send one item and return its answer."""
        answers = await self._enqueue((item,), self._weigh(item))
        return answers[0]

    async def submit_all(self, items: Sequence[Item]) -> list[Answer]:
        """Send several items and return their answers in order. Items beyond one call's weight go in several calls."""
        futures = []
        start = weight = 0
        for index, item in enumerate(items):
            item_weight = self._weigh(item)
            if index > start and weight + item_weight > self._max_weight:
                futures.append(self._enqueue(items[start:index], weight))
                start, weight = index, 0
            weight += item_weight
        if start < len(items):
            futures.append(self._enqueue(items[start:], weight))
        return [answer for answers in await asyncio.gather(*futures) for answer in answers]

    def _enqueue(self, items: Sequence[Item], weight: int) -> asyncio.Future[Sequence[Answer]]:
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        answers: asyncio.Future[Sequence[Answer]] = self._task.get_loop().create_future()
        self._waiting.append(_Entry(items, weight, answers))
        return answers

    async def _run(self) -> None:
        try:
            while self._waiting:
                entries = self._next_batch()
                if entries:
                    await self._call(entries)
        finally:
            self._task = None

    def _next_batch(self) -> list[_Entry[Item, Answer]]:
        entries: list[_Entry[Item, Answer]] = []
        weight = 0
        while self._waiting:
            entry = self._waiting[0]
            if entries and weight + entry.weight > self._max_weight:
                break
            self._waiting.popleft()
            # Skip requests that were cancelled before the call.
            if not entry.answers.cancelled():
                entries.append(entry)
                weight += entry.weight
        return entries

    async def _call(self, entries: Sequence[_Entry[Item, Answer]]) -> None:
        try:
            answers = await self._commit([item for entry in entries for item in entry.items])
        except Exception as error:  # noqa: BLE001 - not lost: every waiting request gets it
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
