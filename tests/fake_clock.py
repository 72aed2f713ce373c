"""Shards of a real server with a clock that the test sets: scripts and the TIME command use its time."""

from typing import Any

from jobqueue.servers.connection_pool import RedisCommand
from jobqueue.sharding.scripts import Script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards


class FakeClock:
    """A clock that moves only when told to; it shows Unix time."""

    def __init__(self, now: float = 1_900_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class FakeClockShard(Shard):
    """A shard whose server seems to have the clock's time."""

    def __init__(self, shard: Shard, shards: Shards, clock: FakeClock) -> None:
        super().__init__(shard.index, shard.prefix, shards.topology)
        self._clock = clock

    async def execute(self, *commands: RedisCommand, **options: Any) -> list[Any]:
        replies = await super().execute(*commands, **options)
        microseconds = round(self._clock.now * 1_000_000)
        time = list(divmod(microseconds, 1_000_000))
        return [time if command[0] == "TIME" else reply for command, reply in zip(commands, replies, strict=True)]

    async def run(self, script: Script, *args: str | bytes | int | float, **options: Any) -> Any:
        takes_time = "clock(ARGV[1])" in script.text
        if takes_time and args[0] == "":
            args = (repr(self._clock.now), *args[1:])
        return await super().run(script, *args, **options)


def use_clock(shards: Shards, clock: FakeClock) -> Shards:
    """Replace the shards by ones that use the clock."""
    shards.all = tuple(FakeClockShard(shard, shards, clock) for shard in shards)
    return shards
