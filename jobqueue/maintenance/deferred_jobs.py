"""Deferred jobs that nobody would release: their parents are told of them, and they of their parents, once more.

A manager may have died between writing a job and telling its parents. A parent may have ended without a word: a plain
RQ worker has run it, or its record has expired.
"""

import logging
from collections.abc import Sequence

from jobqueue import keys
from jobqueue.lifecycle.dependencies import register
from jobqueue.lifecycle.workflows import abandon
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.stored_values import name_of, text_of

log = logging.getLogger(__name__)

OVERDUE_SECONDS = 2.0
"""A job that its manager has not registered with its parents for this long is registered by maintenance."""
ABANDON_SECONDS = 60.0
"""A workflow that has been written for this long is given up: its manager has died, and its client was told nothing."""
RECHECK_SECONDS = 10.0
RECHECK_LIMIT = 200
"""How many deferred jobs of a queue are looked at each time."""


async def register_overdue(shards: Shards, shard: Shard) -> int:
    """Register deferred jobs of `shard` that some parent may not know of; return how many there were.

    Workflows that nobody goes on to write are abandoned.

    Raises:
        ShardUnavailable: try again.
    """
    ((seconds, microseconds),) = await shard.execute(("TIME",))
    now = int(seconds) + int(microseconds) / 1e6
    start, registered = 0, 0
    while registered < RECHECK_LIMIT:
        limits = ("-inf", repr(now - OVERDUE_SECONDS), "BYSCORE", "LIMIT", start, RECHECK_LIMIT, "WITHSCORES")
        (found,) = await shard.execute(("ZRANGE", keys.registering(shard.prefix), *limits), tolerate_wrong_types=True)
        entries = found or ()
        overdue = [(name_of(id_), float(since)) for id_, since in zip(entries[::2], entries[1::2], strict=True)]
        unwritten = await _of_unwritten_workflows(shard, [job_id for job_id, _ in overdue])
        for workflow_id in {
            unwritten[id_] for id_, since in overdue if id_ in unwritten and now - since > ABANDON_SECONDS
        }:
            if await abandon(shards, shard, workflow_id):
                log.warning("event=workflow_abandoned shard=%s workflow=%s", shard.prefix, workflow_id)
        job_ids = [job_id for job_id, _ in overdue if job_id not in unwritten]
        await register(shards, shard, job_ids)
        registered += len(job_ids)
        start += len(unwritten)
        if len(overdue) < RECHECK_LIMIT:
            break
    return registered


async def _of_unwritten_workflows(shard: Shard, job_ids: Sequence[str]) -> dict[str, str]:
    """Return the jobs that belong to workflows that are not written as a whole yet, each with its workflow."""
    commands = [("HGET", keys.job(shard.prefix, job_id), "wm_workflow") for job_id in job_ids]
    found = await shard.execute(*commands, tolerate_wrong_types=True) if commands else []
    workflow_of = {job_id: text_of(id_) for job_id, id_ in zip(job_ids, found, strict=True) if id_}
    ids = sorted(set(workflow_of.values()))
    commands = [("HGET", keys.workflow(shard.prefix, id_), "state") for id_ in ids]
    states = dict(zip(ids, await shard.execute(*commands, tolerate_wrong_types=True) if ids else [], strict=True))
    return {job_id: id_ for job_id, id_ in workflow_of.items() if states[id_] in (b"writing", b"abandoned")}


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
    if not job_ids:
        return 0
    waiting = await shard.execute(*(("EXISTS", keys.open_parents(shard.prefix, job_id)) for job_id in job_ids))
    await register(shards, shard, [job_id for job_id, exists in zip(job_ids, waiting, strict=True) if exists])
    return start + len(job_ids) if len(job_ids) == RECHECK_LIMIT else 0
