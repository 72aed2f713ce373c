"""The jobs that a new job is to wait for: they must exist, and the caller must see them."""

from collections.abc import Sequence

from jobqueue.model import NewJob
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.shards import Shards
from manager.api_keys.caller import Caller
from manager.http.problems import INVALID, Problem
from manager.queue.job_wait import StatusReader


async def check_parents(shards: Shards, jobs: Sequence[NewJob], caller: Caller) -> dict[str, Problem]:
    """Return for each job that names a parent which is not there, or not the caller's, why it is refused, by its id.

    Raises:
        ShardUnavailable: a parent's shard is unavailable.
    """
    parent_ids = dict.fromkeys(parent.parent_id for job in jobs for parent in job.depends_on or ())
    statuses = await StatusReader(shards, caller.sees).read(list(parent_ids))
    problems = {}
    for job in jobs:
        missing = [parent.parent_id for parent in job.depends_on or () if statuses[parent.parent_id] is None]
        # If the job itself is there, this is a repetition: whether it is the same job is told when it is written.
        if missing and await find_shard(shards, job.id) is None:
            message = f"there is no job with the id {missing[0]!r} to wait for"
            problems[job.id] = Problem(
                INVALID, f"depends_on: {message}", errors=[{"field": "depends_on", "message": message}]
            )
    return problems
