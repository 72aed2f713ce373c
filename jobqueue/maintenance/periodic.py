"""The queue's periodic care, run by every manager; each step is one atomic script, so any number may run at once."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis.exceptions import RedisError

from jobqueue.errors import JobQueueError
from jobqueue.inspection.listing import queue_names
from jobqueue.lifecycle.dependents import enqueue_dependents
from jobqueue.lifecycle.leases import REAP_LIMIT, reap, reap_rq_executions
from jobqueue.maintenance.rq_wakeups import wake_for_rq_jobs
from jobqueue.model import FAILURE_TTL_SECONDS, LEASE_SECONDS
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.timestamps import clock_argument, iso
from jobqueue.workers.manager_heartbeat import MANAGER_HEARTBEAT_SECONDS, send_manager_heartbeat

DUE_LIMIT = 1000
PRUNE_LIMIT = 1000
EXPIRE_LIMIT = 500
SCHEDULER_LOCK_SECONDS = 5
TICK_SECONDS = 0.5

log = logging.getLogger(__name__)


async def enqueue_due(shard: Shard, queue: str, owner: str, *, now: float | None = None) -> int:
    """Queues up to `DUE_LIMIT` scheduled jobs whose time has come, unless somebody else holds RQ's scheduler lock.

    Returns:
        How many were looked at; -1 where somebody else holds the lock.

    Raises:
        ShardUnavailable: try again.
    """
    arguments = (clock_argument(now), iso(now), owner, SCHEDULER_LOCK_SECONDS, queue, DUE_LIMIT)
    return int(await shard.run(script("enqueue_due"), *arguments))


async def prune(
    shard: Shard, *, canceled_ttl_seconds: int = FAILURE_TTL_SECONDS, now: float | None = None
) -> tuple[int, int]:
    """Forgets what is over, and gives results back that were pulled on a lease and not acknowledged in time.

    Returns:
        How many results were given back, and how many places in the feed were forgotten.

    Raises:
        ShardUnavailable: try again.
    """
    queues = await queue_names(shard)
    given_back, forgotten = await shard.run(
        script("prune"), clock_argument(now), canceled_ttl_seconds, PRUNE_LIMIT, *queues
    )
    return int(given_back), int(forgotten)


async def expire_results(shard: Shard, *, now: float | None = None) -> tuple[int, int]:
    """Ends up to `EXPIRE_LIMIT` results of the feed whose time is over.

    Returns:
        How many were looked at, and how many of them nobody had pulled.

    Raises:
        ShardUnavailable: try again.
    """
    queues = await queue_names(shard)
    over, unpulled = await shard.run(script("expire"), clock_argument(now), EXPIRE_LIMIT, *queues)
    return int(over), int(unpulled)


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    every_seconds: float
    run: Callable[[Shard], Awaitable[None]]


class Maintenance:
    """Runs the periodic tasks on every shard, each shard by itself: one that is away holds up no other.

    Args:
        url: of the Redis, for RQ's own code (see `enqueue_dependents`).
        lease_seconds: how long workers' leases last.
        on_job: called when jobs wait; again and again while they do.
    """

    def __init__(
        self,
        shards: Shards,
        url: str,
        *,
        lease_seconds: float = LEASE_SECONDS,
        on_job: Callable[[], None] = lambda: None,
    ) -> None:
        self._shards = shards
        self._url = url
        self._lease_seconds = lease_seconds
        self._on_job = on_job
        self._owner = f"workmanager-{secrets.token_hex(8)}"
        self._tasks = (
            _Task("due", TICK_SECONDS, self._move_due),
            _Task("reap", 1.0, self._reap),
            _Task("dependents", 1.0, self._enqueue_dependents),
            _Task("retain", 1.0, self._retain),
            _Task("expire", 1.0, self._expire),
            _Task("reap_rq_executions", 10.0, self._reap_rq_executions),
            _Task("sign", MANAGER_HEARTBEAT_SECONDS, send_manager_heartbeat),
        )

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                group.create_task(self._maintain(shard))
                group.create_task(wake_for_rq_jobs(shard, self._on_job))

    async def _maintain(self, shard: Shard) -> None:
        due_at = {task.name: 0.0 for task in self._tasks}
        away = False
        while True:
            for task in self._tasks:
                if time.monotonic() < due_at[task.name]:
                    continue
                due_at[task.name] = time.monotonic() + task.every_seconds
                try:
                    await task.run(shard)
                    away = False
                except (JobQueueError, RedisError, OSError) as error:
                    # Said once when it begins; the next tick tries again.
                    if not away:
                        log.warning(
                            "event=maintenance_failed shard=%s task=%s error=%s", shard.prefix, task.name, error
                        )
                    away = True
                except Exception:  # The loop's edge: what nobody thought of must not end the care of all shards.
                    log.exception("event=maintenance_crashed shard=%s task=%s", shard.prefix, task.name)
            await asyncio.sleep(TICK_SECONDS)

    async def _move_due(self, shard: Shard) -> None:
        for queue in await queue_names(shard):
            while (moved := await enqueue_due(shard, queue, self._owner)) > 0:
                log.info("event=jobs_due shard=%s queue=%s jobs=%d", shard.prefix, queue, moved)
                if moved < DUE_LIMIT:
                    break

    async def _reap(self, shard: Shard) -> None:
        while True:
            reaped = await reap(shard, lease_seconds=self._lease_seconds)
            for job in reaped:
                log.warning(
                    "event=job_reaped job_id=%s worker=%s outcome=%s reason=lease_expired",
                    job.job_id,
                    job.worker,
                    job.outcome,
                )
            if len(reaped) < REAP_LIMIT:
                return

    async def _enqueue_dependents(self, shard: Shard) -> None:
        parents = await enqueue_dependents(shard, self._url)
        if parents:
            log.info("event=dependents_enqueued shard=%s parents=%d", shard.prefix, parents)

    async def _retain(self, shard: Shard) -> None:
        given_back, forgotten = await prune(shard)
        if given_back or forgotten:
            log.info("event=feed_pruned shard=%s given_back=%d forgotten=%d", shard.prefix, given_back, forgotten)

    async def _expire(self, shard: Shard) -> None:
        while True:
            over, unpulled = await expire_results(shard)
            if unpulled:
                log.info("event=results_expired shard=%s unpulled=%d", shard.prefix, unpulled)
            if over < EXPIRE_LIMIT:
                return

    async def _reap_rq_executions(self, shard: Shard) -> None:
        for queue in await queue_names(shard):
            for job_id, outcome in await reap_rq_executions(shard, queue):
                log.warning("event=rq_job_reaped job_id=%s outcome=%s reason=abandoned", job_id, outcome)
