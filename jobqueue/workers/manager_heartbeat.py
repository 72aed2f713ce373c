"""The managers' sign of life on each shard, by which workers know that somebody still looks after the fleet."""

from jobqueue import keys
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import clock_argument

MANAGER_HEARTBEAT_SECONDS = 5.0
"""How often a manager gives it."""


async def send_manager_heartbeat(shard: Shard, *, now: float | None = None) -> None:
    """Notes on the shard that a manager lives.

    Raises:
        ShardUnavailable: another shard, or the next sign, does as well.
    """
    await shard.run(script("manager_heartbeat"), clock_argument(now))


async def seconds_since_manager_heartbeat(shard: Shard) -> float | None:
    """How long ago, by Redis' clock, the last manager gave a sign; None where none ever did.

    Raises:
        ShardUnavailable: ask another shard.
    """
    heard, (seconds, _) = await shard.execute(("GET", keys.manager_heartbeat(shard.prefix)), ("TIME",))
    return None if heard is None else max(0.0, int(seconds) - float(heard))
