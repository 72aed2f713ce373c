"""RPC handler for a running job's queries about its own record, and about the jobs that it has waited for."""

import asyncio
from typing import Any

from jobqueue.claimed_job import ClaimedJob
from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.limits import park_limit
from jobqueue.lifecycle.running_job import read_job_record, read_parent_ids, read_parent_result, save_meta
from jobqueue.sharding.shards import Shards
from worker_node.ipc.protocol import WRITABLE_FIELDS
from worker_node.slots.slot_events import Reply

QUERY_TIMEOUT_SECONDS = 20.0
RETRY_SECONDS = 0.2
MAX_PARKED_SECONDS = 7 * 24 * 3600.0


async def answer_query(shards: Shards, reply: Reply, job: ClaimedJob, operation: str, field: str, value: bytes) -> None:
    """Answer one query. While Redis is unavailable, for example during a failover, keep trying: the job waits too."""
    try:
        async with asyncio.timeout(QUERY_TIMEOUT_SECONDS):
            content = await _execute(shards, job, operation, field, value)
    except TimeoutError:
        reply(
            False, f"the job's record cannot be reached: Redis has been unavailable for {QUERY_TIMEOUT_SECONDS:.0f} s"
        )
    except ValueError as error:
        reply(False, str(error))
    else:
        reply(True, content)


async def _execute(shards: Shards, job: ClaimedJob, operation: str, field: str, value: bytes) -> Any:
    shard = shards.all[job.shard_index]
    while True:
        try:
            if operation == "hget":
                return (await read_job_record(shard, job.id)).get(field.encode())
            if operation == "hgetall":
                return await read_job_record(shard, job.id)
            if operation == "parents":
                return await read_parent_ids(shard, job.id)
            if operation == "parent":
                return await read_parent_result(shards, shard, job.id, field)
            if operation == "park":
                seconds = float(value)
                if 0 <= seconds <= MAX_PARKED_SECONDS and await park_limit(shard, job, field, seconds):
                    return None
                raise ValueError(f"the job has no limit with the key {field!r} that could wait {seconds:g} s")
            if operation == "hset" and field in WRITABLE_FIELDS:
                return await save_meta(shard, job, value)
        except JobQueueError:
            await asyncio.sleep(RETRY_SECONDS)
        else:
            raise ValueError(f"a job cannot {operation} the field {field!r} of its record")
