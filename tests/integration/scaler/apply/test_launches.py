"""Launches: recorded before they are requested, repeated under their token, and held back after failures."""

import asyncio

import pytest

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from scaler.apply.open_launches import INTENT_HOLD_SECONDS, MAX_REPEAT_SECONDS
from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.instances import DescribedInstance, Intent
from scaler.loop import ScalerLoop
from scaler.state.launch_breaker import FIRST_BACKOFF_SECONDS, POOL_COOLDOWN_SECONDS
from scaler.state.leader_election import LEADER_LEASE_SECONDS, LEASE_TRUSTED_SECONDS
from scaler.state.operator_overrides import set_limits, set_paused
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import LIMITS, FakeFleet, NewLoop, read_stored

NO_ANSWER = FleetError(Cause.UNKNOWN, "ReadTimeoutError", "no answer")
NO_CAPACITY = FleetError(Cause.CAPACITY, "InsufficientInstanceCapacity", "none left")
THROTTLED = FleetError(Cause.THROTTLED, "RequestLimitExceeded", "slow down")


class CheckingFleet(FakeFleet):
    """Takes its time to launch, and checks that each launch was recorded before it was requested."""

    def __init__(self, shard: Shard) -> None:
        super().__init__()
        self._shard = shard
        self.unrecorded: list[str] = []

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        if intent.token not in await read_stored(self._shard, "intents"):
            self.unrecorded.append(intent.token)
        await asyncio.sleep(0.005)
        return await super().launch(intent, repeated=repeated)


class QuotaFleet(FakeFleet):
    """Refuses a call as a whole if its quota has no room for all instances."""

    def __init__(self, quota: int) -> None:
        super().__init__()
        self.quota = quota

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        if len(self.launched) + intent.request.count > self.quota:
            raise FleetError(Cause.CAPACITY, "VcpuLimitExceeded", "more than the quota allows")
        return await super().launch(intent, repeated=repeated)


async def test_jobs_launch_workers_up_to_the_maximum_once(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", "b", now=clock.now)
    decision = await loop_.run_round()
    assert decision is not None
    assert decision.launch == len(fleet.launched) == 2
    await loop_.run_round()
    assert len(fleet.launched) == 2
    await enqueue_jobs(shard, "c", "d", "e", now=clock.now)
    await loop_.run_round()
    await fleet.register_workers(shard, *fleet.launched[:2])
    await loop_.run_round()
    assert len(fleet.launched) == LIMITS.max_workers


async def test_two_loops_never_launch_more_than_the_maximum(shard: Shard, new_loop: NewLoop, clock: FakeClock) -> None:
    """Even if the leader changes between what a loop observes and what it does."""
    fleet = CheckingFleet(shard)
    loops = [new_loop(fleet, number) for number in range(2)]
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(50)), now=clock.now)

    async def expire_leases() -> None:
        for _ in range(60):
            await shard.execute(("HSET", keys.scaler(shard.prefix, "leader"), "until", 0))
            await asyncio.sleep(0.002)

    async def run_round(loop: ScalerLoop) -> None:
        for _ in range(30):
            await loop.run_round()

    await asyncio.gather(*(run_round(loop) for loop in loops), expire_leases())
    await loops[0].run_round()
    await loops[1].run_round()
    assert len(fleet.launched) == LIMITS.max_workers
    assert fleet.unrecorded == []


async def test_the_next_leader_repeats_an_unanswered_launch_under_the_same_token(
    shard: Shard, new_loop: NewLoop, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", "b", now=clock.now)
    fleet.launch_error = NO_ANSWER
    await loop_.run_round()
    assert len(await read_stored(shard, "intents")) == 1
    clock.advance(LEADER_LEASE_SECONDS + 1)
    fleet.launch_error = None
    await new_loop(fleet, 2).run_round()
    assert len(set(fleet.launch_tokens)) == 1
    assert len(fleet.launch_tokens) == 2
    assert await read_stored(shard, "intents") == {}
    assert set(await read_stored(shard, "instances")) == set(fleet.launched)


async def test_the_next_leader_pauses_before_it_repeats_an_old_launch(
    shard: Shard, new_loop: NewLoop, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    """Otherwise leaders that change often would repeat all launches each time."""
    await enqueue_jobs(shard, "a", "b", now=clock.now)
    fleet.launch_error = NO_ANSWER
    await loop_.run_round()
    clock.advance(600)
    next_leader = new_loop(fleet, 2)
    await next_leader.run_round()
    assert len(fleet.launch_tokens) == 1
    for _ in range(int(MAX_REPEAT_SECONDS)):
        clock.advance(1)
        await next_leader.run_round()
    assert len(fleet.launch_tokens) > 1
    assert len(set(fleet.launch_tokens)) == 1


async def test_launches_that_a_paused_leader_may_still_request_count_for_a_while(
    shard: Shard, new_loop: NewLoop, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    """The next leader gets no instances. The former leader, when it resumes, may still get some."""
    await enqueue_jobs(shard, "a", "b", "c", now=clock.now)
    fleet.launch_error = NO_ANSWER
    await loop_.run_round()
    fleet.launch_error = NO_CAPACITY
    next_leader = new_loop(fleet, 2)
    clock.advance(LEADER_LEASE_SECONDS + 1)
    await next_leader.run_round()
    assert len(await read_stored(shard, "intents")) == 1
    clock.advance(INTENT_HOLD_SECONDS)
    await next_leader.run_round()
    assert await read_stored(shard, "intents") == {}
    assert len(set(fleet.launch_tokens)) == 1


async def test_a_leader_whose_lease_may_have_expired_launches_nothing(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def describe_slowly() -> list[DescribedInstance]:
        clock.advance(LEASE_TRUSTED_SECONDS + 0.5)
        return []

    monkeypatch.setattr(fleet, "describe", describe_slowly)
    await enqueue_jobs(shard, "a", now=clock.now)
    assert await loop_.run_round() is None
    assert fleet.launch_tokens == []


async def test_throttled_launches_back_off_and_leave_no_intents(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", now=clock.now)
    fleet.launch_error = THROTTLED
    await loop_.run_round()
    assert await read_stored(shard, "intents") == {}
    await loop_.run_round()
    assert len(fleet.launch_tokens) == 1
    fleet.launch_error = None
    clock.advance(2 * FIRST_BACKOFF_SECONDS)
    await loop_.run_round()
    assert len(fleet.launched) == 1


async def test_a_pool_without_capacity_is_not_requested_while_it_cools_down(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", now=clock.now)
    fleet.launch_error = NO_CAPACITY
    await loop_.run_round()
    fleet.launch_error = None
    clock.advance(POOL_COOLDOWN_SECONDS - 1)
    await loop_.run_round()
    assert len(fleet.launch_tokens) == 1
    clock.advance(2.0)
    await loop_.run_round()
    assert len(fleet.launched) == 1


async def test_a_quota_that_refuses_calls_for_more_than_fit_is_used_up(
    shard: Shard, new_loop: NewLoop, clock: FakeClock
) -> None:
    """At once, also by the next leader; then the pool cools down."""
    fleet = QuotaFleet(quota=LIMITS.max_workers - 1)
    await enqueue_jobs(shard, "a", "b", "c", now=clock.now)
    first = new_loop(fleet, 1)
    await first.run_round()
    assert fleet.launched == []
    clock.advance(LEADER_LEASE_SECONDS + 1)
    leader = new_loop(fleet, 2)
    launched = []
    for _ in range(5):
        await leader.run_round()
        launched.append(len(fleet.launched))
    assert launched == [1, 1, 2, 2, 2]  # after one it asks for two, then for one again
    fleet.quota += 1
    clock.advance(POOL_COOLDOWN_SECONDS - 1)
    await leader.run_round()
    assert len(fleet.launched) == fleet.quota - 1
    clock.advance(2)
    await leader.run_round()
    assert len(fleet.launched) == fleet.quota


async def test_a_paused_scaler_launches_nothing_until_it_is_resumed(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await set_paused(shard, paused=True)
    await enqueue_jobs(shard, "a", now=clock.now)
    await loop_.run_round()
    assert fleet.launched == []
    await set_paused(shard, paused=False)
    await loop_.run_round()
    assert len(fleet.launched) == 1


async def test_operators_limits_take_effect_in_the_next_round(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await set_limits(shard, {"max_workers": 1})
    await enqueue_jobs(shard, "a", "b", "c", now=clock.now)
    await loop_.run_round()
    assert len(fleet.launched) == 1
    await set_limits(shard, {"max_workers": None})
    await loop_.run_round()
    assert len(fleet.launched) == LIMITS.max_workers
