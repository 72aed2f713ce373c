"""Wakes idle workers for jobs that plain RQ clients enqueue: those push to RQ's list and add no wake-up token.

Each manager blocks on every queue's list with BLMOVE of its head onto itself. That changes nothing, takes nothing, and
returns as soon as there is a job. Without any manager, an idle worker finds such a job at its next look.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from redis.exceptions import RedisError

from jobqueue import keys
from jobqueue.errors import JobQueueError
from jobqueue.inspection.listing import queue_names
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of

MAX_WATCHED_QUEUES = 64
"""Maximum number of queues watched on one shard; each takes a connection. Maintenance looks at all twice a second."""
DISCOVERY_SECONDS = 0.5
BLOCK_SECONDS = 5.0
PAUSE_SECONDS = 0.05
"""Pause after each reply, because a queue that is not empty would reply again at once."""
MAX_PAUSE_SECONDS = 0.5
"""The pause grows up to this while nobody takes the wake-up tokens: all workers are busy, or there are none. With many
queues that are full, the managers would do little else. If workers then empty the queue and wait, the next job of a
plain RQ client waits for the rest of the pause."""

MAX_CALL_QUEUES = 1000

log = logging.getLogger(__name__)


async def wake_workers(shard: Shard, queues: Sequence[str]) -> list[str]:
    """Wake an idle worker for each of these queues that has jobs and is not paused; return those queues.

    Raises:
        ShardUnavailable: try again.
    """
    return (await _wake(shard, queues))[1]


async def wake_for_rq_jobs(shard: Shard, on_jobs_waiting: Callable[[Sequence[str]], None] = lambda _: None) -> None:
    """Watch the shard's queues until cancelled; find new queues within `DISCOVERY_SECONDS`.

    Args:
        on_jobs_waiting: called with the queue, repeatedly while a job waits, whoever enqueued it.
    """
    watched: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            try:
                names = await queue_names(shard)
            except (JobQueueError, RedisError):
                names = []  # The shard is unavailable. Maintenance logs that; the watchers wait for it, too.
            unwatched = [name for name in names if name not in watched]
            for name in unwatched[: MAX_WATCHED_QUEUES - len(watched)]:
                watched.add(name)
                group.create_task(_watch(shard, name, on_jobs_waiting))
            await asyncio.sleep(DISCOVERY_SECONDS)


async def _watch(shard: Shard, queue: str, on_jobs_waiting: Callable[[Sequence[str]], None]) -> None:
    key = keys.queue(shard.prefix, queue)
    pause_seconds = PAUSE_SECONDS
    while True:
        try:
            (job_id,) = await shard.execute(
                ("BLMOVE", key, key, "LEFT", "LEFT", BLOCK_SECONDS), timeout_seconds=BLOCK_SECONDS + 5.0
            )
            added, waiting = (0, []) if job_id is None else await _wake(shard, [queue])
            if waiting:
                on_jobs_waiting(waiting)
            elif job_id is not None:
                await asyncio.sleep(DISCOVERY_SECONDS)  # It is paused.
            pause_seconds = min(2 * pause_seconds, MAX_PAUSE_SECONDS) if waiting and not added else PAUSE_SECONDS
        except (JobQueueError, RedisError) as error:
            log.debug("event=rq_wakeup_failed shard=%s queue=%s error=%s", shard.prefix, queue, error)
            await asyncio.sleep(1.0)
        await asyncio.sleep(pause_seconds)


async def _wake(shard: Shard, queues: Sequence[str]) -> tuple[int, list[str]]:
    """Return how many wake-up tokens were added, and the queues that have jobs and are not paused."""
    added, waiting = 0, list[str]()
    for first in range(0, len(queues), MAX_CALL_QUEUES):
        tokens, *found = await shard.run(script("wake_workers"), *queues[first : first + MAX_CALL_QUEUES])
        added += tokens
        waiting += map(name_of, found)
    return added, waiting
