"""An hour on a virtual clock: two managers with the real loop, an upgrade, workers, jobs, and faults of every kind."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.leases import reap
from jobqueue.servers.connection_pool import RedisCommand
from jobqueue.sharding.scripts import Script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from scaler.loop import ScalerLoop
from scaler.metrics import ScalerMetrics
from scaler.policy import Limits
from tests.acceptance.scaler.fake_cloud import PROFILE, FakeCloud, FakeCloudFleet, Killed
from tests.acceptance.scaler.fake_workers import SPARE_SECONDS, FakeWorker
from tests.fake_clock import FakeClock, FakeClockShard
from tests.integration.jobqueue.queue_helpers import enqueue_jobs

STEP_SECONDS, QUIET_STEP_SECONDS = 1.0, 4.0
"""A step of the clock while there is anything, and while there is nothing; shorter than the lease."""
HOUR_SECONDS = 3600.0
NOTICE_SECONDS = 120.0
PATIENCE_SECONDS = 3600.0
"""How long after the hour everything may take to come to its end."""
MOST_WORKERS = 8
REAP_SECONDS = 5.0
MOST_LOSSES = 3

RATES = {
    "killed_before": 0.05,
    "killed_after": 0.05,
    "paused": 0.08,
    "throttled": 0.08,
    "not_sent": 0.05,
    "answer_lost": 0.08,
    "partial": 0.1,
    "never_boots": 0.08,
    "look_throttled": 0.03,
    "forgetful": 0.03,
    "stalled": 0.001,
    "redis_away": 0.002,
    "redis_answer_lost": 0.002,
    "killed": 0.002,
    "hung": 0.002,
    "spot": 0.0006,
    "rebalance": 0.0006,
    "dies": 0.0004,
    "short": 0.002,
}
"""Of calls: per call. Of machines: per machine and second. `short`: per second, an offering for some minutes."""


Pause = Callable[[float], Awaitable[None]]


class UnsteadyShard(FakeClockShard):
    """A manager's way to the shard, that fails before or after something was done.

    Args:
        pause: lets time pass while this manager stands still.
    """

    def __init__(self, shard: Shard, shards: Shards, clock: FakeClock, cloud: FakeCloud, pause: Pause) -> None:
        super().__init__(shard, shards, clock)
        self._cloud = cloud
        self._pause = pause

    async def execute(self, *commands: RedisCommand, **how: Any) -> list[Any]:
        await self._stall()
        self._fail("redis_away")
        return await super().execute(*commands, **how)

    async def run(self, script: Script, *args: str | bytes | int | float, **how: Any) -> Any:
        await self._stall()
        self._fail("redis_away")
        answer = await super().run(script, *args, **how)
        self._fail("redis_answer_lost")
        return answer

    async def _stall(self) -> None:
        if self._cloud.strikes("stalled"):
            await self._pause(self._cloud.rng.uniform(3.0, 30.0))

    def _fail(self, fault: str) -> None:
        if self._cloud.strikes(fault):
            raise ShardUnavailable(f"a fault of the test: {fault}", shard_index=self.index)


@dataclass(slots=True)
class Seat:
    """Where a manager runs; another one is started when it has gone."""

    number: int
    loop: ScalerLoop
    upgraded: bool = False
    ticks_at: float = 0.0
    is_ticking: bool = False


@dataclass(slots=True)
class RandomFaultHour:
    """One run. `play` it once.

    Attributes:
        deaths: of workers, by the job that they ran.
    """

    shards: Shards
    clock: FakeClock
    seed: int
    rng: random.Random = field(init=False)
    cloud: FakeCloud = field(init=False)
    seats: list[Seat] = field(init=False)
    agents: dict[str, FakeWorker] = field(default_factory=dict)
    seconds_of: dict[str, float] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    _waiting: int = 0
    _reaped_at: float = 0.0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.cloud = FakeCloud(
            self.clock, random.Random(self.seed + 1_000_000), max_instances=MOST_WORKERS, rates=dict(RATES)
        )
        self.seats = [Seat(number, self._manager(number, 1)) for number in range(2)]

    @property
    def shard(self) -> Shard:
        return self.shards.all[0]

    async def play(self) -> None:
        """The hour, and the time until all has come to its end."""
        start = self.clock.now
        arrivals = self._arrivals(start)
        upgrades = self._upgrades(start, arrivals)
        while self.clock.now < start + HOUR_SECONDS:
            for seat in self.seats:
                if not seat.upgraded and not seat.is_ticking and self.clock.now >= upgrades[seat.number]:
                    seat.upgraded = True
                    self._replace(seat)
            while arrivals and arrivals[0] <= self.clock.now:
                await self._submit(arrivals.pop(0))
            await self._step()
        # What is broken is mended; the scaler alone has to find out.
        self.cloud.rates = {"never_boots": 0.02}
        while not await self._is_over() and self.clock.now < start + HOUR_SECONDS + PATIENCE_SECONDS:
            await self._step()

    async def jobs_undone(self) -> int:
        """How many are not done; a job that was lost with three workers that died is given up, as is promised."""
        finished, lost = await self.shard.execute(
            ("HGET", f"{self.shard.prefix}:wm:finished", "noop"), ("HGET", f"{self.shard.prefix}:wm:failed", "lost")
        )
        hopeless = sum(number >= MOST_LOSSES for number in self.deaths.values())
        return len(self.seconds_of) - int(finished or 0) - min(int(lost or 0), hopeless)

    async def renewals(self) -> int:
        """Of the last decisions, those by which workers made room for the next version."""
        (decisions,) = await self.shard.execute(("LRANGE", f"{self.shard.prefix}:wm:scaler:decisions", 0, -1))
        return sum(b'"UPDATE' in decision for decision in decisions)

    async def _is_over(self) -> bool:
        (intents, instances) = await self.shard.execute(
            ("HLEN", f"{self.shard.prefix}:wm:scaler:intents"), ("HLEN", f"{self.shard.prefix}:wm:scaler:instances")
        )
        return not self.cloud.living and not intents and not instances and not await self.jobs_undone()

    def _arrivals(self, start: float) -> list[float]:
        chance, seconds = self.rng, []
        for _ in range(chance.randint(3, 6)):
            burst_at = start + chance.uniform(0.0, HOUR_SECONDS * 0.8)
            seconds += [burst_at + chance.expovariate(1 / 20.0) for _ in range(chance.randint(1, 25))]
        return sorted(seconds)

    def _upgrades(self, start: float, arrivals: Sequence[float]) -> list[float]:
        """When each manager gets its next version: one after the other, while there is work."""
        first = self.rng.choice(arrivals or [start]) + self.rng.uniform(60.0, 300.0)
        return [first, first + self.rng.uniform(60.0, 300.0)]

    async def _submit(self, at: float) -> None:
        job_id = f"job-{len(self.seconds_of)}"
        self.seconds_of[job_id] = min(900.0, self.rng.lognormvariate(3.5, 1.0))
        await enqueue_jobs(self.shard, job_id, now=at)

    async def _step(self, *, without: Seat | None = None) -> None:
        self.clock.advance(STEP_SECONDS if self.cloud.living or self._waiting else QUIET_STEP_SECONDS)
        self._strike()
        await self._work()
        for seat in self.seats:
            if seat is not without and not seat.is_ticking and self.clock.now >= seat.ticks_at:
                await self._tick(seat)

    async def _tick(self, seat: Seat) -> None:
        seat.ticks_at = self.clock.now + self.rng.choice((1.0, 2.0, 3.0))
        if self.cloud.strikes("killed"):
            self._replace(seat)
            return
        if self.cloud.strikes("hung"):
            seat.ticks_at += self.rng.uniform(5.0, 40.0)
            return
        seat.is_ticking = True
        try:
            await seat.loop.tick()
        except Killed:
            self._replace(seat)
        except ShardUnavailable:
            pass
        finally:
            seat.is_ticking = False

    def _replace(self, seat: Seat) -> None:
        seat.loop = self._manager(seat.number, 2 if seat.upgraded else 1)
        seat.ticks_at = self.clock.now + self.rng.uniform(3.0, 30.0)

    def _manager(self, number: int, version: int) -> ScalerLoop:
        async def pause(seconds: float) -> None:
            until = self.clock.now + seconds
            while self.clock.now < until:
                await self._step(without=self.seats[number])

        steady = self.shards
        unsteady = Shards.__new__(Shards)
        unsteady.topology = steady.topology
        unsteady.all = tuple(UnsteadyShard(shard, steady, self.clock, self.cloud, pause) for shard in steady)
        return ScalerLoop(
            unsteady,
            FakeCloudFleet(self.cloud, self.clock, pause, version),
            Limits(min_workers=0, max_workers=MOST_WORKERS, min_billed_seconds=60.0, min_idle_seconds=0.0),
            f"host:{number}",
            ScalerMetrics(CollectorRegistry(), min_billed_seconds=PROFILE.min_billed_seconds),
            clock=self.clock,
            rng=self.rng,
        )

    def _strike(self) -> None:
        """What happens to machines, and to the market."""
        if self.cloud.strikes("short"):
            offering = self.rng.choice(["a/spot", "b/spot", "a/on-demand"])
            self.cloud.short_until[offering] = self.clock.now + self.rng.uniform(60.0, 600.0)
        for machine in self.cloud.living:
            agent = self.agents.get(machine.id)
            if agent is None:
                if machine.boots_at is not None and self.clock.now >= machine.boots_at:
                    agent = FakeWorker(machine, self.shard, self.clock)
                    self.agents[machine.id] = agent
                    machine.is_busy = _busy(agent)
                continue
            if agent.left and not agent.dead:
                machine.ended = True  # Every exit powers off.
            elif not agent.leaving and machine.offering.endswith("spot") and self.cloud.strikes("spot"):
                agent.leaving, machine.taken_at = "spot", self.clock.now + NOTICE_SECONDS
                agent.beaten_at = float("-inf")
            elif not agent.leaving and self.cloud.strikes("rebalance"):
                agent.leaving, agent.beaten_at = "rebalance", float("-inf")
            elif not agent.dead and self.cloud.strikes("dies"):
                agent.dead = True
                if agent.job is not None:
                    self.deaths[agent.job.id] += 1

    async def _work(self) -> None:
        for agent in self.agents.values():
            await self._take_back(agent)
        awake = [agent for agent in self.agents.values() if agent.is_awake]
        prefix = self.shard.prefix
        self._waiting, *messages = await self.shard.execute(
            ("LLEN", f"{prefix}:queue:default"),
            *(("LPOP", f"{prefix}:wm:commands:{each.machine.id}") for each in awake),
        )
        for agent, message in zip(awake, messages, strict=True):
            await agent.step(self.seconds_of, told=message is not None, work_waits=self._waiting > 0)
        if self.cloud.living and self.clock.now - self._reaped_at >= REAP_SECONDS:
            self._reaped_at = self.clock.now
            await reap(self.shard, lease_seconds=20.0)

    async def _take_back(self, agent: FakeWorker) -> None:
        """What EC2 does to a spot instance after its notice, and the agent shortly before."""
        taken_at = agent.machine.taken_at
        if taken_at is None or agent.machine.ended:
            return
        if self.clock.now >= taken_at - SPARE_SECONDS and agent.is_awake:
            await agent.give_back()
        if self.clock.now >= taken_at:
            agent.machine.ended = agent.machine.interrupted = True


def _busy(agent: FakeWorker) -> Any:
    return lambda: agent.job is not None and not agent.dead
