"""Shards whose clock a test sets: scripts and TIME tell its time, on a real server."""

from __future__ import annotations

from typing import Any

from jobqueue.servers.connection_pool import RedisCommand
from jobqueue.sharding.scripts import Script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards


class FakeClock:
    """The test's time, in epoch seconds."""

    def __init__(self, now: float = 1_900_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeClockShard(Shard):
    """A shard at the clock's time."""

    def __init__(self, shard: Shard, shards: Shards, clock: FakeClock) -> None:
        super().__init__(shard.index, shard.prefix, shards.topology)
        self._clock = clock

    async def execute(self, *commands: RedisCommand, **how: Any) -> list[Any]:
        answers = await super().execute(*commands, **how)
        microseconds = round(self._clock.now * 1_000_000)
        time = list(divmod(microseconds, 1_000_000))
        return [time if command[0] == "TIME" else answer for command, answer in zip(commands, answers, strict=True)]

    async def run(self, script: Script, *args: str | bytes | int | float, **how: Any) -> Any:
        if "clock(ARGV[1])" in script.text and args[0] == "":
            args = (repr(self._clock.now), *args[1:])
        return await super().run(script, *args, **how)


def use_clock(shards: Shards, clock: FakeClock) -> Shards:
    """Puts the shards under the clock."""
    shards.all = tuple(FakeClockShard(shard, shards, clock) for shard in shards)
    return shards
