"""Wakes idle workers for jobs of stock clients, which push to RQ's list and know nothing of wake tokens.

Each manager blocks on every queue's list with a move of its head onto itself: that changes nothing, takes nothing, and
returns as soon as there is a job. Without any manager an idle worker sees such a job when it next looks by itself.
"""

import asyncio
import logging
from collections.abc import Callable

from redis.exceptions import RedisError

from jobqueue import keys
from jobqueue.errors import JobQueueError
from jobqueue.inspection.listing import queue_names
from jobqueue.sharding.shard import Shard

MAX_WATCHED_QUEUES = 64
"""Queues that are watched on one shard; each takes a connection."""
DISCOVERY_SECONDS = 2.0
BLOCK_SECONDS = 5.0
PAUSE_SECONDS = 0.05
"""After a sign of life: a queue that is not empty would answer again at once."""

log = logging.getLogger(__name__)


async def wake_for_rq_jobs(shard: Shard, on_job: Callable[[], None] = lambda: None) -> None:
    """Watches the shard's queues until it is cancelled; new ones are found within `DISCOVER_SECONDS`.

    Args:
        on_job: called when a job waits, whoever put it there; again and again while one does.
    """
    watched: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            try:
                names = await queue_names(shard)
            except (JobQueueError, RedisError):
                names = []  # The shard is away, which maintenance says; its watchers wait for it too.
            for name in names[: MAX_WATCHED_QUEUES - len(watched)]:
                if name not in watched:
                    watched.add(name)
                    group.create_task(_watch(shard, name, on_job))
            await asyncio.sleep(DISCOVERY_SECONDS)


async def _watch(shard: Shard, queue: str, on_job: Callable[[], None]) -> None:
    key, tokens = keys.queue(shard.prefix, queue), keys.wake(shard.prefix, queue)
    while True:
        try:
            (job_id,) = await shard.execute(
                ("BLMOVE", key, key, "LEFT", "LEFT", BLOCK_SECONDS), timeout_seconds=BLOCK_SECONDS + 5.0
            )
            if job_id is not None:
                on_job()
                (waiting,) = await shard.execute(("LLEN", tokens))
                if waiting == 0:
                    await shard.execute(("RPUSH", tokens, "1"))
        except (JobQueueError, RedisError) as error:
            log.debug("event=rq_wakeup_failed shard=%s queue=%s error=%s", shard.prefix, queue, error)
            await asyncio.sleep(1.0)
        await asyncio.sleep(PAUSE_SECONDS)
