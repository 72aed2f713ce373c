"""The record of a running job, read and written by its worker on the job's behalf (`get_current_job`)."""

from jobqueue import keys
from jobqueue.model import ClaimedJob
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard


async def save_meta(shard: Shard, job: ClaimedJob, meta: bytes) -> None:
    """Writes what a running function saved as its job's `meta`; nothing where the job's lease is gone.

    Raises:
        ShardUnavailable: try again.
    """
    await shard.run(script("save_meta"), job.id, job.token, meta)


async def read_job_record(shard: Shard, job_id: str) -> dict[bytes, bytes]:
    """The whole hash of a job, {} where it is gone.

    Raises:
        ShardUnavailable: try again.
    """
    (flat,) = await shard.execute(("HGETALL", keys.job(shard.prefix, job_id)))
    return dict(zip(flat[::2], flat[1::2], strict=True))
