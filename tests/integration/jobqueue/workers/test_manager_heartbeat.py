"""Managers' signs of life."""

from __future__ import annotations

import time

from jobqueue.sharding.shards import Shard
from jobqueue.workers.manager_heartbeat import give_sign, silent_seconds


async def test_a_sign_is_as_old_as_redis_clock_says(shard: Shard) -> None:
    assert await silent_seconds(shard) is None
    await give_sign(shard, now=time.time() - 60)
    seconds = await silent_seconds(shard)
    assert seconds is not None
    assert 59 <= seconds <= 90
    await give_sign(shard)
    seconds = await silent_seconds(shard)
    assert seconds is not None
    assert seconds <= 30
