"""The record of a running job, which its worker reads and writes for it (`rq.get_current_job`)."""

from jobqueue import keys
from jobqueue.model import ClaimedJob
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard


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
