"""The loop: what the acting manager sees, writes down and does."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from jobqueue.errors import ShardUnavailable
from jobqueue.maintenance.periodic import Maintenance
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerHeartbeat, send_worker_heartbeat
from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.instances import DescribedInstance, Intent
from scaler.loop import ScalerLoop
from scaler.metrics import ScalerMetrics
from scaler.policy import Limits
from scaler.state.operator_overrides import set_limits, set_paused
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import LIMITS, FakeFleet, NewLoop
from tests.waiting import until_async
from workmanager.local.valkey import ValkeyServer


async def _scaler_keys(shard: Shard, name: str) -> dict[str, str]:
    (flat,) = await shard.execute(("HGETALL", f"{shard.prefix}:wm:scaler:{name}"))
    return {key.decode(): text.decode() for key, text in zip(flat[::2], flat[1::2], strict=True)}


async def test_jobs_bring_workers_up_to_the_maximum_once(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", "b", now=clock.now)
    decision = await loop_.tick()
    assert decision is not None
    assert decision.launch == len(fleet.launched) == 2
    await loop_.tick()
    assert len(fleet.launched) == 2
    await enqueue_jobs(shard, "c", "d", "e", now=clock.now)
    await loop_.tick()
    await fleet.arrive(shard, *fleet.launched[:2])
    await loop_.tick()
    assert len(fleet.launched) == 3


async def test_the_decision_is_written_down_with_its_reason(shard: Shard, loop_: ScalerLoop, clock: FakeClock) -> None:
    await enqueue_jobs(shard, "a", now=clock.now)
    decision = await loop_.tick()
    (entry,) = await shard.execute(("LINDEX", f"{shard.prefix}:wm:scaler:decisions", 0))
    assert decision is not None
    assert decision.reason.encode() in entry


async def test_two_loops_at_once_never_launch_more_than_the_maximum(
    shard: Shard, new_loop: NewLoop, clock: FakeClock
) -> None:
    """Also where the lease changes hands between what a loop sees and what it does."""
    fleet = SlowFleet(shard)
    loops = [new_loop(fleet, number) for number in range(2)]
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(50)), now=clock.now)

    async def depose() -> None:
        for _ in range(60):
            await shard.execute(("HSET", f"{shard.prefix}:wm:scaler:leader", "until", 0))
            await asyncio.sleep(0.002)

    async def tick(loop: ScalerLoop) -> None:
        for _ in range(30):
            await loop.tick()

    await asyncio.gather(*(tick(loop) for loop in loops), depose())
    await loops[0].tick()
    await loops[1].tick()
    assert len(fleet.launched) == LIMITS.max_workers
    assert fleet.unwritten == []


async def test_who_does_not_lead_does_nothing(
    shard: Shard, new_loop: NewLoop, loop_: ScalerLoop, clock: FakeClock
) -> None:
    await loop_.tick()
    other = FakeFleet()
    await enqueue_jobs(shard, "a", now=clock.now)
    assert await new_loop(other, 2).tick() is None
    assert other.launched == []


async def test_a_lost_answer_is_asked_for_again_under_the_same_token_by_whoever_leads(
    shard: Shard, new_loop: NewLoop, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", "b", now=clock.now)
    fleet.launch_error = FleetError(Cause.UNKNOWN, "ReadTimeoutError", "no answer")
    await loop_.tick()
    assert len(await _scaler_keys(shard, "intents")) == 1
    clock.advance(6.0)
    fleet.launch_error = None
    await new_loop(fleet, 2).tick()
    assert len(set(fleet.launch_tokens)) == 1
    assert len(fleet.launch_tokens) == 2
    assert await _scaler_keys(shard, "intents") == {}
    assert set(await _scaler_keys(shard, "instances")) == set(fleet.launched)


async def test_what_a_paused_leader_may_still_ask_for_counts_for_a_while(
    shard: Shard, new_loop: NewLoop, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    """Its successor hears that there is none left; its own call, when it wakes up, may find some."""
    await enqueue_jobs(shard, "a", "b", "c", now=clock.now)
    fleet.launch_error = FleetError(Cause.UNKNOWN, "ReadTimeoutError", "no answer")
    await loop_.tick()
    fleet.launch_error = FleetError(Cause.CAPACITY, "InsufficientInstanceCapacity", "none left")
    successor = new_loop(fleet, 2)
    clock.advance(6.0)
    await successor.tick()
    assert len(await _scaler_keys(shard, "intents")) == 1
    clock.advance(60.0)
    await successor.tick()
    assert await _scaler_keys(shard, "intents") == {}
    assert len(set(fleet.launch_tokens)) == 1


async def test_a_leader_whose_lease_may_have_run_out_asks_for_nothing(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look_for_long() -> list[DescribedInstance]:
        clock.advance(4.5)
        return []

    monkeypatch.setattr(fleet, "describe", look_for_long)
    await enqueue_jobs(shard, "a", now=clock.now)
    assert await loop_.tick() is None
    assert fleet.launch_tokens == []


async def test_nobody_is_let_go_while_the_fleet_is_not_seen(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def show_nothing() -> list[DescribedInstance]:
        raise FleetError(Cause.THROTTLED, "RequestLimitExceeded", "slow down")

    await fleet.arrive(shard, "one")
    drained = 0
    with monkeypatch.context() as patched:
        patched.setattr(fleet, "describe", show_nothing)
        for _ in range(60):
            drained += await _drained(shard, loop_, clock)
    assert drained == 0
    assert await _drained(shard, loop_, clock) == 1


async def test_a_fleet_in_which_nothing_changes_is_looked_at_twice_a_minute(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    describe = fleet.describe

    async def count() -> Sequence[DescribedInstance]:
        nonlocal looks
        looks += 1
        return await describe()

    monkeypatch.setattr(fleet, "describe", count)
    fleet.profile = replace(fleet.profile, poll_seconds=5.0, idle_poll_seconds=30.0)
    fleet.described["one"] = DescribedInstance("one", clock.now)
    await fleet.arrive(shard, "one")
    await loop_.tick()
    looks = 0
    for _ in range(60):
        clock.advance(1.0)
        await send_worker_heartbeat(shard, "one", WorkerHeartbeat("busy", 1, 0, 0, 0.0))
        await loop_.tick()
    assert looks == 2


async def test_throttled_launches_wait_and_leave_nothing_behind(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", now=clock.now)
    fleet.launch_error = FleetError(Cause.THROTTLED, "RequestLimitExceeded", "slow down")
    await loop_.tick()
    assert await _scaler_keys(shard, "intents") == {}
    await loop_.tick()
    assert len(fleet.launch_tokens) == 1
    fleet.launch_error = None
    clock.advance(2.0)
    await loop_.tick()
    assert len(fleet.launched) == 1


async def test_what_is_short_is_not_asked_for_again_for_a_while(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", now=clock.now)
    fleet.launch_error = FleetError(Cause.CAPACITY, "InsufficientInstanceCapacity", "none left")
    await loop_.tick()
    fleet.launch_error = None
    clock.advance(100.0)
    await loop_.tick()
    assert len(fleet.launch_tokens) == 1
    clock.advance(100.0)
    await loop_.tick()
    assert len(fleet.launched) == 1


async def test_paused_it_launches_nothing_and_lets_nobody_go(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await set_paused(shard, paused=True)
    await enqueue_jobs(shard, "a", now=clock.now)
    await loop_.tick()
    assert fleet.launched == []
    await set_paused(shard, paused=False)
    await loop_.tick()
    assert len(fleet.launched) == 1


async def test_operators_limits_hold_at_once(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await set_limits(shard, {"max_workers": 1})
    await enqueue_jobs(shard, "a", "b", "c", now=clock.now)
    await loop_.tick()
    assert len(fleet.launched) == 1
    await set_limits(shard, {"max_workers": None})
    await loop_.tick()
    assert len(fleet.launched) == 3


async def test_a_started_loop_ticks_by_itself_and_hands_over_when_it_stops(redis_url: str, fleet: FakeFleet) -> None:
    shards = await Shards.connect(redis_url)
    await enqueue_jobs(shards.all[0], "a")
    first, second = (_real_loop(shards, fleet, number) for number in (1, 2))
    first.start()

    async def has_launched() -> bool:
        return bool(fleet.launched)

    await until_async(has_launched, wanted="a launch")
    assert await second.tick() is None
    await first.stop()
    assert fleet.closed
    assert await second.tick() is not None
    await shards.close()


async def test_a_job_into_an_empty_system_is_acted_upon_at_once(
    redis_url: str, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever put it there: the bell that wakes idle workers rings for the scaler where there are none."""
    monkeypatch.setattr("scaler.loop.TICK_SECONDS", 3600.0)
    shards = await Shards.connect(redis_url)
    loop = _real_loop(shards, fleet, 1)
    loop.start()
    await loop.tick()
    care = asyncio.create_task(Maintenance(shards, redis_url, on_job=loop.wake).run())
    await enqueue_jobs(shards.all[0], "a")

    async def has_launched() -> bool:
        return bool(fleet.launched)

    await until_async(has_launched, wanted="a launch")
    care.cancel()
    await asyncio.gather(care, return_exceptions=True)
    await loop.stop()
    await shards.close()


async def test_a_tick_under_way_ends_before_the_fleet_is_let_go_of(redis_url: str) -> None:
    shards = await Shards.connect(redis_url)
    fleet = SlowFleet(shards.all[0], seconds=0.3)
    loop = _real_loop(shards, fleet, 1)
    await enqueue_jobs(shards.all[0], "a")
    loop.start()

    async def is_launching() -> bool:
        return fleet.launching

    await until_async(is_launching, wanted="a launch")
    await loop.stop()
    assert fleet.order == ["launched", "closed"]
    await shards.close()


async def test_with_stale_numbers_nothing_is_decided(private_server: ValkeyServer) -> None:
    fleet = FakeFleet()
    shards = await Shards.connect(private_server.url)
    loop = ScalerLoop(shards, fleet, Limits(1, 3), "host:1", ScalerMetrics(CollectorRegistry()))
    private_server.kill()
    with pytest.raises(ShardUnavailable):
        await loop.tick()
    assert fleet.launched == []
    await shards.close()


async def _drained(shard: Shard, loop: ScalerLoop, clock: FakeClock) -> int:
    """A second and a round later: how many are let go of."""
    clock.advance(1.0)
    await send_worker_heartbeat(shard, "one", WorkerHeartbeat("idle", 0, 0, 0, 0.0))
    decision = await loop.tick()
    return decision.drain if decision else 0


def _real_loop(shards: Shards, fleet: FakeFleet, number: int) -> ScalerLoop:
    return ScalerLoop(shards, fleet, LIMITS, f"host:{number}", ScalerMetrics(CollectorRegistry()))


class SlowFleet(FakeFleet):
    """Takes its time, and looks whether what it launches was written down before."""

    def __init__(self, shard: Shard, seconds: float = 0.005) -> None:
        super().__init__()
        self._shard = shard
        self._seconds = seconds
        self.launching = False
        self.unwritten: list[str] = []
        self.order: list[str] = []

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        self.launching = True
        if intent.token not in await _scaler_keys(self._shard, "intents"):
            self.unwritten.append(intent.token)
        await asyncio.sleep(self._seconds)
        sightings = await super().launch(intent, repeated=repeated)
        self.order.append("launched")
        return sightings

    async def close(self) -> None:
        await super().close()
        self.order.append("closed")
