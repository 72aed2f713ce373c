"""The loop: what the acting manager sees, writes down and does."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.shards import Shard, Shards
from jobqueue.workers import Beat, Command, beat, wait
from scaler.loop import BOOT_SECONDS, SILENT_SECONDS, ScalerLoop
from scaler.policy import Limits
from tests.integration.jobqueue.books import put, take
from tests.integration.scaler.conftest import PaperFleet
from tests.waiting import until_async
from workmanager.valkey import ValkeyServer

LIMITS = Limits(min_workers=0, max_workers=3, idle_seconds=0.0)


@pytest.fixture
def loop_(shards: Shards, fleet: PaperFleet) -> ScalerLoop:
    """A manager's loop, ticked by the test."""
    return ScalerLoop(shards, fleet, LIMITS, "host:1")


async def test_jobs_bring_workers_up_to_the_maximum_once(shard: Shard, loop_: ScalerLoop, fleet: PaperFleet) -> None:
    await put(shard, "a", "b", now=time.time())
    decision = await loop_.tick()
    assert decision is not None
    assert decision.launch == len(fleet.launched) == 2
    await loop_.tick()
    assert len(fleet.launched) == 2
    await put(shard, "c", "d", "e", now=time.time())
    await loop_.tick()
    await fleet.arrive(shard, *fleet.launched[:2])
    await loop_.tick()
    assert len(fleet.launched) == len(set(fleet.launched)) == 3


async def test_the_decision_is_written_down_with_its_reason(shard: Shard, loop_: ScalerLoop) -> None:
    await put(shard, "a", now=time.time())
    decision = await loop_.tick()
    (entry,) = await shard.execute(("LINDEX", f"{shard.prefix}:wm:scaler:decisions", 0))
    assert decision is not None
    assert decision.reason.encode() in entry


async def test_two_loops_at_once_never_launch_more_than_the_maximum(shards: Shards, shard: Shard) -> None:
    """Also where the lease changes hands between what a loop sees and what it does."""
    fleets = [SlowFleet(shard), SlowFleet(shard)]
    loops = [ScalerLoop(shards, fleet, LIMITS, f"host:{n}") for n, fleet in enumerate(fleets)]
    await put(shard, *(f"job-{number}" for number in range(50)), now=time.time())

    async def depose() -> None:
        for _ in range(60):
            await shard.execute(("HSET", f"{shard.prefix}:wm:scaler:leader", "until", 0))
            await asyncio.sleep(0.002)

    async def tick(loop: ScalerLoop) -> None:
        for _ in range(30):
            await loop.tick()

    await asyncio.gather(*(tick(loop) for loop in loops), depose())
    launched = [id_ for fleet in fleets for id_ in fleet.launched]
    assert len(launched) == LIMITS.max_workers
    assert all(fleet.launched_unwritten == [] for fleet in fleets)


async def test_who_does_not_lead_does_nothing(shards: Shards, shard: Shard, loop_: ScalerLoop) -> None:
    await loop_.tick()
    other = PaperFleet()
    await put(shard, "a", now=time.time())
    assert await ScalerLoop(shards, other, LIMITS, "host:2").tick() is None
    assert other.launched == []


async def test_a_worker_that_never_registers_is_discarded_and_replaced(
    shard: Shard, loop_: ScalerLoop, fleet: PaperFleet
) -> None:
    await put(shard, "a", now=time.time())
    await loop_.tick()
    (lost,) = fleet.launched
    (at,) = await shard.execute(("HGET", f"{shard.prefix}:wm:scaler:launches", lost))
    await shard.execute(("HSET", f"{shard.prefix}:wm:scaler:launches", lost, int(at) - int(BOOT_SECONDS) - 1))
    await loop_.tick()
    assert fleet.discarded == [lost]
    assert len(fleet.launched) == 2
    assert await shard.execute(("HKEYS", f"{shard.prefix}:wm:scaler:launches")) == [[fleet.launched[1].encode()]]


async def test_idle_workers_are_told_to_drain_and_busy_ones_are_not(
    shard: Shard, loop_: ScalerLoop, fleet: PaperFleet
) -> None:
    await fleet.arrive(shard, "idle", "busy")
    await beat(shard, "w-busy", Beat("busy", 1, 0, 0, 0.0))

    async def has_drained_one() -> bool:
        decision = await loop_.tick()
        return decision is not None and decision.drain == 1

    # A gap is bridged for a share of what a launch costs, even where the operator asks for no more.
    await until_async(has_drained_one, 10.0)
    assert await wait(shard, "w-idle", (), for_work=False, seconds=1) == Command("drain")
    assert await wait(shard, "w-busy", (), for_work=False, seconds=0.05) is None


async def test_workers_of_others_are_not_touched(shards: Shards, shard: Shard, loop_: ScalerLoop) -> None:
    foreign = PaperFleet()
    foreign.name = "somebody's"
    await foreign.arrive(shard, "x")
    decision = await loop_.tick()
    assert decision is not None
    assert (decision.launch, decision.drain) == (0, 0)


async def test_a_silent_worker_is_no_capacity(shard: Shard, loop_: ScalerLoop, fleet: PaperFleet) -> None:
    """Its leases have run out, so its jobs wait for somebody else."""
    await fleet.arrive(shard, "dead")
    await put(shard, "a", now=time.time())
    await loop_.tick()
    assert fleet.launched == []
    (seconds, _), *_ = await shard.execute(("TIME",))
    await shard.execute(("ZADD", f"{shard.prefix}:wm:workers", int(seconds) - int(SILENT_SECONDS), "w-dead"))
    await loop_.tick()
    assert len(fleet.launched) == 1


async def test_jobs_that_run_keep_their_workers(shard: Shard, loop_: ScalerLoop, fleet: PaperFleet) -> None:
    await fleet.arrive(shard, "one")
    await put(shard, "a", now=time.time())
    await take(shard, now=time.time())
    decision = await loop_.tick()
    assert decision is not None
    assert (decision.launch, decision.drain) == (0, 0)


async def test_a_started_loop_ticks_by_itself_and_hands_over_when_it_stops(
    shards: Shards, shard: Shard, fleet: PaperFleet
) -> None:
    await put(shard, "a", now=time.time())
    first, second = (ScalerLoop(shards, fleet, LIMITS, f"host:{number}") for number in (1, 2))
    first.start()

    async def has_launched() -> bool:
        return bool(fleet.launched)

    await until_async(has_launched, 5.0)
    assert await second.tick() is None
    await first.stop()
    assert fleet.closed
    assert await second.tick() is not None


async def test_a_tick_under_way_ends_before_the_fleet_is_let_go_of(shards: Shards, shard: Shard) -> None:
    fleet = SlowFleet(shard, seconds=0.3)
    loop = ScalerLoop(shards, fleet, LIMITS, "host:1")
    await put(shard, "a", now=time.time())
    loop.start()

    async def is_launching() -> bool:
        return fleet.launching

    await until_async(is_launching, 5.0)
    await loop.stop()
    assert fleet.launched
    assert fleet.closed
    assert fleet.order == ["launched", "closed"]


async def test_with_stale_numbers_nothing_is_decided(private_server: ValkeyServer) -> None:
    fleet = PaperFleet()
    shards = await Shards.connect(private_server.url)
    loop = ScalerLoop(shards, fleet, Limits(1, 3), "host:1")
    private_server.kill()
    with pytest.raises(ShardUnavailable):
        await loop.tick()
    assert fleet.launched == []
    await shards.close()


class SlowFleet(PaperFleet):
    """Takes its time, and looks whether what it launches was written down before."""

    def __init__(self, shard: Shard, seconds: float = 0.005) -> None:
        super().__init__()
        self._shard = shard
        self._seconds = seconds
        self.launching = False
        self.launched_unwritten: list[str] = []
        self.order: list[str] = []

    async def launch(self, instance_ids: Sequence[str]) -> None:
        self.launching = True
        key = f"{self._shard.prefix}:wm:scaler:launches"
        written = await self._shard.execute(*(("HEXISTS", key, id_) for id_ in instance_ids))
        self.launched_unwritten += [id_ for id_, there in zip(instance_ids, written, strict=True) if not there]
        await asyncio.sleep(self._seconds)
        await super().launch(instance_ids)
        self.order.append("launched")

    async def close(self) -> None:
        await super().close()
        self.order.append("closed")
