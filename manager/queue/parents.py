"""The jobs that a new job is to wait for: they must exist, and the caller must see them."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from jobqueue.inspection.job_views import read_queues
from jobqueue.model import NewJob
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.shards import Shards
from manager.api_keys.caller import Caller
from manager.http.problems import INVALID, Problem


async def check_parents(shards: Shards, jobs: Sequence[NewJob], caller: Caller) -> dict[str, Problem]:
    """Return for each job that names a parent which is not there, or not the caller's, why it is refused, by its id.

    Raises:
        ShardUnavailable: a parent's shard is unavailable.
    """
    parent_ids = {parent.parent_id for job in jobs for parent in job.depends_on or ()}
    queues = await _queues_of(shards, sorted(parent_ids)) if parent_ids else {}
    refused = [
        job for job in jobs if not all(_is_seen(queues[each.parent_id], caller) for each in job.depends_on or ())
    ]
    problems = {}
    for job in refused:
        if await find_shard(shards, job.id) is not None:
            continue  # A repetition: whether it is the same job is told when it is written.
        parent_id = next(
            each.parent_id for each in job.depends_on or () if not _is_seen(queues[each.parent_id], caller)
        )
        message = f"there is no job with the id {parent_id!r} to wait for"
        problems[job.id] = Problem(
            INVALID, f"depends_on: {message}", errors=[{"field": "depends_on", "message": message}]
        )
    return problems


def _is_seen(queue: str | None, caller: Caller) -> bool:
    return queue is not None and caller.sees(queue)


async def _queues_of(shards: Shards, job_ids: Sequence[str]) -> Mapping[str, str | None]:
    by_shard: dict[int, list[str]] = defaultdict(list)
    for job_id in job_ids:
        by_shard[shards.of(job_id).index].append(job_id)
    answers = await asyncio.gather(*(read_queues(shards.all[index], ids) for index, ids in by_shard.items()))
    queues = {
        job_id: queue
        for ids, found in zip(by_shard.values(), answers, strict=True)
        for job_id, queue in zip(ids, found, strict=True)
    }
    if len(shards) > 1:
        # Plain RQ clients write all their jobs to the one shard they know.
        for job_id in [job_id for job_id, queue in queues.items() if queue is None]:
            shard = await find_shard(shards, job_id)
            if shard is not None:
                (queues[job_id],) = await read_queues(shard, [job_id])
    return queues
