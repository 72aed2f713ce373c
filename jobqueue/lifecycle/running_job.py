"""The record of a running job, which its worker reads and writes for it (`rq.get_current_job`, `workmanager.job`)."""

from base64 import b64decode

from jobqueue import keys
from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.dependencies import stored_dependencies
from jobqueue.model import MAX_RESULT_BYTES
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards


async def save_meta(shard: Shard, job: ClaimedJob, meta: bytes) -> None:
    """Save the `meta` that a running function has set; write nothing if the job's lease is gone.

    Raises:
        ShardUnavailable: try again.
    """
    await shard.run(script("save_meta"), job.id, job.token, meta)


async def read_job_record(shard: Shard, job_id: str) -> dict[bytes, bytes]:
    """Return the whole hash of a job; {} if it is gone.

    Raises:
        ShardUnavailable: try again.
    """
    (flat,) = await shard.execute(("HGETALL", keys.job(shard.prefix, job_id)))
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def read_parent_ids(shard: Shard, job_id: str) -> list[str]:
    """Return the ids of the jobs that a job has waited for, in the order of its submission.

    Raises:
        ShardUnavailable: try again.
    """
    (encoded,) = await shard.execute(("HGET", keys.job(shard.prefix, job_id), "wm_depends_on"))
    return [parent for parent, _ in stored_dependencies(encoded)]


async def read_parent_result(shards: Shards, shard: Shard, job_id: str, parent_id: str) -> bytes | None:
    """Return the result of a job that a job of `shard` has waited for, serialised; None if it did not finish.

    Raises:
        ShardUnavailable: try again.
        ValueError: the job has not waited for that one, or its result is not kept any more, or is too large.
    """
    if parent_id not in await read_parent_ids(shard, job_id):
        raise ValueError(f"the job has not waited for {parent_id!r}")
    parents_shard = await find_shard(shards, parent_id)
    if parents_shard is None:
        raise ValueError(f"the record of job {parent_id} has ended, and its result with it")
    status, results = await parents_shard.execute(
        ("HGET", keys.job(parents_shard.prefix, parent_id), "status"),
        ("XREVRANGE", keys.results(parents_shard.prefix, parent_id), "+", "-", "COUNT", 1),
        tolerate_wrong_types=True,
    )
    if status != b"finished":
        return None
    fields = results[0][1] if results else []
    value = dict(zip(fields[::2], fields[1::2], strict=True)).get(b"return_value")
    if value is None:
        raise ValueError(f"the result of job {parent_id} is not kept")
    result = b64decode(value)
    if len(result) > MAX_RESULT_BYTES:
        # A plain RQ worker keeps results of any size.
        raise ValueError(f"the result of job {parent_id} has {len(result)} bytes, the maximum is {MAX_RESULT_BYTES}")
    return result
