"""A manager's connection to the shard that fails at random, before or after the command was carried out."""

from collections.abc import Awaitable, Callable
from typing import Any

from jobqueue.errors import ShardUnavailable
from jobqueue.servers.connection_pool import RedisCommand
from jobqueue.sharding.scripts import Script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.acceptance.scaler.fake_cloud import FakeCloud
from tests.fake_clock import FakeClock, FakeClockShard

Pause = Callable[[float], Awaitable[None]]
"""Lets time pass while one manager is paused."""


class FaultyShard(FakeClockShard):
    """A shard that stalls, is unavailable, or loses answers, as `FakeCloud.happens` decides."""

    def __init__(self, shard: Shard, shards: Shards, clock: FakeClock, cloud: FakeCloud, pause: Pause) -> None:
        super().__init__(shard, shards, clock)
        self._cloud = cloud
        self._pause = pause

    async def execute(self, *commands: RedisCommand, **options: Any) -> list[Any]:
        await self._stall()
        self._fail("redis_unavailable")
        return await super().execute(*commands, **options)

    async def run(self, script: Script, *args: str | bytes | int | float, **options: Any) -> Any:
        await self._stall()
        self._fail("redis_unavailable")
        answer = await super().run(script, *args, **options)
        self._fail("redis_answer_lost")
        return answer

    async def _stall(self) -> None:
        if self._cloud.happens("stalled"):
            await self._pause(self._cloud.rng.uniform(3.0, 30.0))

    def _fail(self, fault: str) -> None:
        if self._cloud.happens(fault):
            raise ShardUnavailable(f"a fault of the test: {fault}", shard_index=self.index)
