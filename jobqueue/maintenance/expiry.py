"""Deletes what has expired, and puts back results that were pulled and not acknowledged: steps of the maintenance."""

from collections.abc import Sequence

from jobqueue.inspection.listing import queue_names
from jobqueue.model import FAILURE_TTL_SECONDS
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import clock_argument

PRUNE_LIMIT = 1000
EXPIRE_LIMIT = 500
MAX_TURN_QUEUES = 100
"""What expires is looked for in so many queues a second: with 1,000 of them, each entry goes within ten."""


async def prune(
    shard: Shard, *, turn: int = 0, canceled_ttl_seconds: int = FAILURE_TTL_SECONDS, now: float | None = None
) -> tuple[int, int]:
    """Delete expired entries, and put results back into the feed whose pull lease expired unacknowledged.

    Args:
        turn: which queues' entries, if there are many (`in_turn`).

    Returns:
        Number of results put back, and number of feed entries deleted.

    Raises:
        ShardUnavailable: try again.
    """
    queues = await queue_names(shard)
    looked_at = in_turn(queues, turn)
    others = sorted({*queues}.difference(looked_at))
    limits = (clock_argument(now), canceled_ttl_seconds, PRUNE_LIMIT, len(looked_at))
    restored, deleted = await shard.run(script("prune"), *limits, *looked_at, *others)
    return int(restored), int(deleted)


async def expire_results(shard: Shard, *, turn: int = 0, now: float | None = None) -> tuple[int, int]:
    """Delete up to `EXPIRE_LIMIT` results of the feed that have expired.

    Args:
        turn: of which queues, if there are many (`in_turn`).

    Returns:
        Number of expired results, and how many of them were never pulled.

    Raises:
        ShardUnavailable: try again.
    """
    queues = in_turn(await queue_names(shard), turn)
    expired, unpulled = await shard.run(script("expire"), clock_argument(now), EXPIRE_LIMIT, *queues)
    return int(expired), int(unpulled)


def in_turn(queues: Sequence[str], turn: int) -> Sequence[str]:
    """Return `MAX_TURN_QUEUES` of the queues, or all if they are fewer: others each turn, until it was each one's."""
    turns = max(1, -(-len(queues) // MAX_TURN_QUEUES))
    first = turn % turns * MAX_TURN_QUEUES
    return queues[first : first + MAX_TURN_QUEUES]
