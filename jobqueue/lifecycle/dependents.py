"""Dependents: jobs of plain RQ clients that wait for another job, their parent (`depends_on`).

A parent's record does not say that it has dependents: RQ keeps them in a set beside it. `finish` and `reap` note such
parents in a set of ours, and RQ's own code then queues the dependents that are ready. On a cluster RQ cannot do that
(its prefix is fixed at import). There the parent gets a note, which its view shows.
"""

import asyncio
import logging
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of

log = logging.getLogger(__name__)

CLUSTER_NOTE = "other jobs depend on this one; on a Redis Cluster they are not queued yet"


async def enqueue_dependents(shard: Shard, url: str) -> int:
    """Queue the jobs whose noted parents have ended.

    Args:
        url: of the Redis that holds the shard; unused on a cluster.

    Returns:
        Number of parents handled.

    Raises:
        ShardUnavailable: try again; the parents stay noted.
    """
    noted = keys.dependents(shard.prefix)
    (parents,) = await shard.execute(("SRANDMEMBER", noted, 100), tolerate_wrong_types=True)
    if not parents:
        return 0
    ids = [name_of(parent) for parent in parents]
    if shard.clustered:
        notes = (("HSET", keys.job(shard.prefix, id_), "wm_note", CLUSTER_NOTE) for id_ in ids)
        await shard.execute(*notes, tolerate_wrong_types=True)
    else:
        await asyncio.to_thread(_enqueue_with_rq, ids, url)
    await shard.execute(("SREM", noted, *parents))
    return len(ids)


class _NoSerializer:
    """A serializer that refuses everything: reading a pickle may run code, and no serialised field is needed here.

    RQ leaves fields that it cannot read unchanged.
    """

    @staticmethod
    def loads(data: bytes) -> Any:
        raise ValueError("not read")

    @staticmethod
    def dumps(value: Any) -> bytes:
        raise ValueError("not written")


def _enqueue_with_rq(parent_ids: list[str], url: str) -> None:
    # Here, because a worker starts without it, and few jobs have dependents.
    from rq.exceptions import NoSuchJobError
    from rq.job import Job
    from rq.queue import Queue

    # The URL has user, password, database and TLS settings. RQ's client must not retry when a reply is lost.
    connection: Redis = Redis.from_url(url, socket_timeout=5.0, retry=None)
    try:
        for parent_id in parent_ids:
            try:
                parent: Any = Job.fetch(parent_id, connection=connection, serializer=_NoSerializer)
                queue = Queue(parent.origin, connection=connection, serializer=_NoSerializer)
                queue.enqueue_dependents(parent, refresh_job_status=False)
            except NoSuchJobError:
                continue
            except Exception as error:
                # RQ's code on records of other writers: one that it cannot read must not stop the rest.
                if isinstance(error, RedisError) and not isinstance(error, ResponseError):
                    raise
                log.warning("event=dependents_dropped job_id=%s error=%r", parent_id, error)
    finally:
        connection.close()
