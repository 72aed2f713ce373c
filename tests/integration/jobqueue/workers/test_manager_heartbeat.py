"""Heartbeats of managers."""

import time

from jobqueue.sharding.shard import Shard
from jobqueue.workers.manager_heartbeat import seconds_since_manager_heartbeat, send_manager_heartbeat


async def test_heartbeat_age_is_measured_by_the_redis_clock(shard: Shard) -> None:
    assert await seconds_since_manager_heartbeat(shard) is None
    await send_manager_heartbeat(shard, now=time.time() - 60)
    seconds = await seconds_since_manager_heartbeat(shard)
    assert seconds is not None
    assert 59 <= seconds <= 90
    await send_manager_heartbeat(shard)
    seconds = await seconds_since_manager_heartbeat(shard)
    assert seconds is not None
    assert seconds <= 30
