"""Waiting for what happens in the queue: one waiter for each shard, shared by all requests that wait."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from redis.exceptions import RedisError

from jobqueue.errors import JobQueueError
from jobqueue.inspection.job_views import read_statuses
from jobqueue.lifecycle.pull import wait_for_results
from jobqueue.model import Status
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards

BLOCK_SECONDS = 2.0
"""How long Redis is asked to wait for results at a time: as long may it take to notice those that another manager's
waiter was woken for and did not take."""
UNAVAILABLE_PAUSE_SECONDS = 0.5

MIN_POLL_SECONDS = 0.005
MAX_POLL_SECONDS = 0.05
POLL_SECONDS_PER_JOB = 0.00002
STATUSES_PER_CALL = 1000


class ResultNotifier:
    """Says when there may be results to pull. It asks Redis only while somebody listens."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._listeners = 0
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._bell: asyncio.Future[None] | None = None

    @contextmanager
    def subscribed(self) -> Iterator[None]:
        """While it lasts, `bell` rings."""
        self._listeners += 1
        for shard in self._shards:
            if shard.index not in self._tasks:
                self._tasks[shard.index] = asyncio.create_task(self._listen(shard))
        try:
            yield
        finally:
            self._listeners -= 1

    def next(self) -> "asyncio.Future[None]":
        """Is done at the next ring. Ask for it before you look, so that no ring is missed in between."""
        if self._bell is None or self._bell.done():
            self._bell = asyncio.get_running_loop().create_future()
        return self._bell

    async def close(self) -> None:
        """Ends the listening."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, shard: Shard) -> None:
        try:
            while self._listeners:
                try:
                    await wait_for_results(shard, BLOCK_SECONDS)
                except (JobQueueError, RedisError):
                    await asyncio.sleep(UNAVAILABLE_PAUSE_SECONDS)
                if self._bell is not None and not self._bell.done():
                    self._bell.set_result(None)
        finally:
            del self._tasks[shard.index]


class StatusPoller:
    """Says when jobs have ended. One question at a time for all jobs of a shard that somebody waits for."""

    def __init__(self) -> None:
        self._waiting: dict[int, dict[str, list[asyncio.Future[None]]]] = defaultdict(dict)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ticks: dict[int, float] = {}

    @contextmanager
    def when_ended(self, shard: Shard, job_id: str) -> Iterator["asyncio.Future[None]"]:
        """Is done when the job has ended or is gone."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[shard.index]
        waiting.setdefault(job_id, []).append(end)
        self._ticks[shard.index] = MIN_POLL_SECONDS
        if shard.index not in self._tasks:
            self._tasks[shard.index] = asyncio.create_task(self._watch(shard))
        try:
            yield end
        finally:
            if end in waiting.get(job_id, ()):
                waiting[job_id].remove(end)
                if not waiting[job_id]:
                    del waiting[job_id]

    async def close(self) -> None:
        """Ends the watching."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, shard: Shard) -> None:
        waiting = self._waiting[shard.index]
        try:
            while waiting:
                try:
                    await self._look(shard, waiting)
                except (JobQueueError, RedisError):
                    self._ticks[shard.index] = UNAVAILABLE_PAUSE_SECONDS
                tick = self._ticks[shard.index]
                await asyncio.sleep(max(tick, len(waiting) * POLL_SECONDS_PER_JOB))
                self._ticks[shard.index] = min(tick * 1.5, MAX_POLL_SECONDS)
        finally:
            del self._tasks[shard.index]

    async def _look(self, shard: Shard, waiting: dict[str, list[asyncio.Future[None]]]) -> None:
        job_ids = iter(list(waiting))
        while part := list(islice(job_ids, STATUSES_PER_CALL)):
            for job_id, status in zip(part, await read_statuses(shard, part), strict=True):
                if status is None or Status(status).ended:
                    for end in waiting.pop(job_id, ()):
                        end.set_result(None)
