"""Managers' heartbeat on each shard: a worker that sees none for long shuts down, because nobody manages the fleet."""

from jobqueue import keys
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import number_of
from jobqueue.timestamps import clock_argument

MANAGER_HEARTBEAT_SECONDS = 5.0
"""How often a manager sends one."""


async def send_manager_heartbeat(shard: Shard, *, now: float | None = None) -> None:
    """Record on the shard that a manager is alive.

    Raises:
        ShardUnavailable: ignore it; the heartbeat on another shard, or the next one, is enough.
    """
    await shard.run(script("manager_heartbeat"), clock_argument(now))


async def seconds_since_manager_heartbeat(shard: Shard) -> float | None:
    """Return how long ago, by Redis' clock, a manager last sent a heartbeat; None if none has, or it is no time.

    Raises:
        ShardUnavailable: try another shard.
    """
    answer, (seconds, _) = await shard.execute(
        ("GET", keys.manager_heartbeat(shard.prefix)), ("TIME",), tolerate_wrong_types=True
    )
    sent_at = number_of(answer)
    return None if sent_at is None else max(0.0, int(seconds) - sent_at)
