"""Forget the labels of jobs whose records have ended."""

from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import clock_argument

FORGET_LABELS_SECONDS = 10.0
MAX_LABELS, MAX_JOBS = 500, 2000
"""How many labels one call looks at, and how many jobs with them: Redis serves nobody else meanwhile."""


async def forget_labels(shard: Shard, *, now: float | None = None) -> int:
    """Forget which labels jobs had that do not exist any more; each label is looked at once a day.

    Returns:
        How many entries were removed.

    Raises:
        ShardUnavailable: try again.
    """
    removed = 0
    while True:
        labels, forgotten = await shard.run(script("forget_labels"), clock_argument(now), MAX_LABELS, MAX_JOBS)
        removed += int(forgotten)
        if int(labels) == 0:
            return removed
