"""Where a job lies: on the shard that its id hashes to, unless a plain RQ client has written it."""

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards


async def find_shard(shards: Shards, job_id: str) -> Shard | None:
    """Return the shard that holds the job, or None if no shard does.

    That is the shard that the id hashes to, unless a plain RQ client has written the job to another one.

    Raises:
        ShardUnavailable: a shard that may hold it is unavailable.
    """
    home = shards.of(job_id)
    for shard in (home, *(other for other in shards if other is not home)):
        (found,) = await shard.execute(("EXISTS", keys.job(shard.prefix, job_id)))
        if found:
            return shard
    return None
