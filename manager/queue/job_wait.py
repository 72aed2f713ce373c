"""Wait for many jobs in one request, with few reads however many they are."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError

from jobqueue.errors import JobQueueError
from jobqueue.inspection.job_states import find_ended, read_queues_and_statuses
from jobqueue.model import is_over
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.queue.long_poll import MAX_POLL_SECONDS, MIN_POLL_SECONDS, STATUSES_PER_CALL, UNAVAILABLE_PAUSE_SECONDS

FIRST_READ = 100
"""How many jobs one read asks for if all of them must end: none is worth asking for before these have ended."""
POLL_SECONDS_PER_JOB = 0.0001
"""Minimum pause per job of a read, once nothing has changed for a while."""

Statuses = Mapping[str, str | None]
"""Statuses by id; None for a job that does not exist."""


class StatusReader:
    """Reads the statuses of jobs on all shards.

    Args:
        sees: tells of a queue whether its jobs are shown; a job that is not shown does not exist.
    """

    def __init__(self, shards: Shards, sees: Callable[[str], bool]) -> None:
        self._shards = shards
        self._sees = sees
        self._elsewhere: dict[str, Shard] = {}

    async def read(self, job_ids: Sequence[str]) -> Statuses:
        """Return the statuses, in the order of the ids.

        Raises:
            ShardUnavailable: a shard that may hold one of them is unavailable.
        """
        statuses: dict[str, str | None] = dict.fromkeys(job_ids)
        by_shard = self._by_shard(job_ids)
        found = await asyncio.gather(*(self._read_shard(shard, ids) for shard, ids in by_shard.items()))
        for part in found:
            statuses.update(part)
        # Plain RQ clients write all their jobs to the one shard they know, whatever the ids hash to.
        for shard in self._shards if len(self._shards) > 1 else ():
            missing = [job_id for job_id, status in statuses.items() if status is None]
            for job_id, status in (await self._read_shard(shard, missing)).items():
                if status is not None:
                    self._elsewhere[job_id] = shard
                    statuses[job_id] = status
        return statuses

    async def ended(self, job_ids: Sequence[str]) -> set[str]:
        """Return those of these jobs, which existed a moment ago, that have ended or do not exist any more.

        Raises:
            ShardUnavailable: a shard that holds one of them is unavailable.
        """
        by_shard = self._by_shard(job_ids)
        found = await asyncio.gather(*(_ended_on(shard, ids) for shard, ids in by_shard.items()))
        return {job_id for part in found for job_id in part}

    def _by_shard(self, job_ids: Sequence[str]) -> dict[Shard, list[str]]:
        by_shard: dict[Shard, list[str]] = defaultdict(list)
        for job_id in job_ids:
            by_shard[self._elsewhere.get(job_id) or self._shards.of(job_id)].append(job_id)
        return by_shard

    async def _read_shard(self, shard: Shard, job_ids: Sequence[str]) -> dict[str, str | None]:
        statuses: dict[str, str | None] = {}
        for start in range(0, len(job_ids), STATUSES_PER_CALL):
            part = job_ids[start : start + STATUSES_PER_CALL]
            for job_id, (queue, status) in zip(part, await read_queues_and_statuses(shard, part), strict=True):
                statuses[job_id] = status if self._sees(queue or "") else None
        return statuses


async def wait_for_jobs(
    reader: StatusReader,
    job_ids: Sequence[str],
    *,
    wait_for_any: bool,
    seconds: float,
    until: Collection[asyncio.Future[Any]],
) -> Statuses:
    """Wait until one of the jobs has ended, or all of them; return the statuses then, or when the time is over.

    A job that does not exist counts as ended.

    Args:
        until: the wait also ends when one of these is done.

    Raises:
        ShardUnavailable: at the beginning or at the end, a shard that may hold a job is unavailable.
    """
    statuses = await reader.read(job_ids)
    waiting = _unended(statuses)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    pause_seconds = MIN_POLL_SECONDS
    while waiting and not (wait_for_any and len(waiting) < len(statuses)):
        remaining_seconds = deadline - loop.time()
        if remaining_seconds <= 0:
            break
        done, _ = await asyncio.wait(
            until, timeout=min(pause_seconds, remaining_seconds), return_when=asyncio.FIRST_COMPLETED
        )
        if done:
            break
        asked = waiting if wait_for_any else waiting[:FIRST_READ]
        try:
            ended = await reader.ended(asked)
        except (JobQueueError, RedisError):
            pause_seconds = UNAVAILABLE_PAUSE_SECONDS
            continue
        if ended:
            waiting[: len(asked)] = [job_id for job_id in asked if job_id not in ended]
        longest_seconds = max(MAX_POLL_SECONDS, len(asked) * POLL_SECONDS_PER_JOB)
        pause_seconds = MIN_POLL_SECONDS if ended else min(pause_seconds * 1.5, longest_seconds)
    return await reader.read(job_ids)


async def _ended_on(shard: Shard, job_ids: Sequence[str]) -> list[str]:
    parts = [job_ids[start : start + STATUSES_PER_CALL] for start in range(0, len(job_ids), STATUSES_PER_CALL)]
    return [job_id for part in parts for job_id in await find_ended(shard, part)]


def has_ended(status: str | None) -> bool:
    """Return whether a job with this status has ended; None if it does not exist."""
    return status is None or is_over(status)


def _unended(statuses: Statuses) -> list[str]:
    return [job_id for job_id, status in statuses.items() if not has_ended(status)]
