"""A launch took effect, its answer was lost, and its repetition is refused: the limit holds, nothing healthy ends."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from scaler.apply.open_launches import INTENT_HOLD_SECONDS, UNSEEN_SECONDS
from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.instances import DescribedInstance, Intent
from scaler.loop import ScalerLoop
from scaler.state.leader_election import LEADER_LEASE_SECONDS
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import LIMITS, FakeFleet, NewLoop, read_stored

REFUSALS = [
    FleetError(Cause.REFUSED, "ExpiredToken", "the security token has expired"),
    FleetError(Cause.REFUSED, "IdempotentParameterMismatch", "other arguments"),
    FleetError(Cause.THROTTLED, "RequestLimitExceeded", "slow down"),
    FleetError(Cause.CAPACITY, "InsufficientInstanceCapacity", "none left"),
    FleetError(Cause.GONE, "IdempotentInstanceTerminated", "one of them has terminated"),
]


class ForgetfulFleet(FakeFleet):
    """Loses the answer to its first launch, refuses its repetitions, and describes new instances late.

    Attributes:
        refusal: error of the repetitions.
        visible: how many of the instances are described.
    """

    def __init__(self, refusal: FleetError) -> None:
        super().__init__()
        self.profile = replace(self.profile, boot_timeout_seconds=300.0)
        self.refusal = refusal
        self.visible = 0

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        is_first = not self.launch_tokens
        if intent.token in self.launch_tokens:
            self.launch_tokens.append(intent.token)
            raise self.refusal
        launched = await super().launch(intent, repeated=repeated)
        if is_first:
            raise FleetError(Cause.UNKNOWN, "ReadTimeoutError", "no answer")
        return launched

    async def describe(self) -> Sequence[DescribedInstance]:
        return list(self.described.values())[: self.visible]


@pytest.fixture
def fleet(request: pytest.FixtureRequest) -> ForgetfulFleet:
    return ForgetfulFleet(getattr(request, "param", REFUSALS[0]))


@pytest.fixture
async def loop_(shard: Shard, new_loop: NewLoop, fleet: ForgetfulFleet, clock: FakeClock) -> ScalerLoop:
    """A loop whose launch of as many instances as are allowed had no answer; many jobs wait."""
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(20)), now=clock.now)
    loop = new_loop(fleet)
    await loop.run_round()
    assert len(fleet.launched) == LIMITS.max_workers
    return loop


async def _end_backoff(shard: Shard) -> None:
    await shard.execute(("DEL", keys.scaler(shard.prefix, "caution")))


async def _run(loop: ScalerLoop, clock: FakeClock, seconds: float) -> None:
    until = clock.now + seconds
    while clock.now < until:
        clock.advance(1.0)
        await loop.run_round()


@pytest.mark.parametrize("fleet", REFUSALS, ids=lambda refusal: refusal.code, indirect=True)
async def test_the_limit_holds_until_the_instances_are_described(
    shard: Shard, loop_: ScalerLoop, fleet: ForgetfulFleet, clock: FakeClock
) -> None:
    await _run(loop_, clock, 60.0)
    fleet.visible = LIMITS.max_workers
    await _run(loop_, clock, 2.0)
    assert await read_stored(shard, "intents") == {}
    assert set(await read_stored(shard, "instances")) == set(fleet.launched)
    assert len(fleet.launched) == LIMITS.max_workers
    await fleet.register_workers(shard, *fleet.launched)
    await _run(loop_, clock, 5.0)
    assert fleet.terminated == []
    # A repetition only helps if the refusal ends: it is seldom sent.
    assert len(fleet.launch_tokens) <= 6


async def test_a_launch_that_brought_nothing_is_given_up_in_time(
    shard: Shard, loop_: ScalerLoop, fleet: ForgetfulFleet, clock: FakeClock
) -> None:
    fleet.described.clear()
    await _run(loop_, clock, UNSEEN_SECONDS - 5.0)
    assert len(await read_stored(shard, "intents")) == 1
    await _run(loop_, clock, 10.0)
    assert await read_stored(shard, "intents") == {}
    await _end_backoff(shard)
    await _run(loop_, clock, 2.0)
    assert len(fleet.launched) == LIMITS.max_workers


async def test_some_of_its_instances_are_kept_and_the_rest_is_launched_anew(
    shard: Shard, loop_: ScalerLoop, fleet: ForgetfulFleet, clock: FakeClock
) -> None:
    lost = fleet.described.popitem()[0]
    fleet.visible = 10
    await _run(loop_, clock, UNSEEN_SECONDS - 5.0)
    assert await read_stored(shard, "instances") == {}
    await _run(loop_, clock, 10.0)
    assert set(await read_stored(shard, "instances")) == set(fleet.launched)
    assert lost not in fleet.launched
    await _end_backoff(shard)
    await fleet.register_workers(shard, *fleet.launched)
    await _run(loop_, clock, 10.0)
    assert len(fleet.launched) == LIMITS.max_workers
    assert fleet.terminated == []


async def test_the_next_leader_waits_longer_because_the_former_one_may_still_send_its_call(
    shard: Shard, new_loop: NewLoop, loop_: ScalerLoop, fleet: ForgetfulFleet, clock: FakeClock
) -> None:
    fleet.described.clear()
    clock.advance(LEADER_LEASE_SECONDS + 1.0)
    next_leader = new_loop(fleet, 2)
    await _run(next_leader, clock, INTENT_HOLD_SECONDS - 5.0)
    assert len(await read_stored(shard, "intents")) == 1
    await _run(next_leader, clock, 10.0)
    assert await read_stored(shard, "intents") == {}
