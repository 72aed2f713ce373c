"""A manager's connection to the shard that fails at random, before or after the command was carried out.

It checks how the scaler drains workers: see `FakeCloud.violations`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from jobqueue import keys
from jobqueue.errors import ShardUnavailable
from jobqueue.servers.connection_pool import RedisCommand
from jobqueue.sharding.scripts import Script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from scaler.decide.actions import IDLE
from scaler.fleets.instances import Instance
from tests.acceptance.scaler.fake_cloud import FakeCloud
from tests.fake_clock import FakeClock, FakeClockShard

MIN_AGE_SECONDS = 25.0
"""Less than half a boot of `FakeCloud`, as the scaler learns it."""

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
        if script.name == "fence_worker":
            await self._check_fence(str(args[0]))
        answer = await self._hold(script, *args) if script.name == "hold_workers" else None
        answer = answer or await super().run(script, *args, **options)
        self._fail("redis_answer_lost")
        return answer

    async def _hold(self, script: Script, *args: str | bytes | int | float) -> Any:
        """Hold workers. None of them may be needed, or younger than half of the shortest boots."""
        (queued,) = await super().execute(("LLEN", keys.queue(self.prefix, "default")))
        answer = await super().run(script, *args)
        for name in (str(name) for name, held in zip(args[2:], answer, strict=True) if held):
            served_seconds = self._cloud.served_seconds(name)
            if queued and name not in self._cloud.fenced:
                self._cloud.violations.append(f"{name} was held while {queued} jobs were queued")
            if served_seconds < MIN_AGE_SECONDS:
                self._cloud.violations.append(f"{name} was held {served_seconds:.0f} s after its boot")
            self._cloud.held.add(name)
        return answer

    async def _check_fence(self, name: str) -> None:
        """Check that a worker which is only not needed was held before."""
        (text,) = await super().execute(("HGET", keys.scaler(self.prefix, "instances"), name))
        if text is not None and Instance.from_json(name, text).reason == IDLE and name not in self._cloud.held:
            self._cloud.violations.append(f"{name} was fenced as idle, but never held")
        self._cloud.fenced.add(name)

    async def _stall(self) -> None:
        if self._cloud.happens("stalled"):
            await self._pause(self._cloud.rng.uniform(3.0, 30.0))

    def _fail(self, fault: str) -> None:
        if self._cloud.happens(fault):
            raise ShardUnavailable(f"a fault of the test: {fault}", shard_index=self.index)
