"""Histograms of jobs' times, as workers have stored them (`lifecycle/times.py`)."""

from collections.abc import Mapping

from jobqueue import keys
from jobqueue.sharding.shard import Shard


async def read_times(shard: Shard) -> Mapping[bytes, bytes]:
    """Return the histograms of a shard as they are stored, by stored pair.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    (flat,) = await shard.execute(("HGETALL", keys.times(shard.prefix)), tolerate_wrong_types=True)
    return dict(zip((flat or ())[::2], (flat or ())[1::2], strict=True))
