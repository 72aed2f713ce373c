"""Deferred jobs that nobody would release: their parents are told of them, and they of their parents, once more.

A manager may have died between writing a job and telling its parents. A parent may have ended without a word: a plain
RQ worker has run it, or its record has expired.
"""

from jobqueue import keys
from jobqueue.lifecycle.dependencies import register
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.stored_values import name_of

OVERDUE_SECONDS = 2.0
"""A job that its manager has not registered with its parents for this long is registered by maintenance."""
RECHECK_SECONDS = 10.0
RECHECK_LIMIT = 200
"""How many deferred jobs of a queue are looked at each time."""


async def register_overdue(shards: Shards, shard: Shard) -> int:
    """Register deferred jobs of `shard` that some parent may not know of; return how many there were.

    Raises:
        ShardUnavailable: try again.
    """
    ((seconds, microseconds),) = await shard.execute(("TIME",))
    overdue_at = int(seconds) + int(microseconds) / 1e6 - OVERDUE_SECONDS
    found = await shard.execute(
        ("ZRANGE", keys.registering(shard.prefix), "-inf", repr(overdue_at), "BYSCORE", "LIMIT", 0, RECHECK_LIMIT)
    )
    job_ids = [name_of(job_id) for job_id in found[0]]
    await register(shards, shard, job_ids)
    return len(job_ids)


async def recheck_deferred(shards: Shards, shard: Shard, queue: str, start: int) -> int:
    """Register some deferred jobs of a queue again.

    Args:
        start: place in the registry at which to begin: 0, then as returned.

    Returns:
        The next place; 0 at the end.

    Raises:
        ShardUnavailable: try again.
    """
    registry = keys.registry(shard.prefix, "deferred", queue)
    (found,) = await shard.execute(("ZRANGE", registry, start, start + RECHECK_LIMIT - 1), tolerate_wrong_types=True)
    job_ids = [name_of(job_id) for job_id in found or ()]
    waiting = await shard.execute(*(("EXISTS", keys.open_parents(shard.prefix, job_id)) for job_id in job_ids))
    await register(shards, shard, [job_id for job_id, exists in zip(job_ids, waiting, strict=True) if exists])
    return start + len(job_ids) if len(job_ids) == RECHECK_LIMIT else 0
