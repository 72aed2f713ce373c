"""Dependents: jobs of plain RQ clients that wait for other jobs, their parents (`depends_on`).

A parent's record does not say that it has dependents: RQ keeps them in a set beside it. The script that ends a parent
notes it, with how it has ended, and `enqueue_dependents` queues its dependents. If a worker dies in between, any other
program goes on with it.
"""

from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import clock_argument, iso

DEPENDENTS_PER_CALL = 500
"""About how many dependents one script call looks at: other requests wait meanwhile."""


async def enqueue_dependents(shard: Shard, *, now: float | None = None) -> int:
    """Queue the dependents of all parents that have been noted, if they wait for no other job any more.

    Returns:
        Number of jobs that were queued.

    Raises:
        ShardUnavailable: try again; the parents stay noted.
    """
    queued = 0
    while True:
        _, some, more = await shard.run(
            script("enqueue_dependents"), clock_argument(now), iso(now), DEPENDENTS_PER_CALL
        )
        queued += int(some)
        if not more:
            return queued
