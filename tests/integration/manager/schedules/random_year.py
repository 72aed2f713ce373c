"""A year of schedules on a virtual clock, with random kills, restarts, lost answers and steps of the clock.

Two managers look at what is due, at random moments and often at the same time. Each can be killed at any await, can
lose the answer of a script that has run, or be held up between what it reads and what it writes, also for hours. The
clock, which is Redis' for both, steps back and leaps ahead. Every job is taken from its queue and its record deleted at
once, so that nothing but the schedule itself remembers that an instant was run.
"""

import asyncio
import contextlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import product
from random import Random
from typing import Any

from jobqueue import keys
from jobqueue.errors import ShardUnavailable
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.schedules.clock_changes import clock_changes
from manager.schedules.firing import ScheduleFiring
from manager.schedules.record import CatchUp, Schedule
from manager.schedules.store import Stored, read_schedules
from manager.schedules.zones import zone_of
from tests.integration.manager.schedules.instant_oracle import EXPRESSIONS, ZONES
from tests.integration.manager.schedules.schedule_harness import NOW, a_schedule, create

HOUR, DAY = 3600.0, 86400.0
MANAGERS = 2
PATIENCE = 120.0
CATCH_UPS = (CatchUp(int(6 * HOUR), "all"), CatchUp(int(2 * HOUR), "latest"))


class FaultyShard(Shard):
    """A shard as a manager sees it whose calls fail, whose answers get lost, and which is held up.

    Attributes:
        frozen: set while a call waits for `thaw`.
        working: calls that do not.
    """

    def __init__(self, shard: Shard, shards: Shards, random: Random, fault_rate: float) -> None:
        super().__init__(shard.index, shard.prefix, shards.topology)
        self._random = random
        self._fault_rate = fault_rate
        self.frozen = asyncio.Event()
        self.thaw = asyncio.Event()
        self.working = 0

    async def execute(self, *commands: Any, **options: Any) -> Any:
        """Run commands."""
        with self._counted():
            return await super().execute(*commands, **options)

    async def run(self, *args: Any, **options: Any) -> Any:
        """Run a script, or not, and lose its answer, or not."""
        await self._hold_up()
        if self._random.random() < self._fault_rate:
            raise ShardUnavailable("not sent")
        with self._counted():
            answer = await super().run(*args, **options)
        if self._random.random() < self._fault_rate:
            raise ShardUnavailable("the answer was lost", outcome_unknown=True)
        return answer

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self.working += 1
        try:
            yield
        finally:
            self.working -= 1

    async def _hold_up(self) -> None:
        if self._random.random() < self._fault_rate:
            self.frozen.set()
            await self.thaw.wait()
        with self._counted():
            for _ in range(self._random.choice((0, 0, 1, 20))):
                await asyncio.sleep(0)


class Watched:
    """A schedule, when it must run, and what has become of each instant.

    Attributes:
        passes: times at which managers have looked since it was last known what they did.
        next: the next instant, as stored then.
    """

    def __init__(self, schedule: Schedule, instants: Sequence[float], created_at: float) -> None:
        self.schedule = schedule
        self.instants = instants
        self.expected = frozenset(instants)
        self.created_at = created_at
        self.runs: Counter[float] = Counter()
        self.passes: set[float] = set()
        self.next = schedule.next_after(created_at, 0) or 0.0

    def settle(self, following: float) -> Iterator[str]:
        """Compare what was done with what must have been, up to the next instant that is stored now."""
        within, runs = self.schedule.catch_up.within_seconds, self.schedule.catch_up.runs
        first, end = bisect_left(self.instants, self.next), bisect_left(self.instants, following)
        # Of a whole year, only what has become of these is looked at; the last look is the same for all.
        last_look = max(self.passes, default=0.0)
        for place, instant in enumerate(self.instants[first:end], start=first):
            looked = [each for each in self.passes if each >= instant]
            if not looked:
                yield f"{self.schedule.name} has gone past {instant:.0f} before its time"
                continue
            is_latest = place + 1 == len(self.instants) or self.instants[place + 1] > last_look
            in_time = all(each <= instant + within for each in looked)
            must_run = in_time and (runs == "all" or (is_latest and len(looked) == 1))
            if must_run and not self.runs[instant]:
                yield f"{self.schedule.name} has lost {instant:.0f}, looked at {sorted(looked)}"
        if following > self.next:
            self.next = following
            self.passes.clear()


class RandomYear:
    """See the module.

    Args:
        random: decides everything; the same seed makes the same faults, if Redis answers in the same order.
    """

    def __init__(self, shards: Shards, random: Random) -> None:
        self.violations: list[str] = []
        self.runs = 0
        self._shards = shards
        self._random = random
        self._now = self._read_at = NOW
        self._watched: dict[str, Watched] = {}
        self._managers: list[tuple[ScheduleFiring, float]] = []
        self._killed: set[float] = set()
        self._frozen: list[tuple[float, FaultyShard, asyncio.Task[None]]] = []

    async def run_whole(self) -> None:
        """Play a year in one piece."""
        await self._play(0, NOW, NOW + 365 * DAY)

    async def run(self, days: float) -> None:
        """Play `days` around each change of a clock within a year."""
        changes = sorted(c.at for zone in ZONES for c in clock_changes("* 0,1,2,3 * * *", zone_of(zone), NOW))
        for number, change in enumerate(changes):
            await self._play(number, change - days / 2 * DAY, change + days / 2 * DAY)

    async def _play(self, number: int, start: float, end: float) -> None:
        self._now = start
        self._managers = [self._manager() for _ in range(MANAGERS)]
        self._watched.clear()
        for place, (expression, zone) in enumerate(product(EXPRESSIONS, ZONES)):
            catch_up = self._random.choice(CATCH_UPS)
            name = f"s{number}_{place}"
            schedule = a_schedule(name, expression.text, timezone=zone, overlap="allow", catch_up=catch_up)
            await create(self._shards, schedule, start)
            self._watched[name] = Watched(schedule, expression.instants(zone, start + 1, end + 2 * DAY), start)
        while self._now < end:
            await self._step()
        self._managers = [self._manager(fault_rate=0.0)]
        while self._frozen:
            await self._thaw()
        await self._step()
        for shard in self._shards:
            await shard.execute(("DEL", keys.schedules(shard.prefix)))

    def _manager(self, fault_rate: float = 0.05) -> tuple[ScheduleFiring, float]:
        return ScheduleFiring(self._shards), fault_rate

    async def _step(self) -> None:
        """Let time pass, and managers look."""
        event = self._random.random()
        if event < 0.02:
            self._now -= self._random.uniform(0, 2 * HOUR)  # the clock is set back, or another host is the master
        elif event < 0.05:
            self._now += self._random.uniform(0, 12 * HOUR)  # no manager runs
        else:
            self._now += self._random.expovariate(1 / 1800)
        if self._random.random() < 0.1:
            self._managers[self._random.randrange(len(self._managers))] = self._manager()
        # What a manager had sent when it was killed can arrive now.
        looked = {self._now, *self._killed}
        self._killed.clear()
        self._read_at = max(looked)
        for watched in self._watched.values():
            watched.passes |= looked
        for shard in self._shards:
            looks = [self._look(firing, shard, rate) for firing, rate in self._managers]
            if self._frozen and self._random.random() < 0.6:
                looks.append(self._thaw())
            whole = await asyncio.gather(*looks)
            await self._settle(shard, undisturbed=whole in ([True], [True, None], [None, True]))

    async def _look(self, firing: ScheduleFiring, shard: Shard, fault_rate: float) -> bool | None:
        """Let a manager run what is due; return whether it came to the end, or None if it did not look."""
        if self._random.random() < fault_rate:
            return None
        seen = FaultyShard(shard, self._shards, self._random, fault_rate)
        task = asyncio.create_task(firing.fire_due(seen, now=self._now))
        if self._random.random() < fault_rate:
            await asyncio.sleep(self._random.uniform(0, 0.002))
            task.cancel()
            self._killed.add(self._now)
        freezing = asyncio.create_task(seen.frozen.wait())
        await asyncio.wait({task, freezing}, return_when=asyncio.FIRST_COMPLETED)
        freezing.cancel()
        # What else it has begun comes to an end.
        idle = 0
        while not task.done() and idle < 5:
            idle = 0 if seen.working else idle + 1
            await asyncio.sleep(0)
        if not task.done():
            self._frozen.append((self._now, seen, task))
            return False
        return await _succeeds(task)

    async def _thaw(self) -> bool:
        """Let a manager go on with what it has read a while ago."""
        read_at, seen, task = self._frozen.pop(self._random.randrange(len(self._frozen)))
        for watched in self._watched.values():
            watched.passes.add(read_at)
        self._read_at = max(self._read_at, read_at)
        seen.frozen.clear()
        seen.thaw.set()
        await asyncio.wait({task})
        return await _succeeds(task) and False

    async def _take_jobs(self, shard: Shard) -> None:
        (ids,) = await shard.execute(("LPOP", keys.queue(shard.prefix, "default"), 100_000), timeout_seconds=PATIENCE)
        if not ids:
            return
        await shard.execute(("DEL", *(keys.job(shard.prefix, each.decode()) for each in ids)))
        for job_id in map(bytes.decode, ids):
            name, text = job_id.split("-")[:2]
            instant = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
            watched = self._watched.get(name)
            if watched is None:
                continue  # What a killed manager had sent arrives after the end of its part of the year.
            watched.runs[instant] += 1
            self.runs += 1
            if watched.runs[instant] > 1:
                self.violations.append(f"{job_id} was run again")
            if instant not in watched.expected:
                self.violations.append(f"{job_id} is at no instant of {watched.schedule.timing}")
            if instant > max(self._now, self._read_at):
                self.violations.append(f"{job_id} was run before its time")

    async def _settle(self, shard: Shard, *, undisturbed: bool) -> None:
        # A manager leaves to the other one what the other one has begun, even if that is killed then: until it looks
        # again. So what one of two leaves undone is no violation.
        all_stored = await _read_patiently(shard)
        # Afterwards: one that is held up with a schedule may go on with another one meanwhile.
        await self._take_jobs(shard)
        for stored in all_stored:
            watched, following = self._watched.get(stored.name), stored.progress.next
            if watched is None:
                continue
            assert following is not None
            if undisturbed and following <= self._now:
                self.violations.append(f"{stored.name} has not gone on at {self._now:.0f}")
            self.violations += watched.settle(following)


async def _read_patiently(shard: Shard) -> list[Stored]:
    # A machine that does much else can keep Redis from answering in time for a manager.
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(ShardUnavailable):
                return await read_schedules(shard)


async def _succeeds(task: asyncio.Task[None]) -> bool:
    try:
        await task
    except (ShardUnavailable, asyncio.CancelledError):
        return False
    return True
