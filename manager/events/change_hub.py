"""All open streams of a manager, and one reader of changes for each shard that they need."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jobqueue.inspection.changes import change_order
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.events.change_reader import ChangeReader
from manager.events.inbox import Inbox
from manager.events.job_watches import JobWatch
from manager.events.subscriptions import ChangeFilter, Subscription, Subscriptions

READY_SECONDS = 2.0
"""How long a stream waits for shards to be reached, before it begins without them."""


class ChangeHub:
    """Reads changes only while a stream is open.

    Args:
        closing: set when the manager stops: all streams end then.
    """

    def __init__(self, shards: Shards, closing: asyncio.Event) -> None:
        self._closing = closing
        self._subscriptions = Subscriptions(len(shards))
        self._readers = [ChangeReader(shard, self._subscriptions) for shard in shards]
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._inboxes: set[Inbox] = set()
        self._end_task: asyncio.Task[None] | None = None

    @property
    def positions(self) -> tuple[str, ...]:
        """Ids of the last change of each shard that every subscription has got; '' for one that is not reached."""
        return tuple(self._subscriptions.positions)

    @property
    def changes_read(self) -> int:
        """How many changes of jobs were read for streams."""
        return sum(reader.changes_read for reader in self._readers)

    @contextmanager
    def watch_job(self, shard: Shard, job_id: str) -> Iterator[JobWatch]:
        """Follow a job while the context lasts. Wait for `ready` before its record is read."""
        watch, watches = JobWatch(job_id), self._readers[shard.index].watches
        watches.add(watch)
        with self._open(watch, (shard.index,)):
            try:
                yield watch
            finally:
                watches.remove(watch)

    @contextmanager
    def subscribe(self, change_filter: ChangeFilter) -> Iterator[Subscription]:
        """Get the changes behind `positions` that the filter shows, while the context lasts."""
        subscription = Subscription()
        self._subscriptions.add(change_filter, subscription)
        with self._open(subscription, range(len(self._readers))):
            try:
                yield subscription
            finally:
                self._subscriptions.remove(change_filter, subscription)

    async def ready(self, *shards: Shard) -> None:
        """Wait until no change of these shards (by default: of all) is missed, or `READY_SECONDS` are over."""
        readers = [self._readers[shard.index] for shard in shards] or self._readers
        if all(reader.ready.is_set() for reader in readers):
            return
        waits = [asyncio.create_task(reader.ready.wait()) for reader in readers]
        try:
            await asyncio.wait(waits, timeout=READY_SECONDS)
        finally:
            for wait in waits:
                wait.cancel()

    async def reach(self, positions: Sequence[str]) -> None:
        """Wait until this manager has read as far as another one had, or `READY_SECONDS` are over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                while any(map(_is_behind, self.positions, positions)):
                    await self._subscriptions.delivered.wait()

    async def close(self) -> None:
        """Stop reading."""
        tasks = [*self._tasks.values(), *([self._end_task] if self._end_task else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @contextmanager
    def _open(self, inbox: Inbox, shard_indexes: Sequence[int]) -> Iterator[None]:
        self._inboxes.add(inbox)
        if self._end_task is None:
            self._end_task = asyncio.create_task(self._end_streams())
        if self._closing.is_set():
            inbox.end()
        for index in shard_indexes:
            if index not in self._tasks:
                self._tasks[index] = asyncio.create_task(self._read(index))
        try:
            yield
        finally:
            self._inboxes.discard(inbox)

    async def _read(self, index: int) -> None:
        try:
            await self._readers[index].run()
        finally:
            del self._tasks[index]

    async def _end_streams(self) -> None:
        await self._closing.wait()
        for inbox in self._inboxes:
            inbox.end()


def _is_behind(own: str, other: str) -> bool:
    return change_order(own) < change_order(other)
