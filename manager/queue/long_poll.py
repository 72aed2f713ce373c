"""Long polling: wake requests when results may be there or jobs have ended.

One task per shard asks Redis, for all requests that wait.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from redis.exceptions import RedisError

from jobqueue.errors import JobQueueError
from jobqueue.inspection.job_states import read_statuses
from jobqueue.lifecycle.pull import wait_for_results
from jobqueue.model import is_over
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards

MAX_WAIT_SECONDS = 55
"""Limit of a request's `wait`."""
ANSWER_SECONDS = 45
"""After this time a request is answered in any case: common proxies give up after 50 s (HAProxy as Debian and others
configure it) or 60 s (nginx, load balancers of AWS)."""
BLOCK_SECONDS = 2.0
"""Timeout of one blocking read for results. If another manager is woken for results and does not take them, this one
notices them after at most this time."""
UNAVAILABLE_PAUSE_SECONDS = 0.5
"""Pause before a shard that did not answer is asked again."""

MIN_POLL_SECONDS = 0.005
MAX_POLL_SECONDS = 0.05
"""Bounds of the pause between two reads of job statuses; it grows while nothing changes."""
POLL_SECONDS_PER_JOB = 0.00002
"""Minimum pause per job that is waited for, so that many of them do not keep Redis busy."""
STATUSES_PER_CALL = 1000


class ResultNotifier:
    """Wakes pull requests when results may have arrived. It asks Redis only while a request is subscribed."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._subscribers = 0
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._next: asyncio.Future[None] | None = None

    @contextmanager
    def subscribed(self) -> Iterator[None]:
        """Keep the futures of `next` served while the context lasts."""
        self._subscribers += 1
        for shard in self._shards:
            if shard.index not in self._tasks:
                self._tasks[shard.index] = asyncio.create_task(self._listen(shard))
        try:
            yield
        finally:
            self._subscribers -= 1

    def notify(self) -> None:
        """Wake the requests: there may be results."""
        if self._next is not None and not self._next.done():
            self._next.set_result(None)

    def next(self) -> asyncio.Future[None]:
        """Return a future that is done at the next notification. Get it before you pull, so that none is missed."""
        if self._next is None or self._next.done():
            self._next = asyncio.get_running_loop().create_future()
        return self._next

    async def close(self) -> None:
        """Stop asking Redis."""
        await _cancel_all(self._tasks.values())

    async def _listen(self, shard: Shard) -> None:
        try:
            while self._subscribers:
                try:
                    await wait_for_results(shard, BLOCK_SECONDS)
                except (JobQueueError, RedisError):
                    await asyncio.sleep(UNAVAILABLE_PAUSE_SECONDS)
                self.notify()
        finally:
            del self._tasks[shard.index]


class StatusPoller:
    """Wakes requests that wait for a job to end, with one status read at a time per shard for all of them."""

    def __init__(self) -> None:
        self._waiting: dict[int, dict[str, list[asyncio.Future[None]]]] = defaultdict(dict)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._pause_seconds: dict[int, float] = {}

    @contextmanager
    def when_ended(self, shard: Shard, job_id: str) -> Iterator[asyncio.Future[None]]:
        """Yield a future that is done when the job has ended or no longer exists."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[shard.index]
        waiting.setdefault(job_id, []).append(end)
        self._pause_seconds[shard.index] = MIN_POLL_SECONDS
        if shard.index not in self._tasks:
            self._tasks[shard.index] = asyncio.create_task(self._poll(shard))
        try:
            yield end
        finally:
            if end in waiting.get(job_id, ()):
                waiting[job_id].remove(end)
                if not waiting[job_id]:
                    del waiting[job_id]

    async def close(self) -> None:
        """Stop polling."""
        await _cancel_all(self._tasks.values())

    async def _poll(self, shard: Shard) -> None:
        waiting = self._waiting[shard.index]
        try:
            while waiting:
                try:
                    await self._wake_ended(shard, waiting)
                except (JobQueueError, RedisError):
                    self._pause_seconds[shard.index] = UNAVAILABLE_PAUSE_SECONDS
                pause_seconds = self._pause_seconds[shard.index]
                await asyncio.sleep(max(pause_seconds, len(waiting) * POLL_SECONDS_PER_JOB))
                self._pause_seconds[shard.index] = min(pause_seconds * 1.5, MAX_POLL_SECONDS)
        finally:
            del self._tasks[shard.index]

    async def _wake_ended(self, shard: Shard, waiting: dict[str, list[asyncio.Future[None]]]) -> None:
        job_ids = iter(list(waiting))
        while part := list(islice(job_ids, STATUSES_PER_CALL)):
            for job_id, status in zip(part, await read_statuses(shard, part), strict=True):
                if status is None or is_over(status):
                    for end in waiting.pop(job_id, ()):
                        end.set_result(None)


async def _cancel_all(running: Iterable[asyncio.Task[None]]) -> None:
    tasks = list(running)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
