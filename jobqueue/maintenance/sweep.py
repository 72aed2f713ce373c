"""Sweep: remove what plain RQ clients leave behind when they delete, cancel or expire jobs."""

import time

from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import clock_argument, iso

SWEEP_SECONDS = 10.0
SWEEP_LIMIT = 200
"""Maximum number of entries of each kind that a call checks; the next call checks the next ones."""


async def sweep(shard: Shard, queue: str, *, part: int | None = None, now: float | None = None) -> int:
    """Remove entries of a queue whose jobs are gone, and rate limits' places that no job needs.

    Args:
        part: which part of long registries to check; by default the next one every `SWEEP_SECONDS`.

    Returns:
        Number of entries removed.

    Raises:
        ShardUnavailable: try again.
    """
    part = int(time.time() // SWEEP_SECONDS) if part is None else part
    return int(await shard.run(script("sweep"), clock_argument(now), iso(now), queue, SWEEP_LIMIT, part))
