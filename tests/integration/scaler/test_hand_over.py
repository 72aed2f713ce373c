"""A leader whose calls the fleet refuses lets another manager lead: the fault can be this manager's alone."""

from collections.abc import Sequence

import pytest

from jobqueue.sharding.shard import Shard
from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.instances import DescribedInstance
from scaler.fleets.refusals import FIRST_PATIENCE_SECONDS
from scaler.loop import STAND_BACK_SECONDS, ScalerLoop
from scaler.state.launch_breaker import MAX_BACKOFF_SECONDS
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import FakeFleet, NewLoop

STEP_SECONDS = 4.0
"""Less than a lease."""
NO_CREDENTIALS = FleetError(Cause.REFUSED, "NoCredentialsError", "the metadata service does not answer")
FORBIDDEN = FleetError(Cause.REFUSED, "UnauthorizedOperation", "the role allows another template version")


class SilentFleet(FakeFleet):
    """A manager without credentials: nothing can be asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.launch_error = NO_CREDENTIALS

    async def describe(self) -> Sequence[DescribedInstance]:
        raise NO_CREDENTIALS


class ForbiddenFleet(FakeFleet):
    """A manager whose role does not allow its launches, but descriptions."""

    def __init__(self) -> None:
        super().__init__()
        self.launch_error = FORBIDDEN


async def _pass_time(seconds: float, clock: FakeClock, *loops: ScalerLoop) -> None:
    for _ in range(int(seconds / STEP_SECONDS)):
        clock.advance(STEP_SECONDS)
        for loop in loops:
            await loop.run_round()


@pytest.mark.parametrize("fleet", [SilentFleet(), ForbiddenFleet()], ids=["no credentials", "forbidden"])
async def test_a_manager_that_is_allowed_to_launches_in_time(
    shard: Shard, new_loop: NewLoop, clock: FakeClock, fleet: FakeFleet
) -> None:
    other = FakeFleet()
    loops = [new_loop(fleet, 1), new_loop(other, 2)]
    await enqueue_jobs(shard, "a", now=clock.now)
    # A call shows that refusals have lasted, and calls are made after pauses that grow.
    await _pass_time(FIRST_PATIENCE_SECONDS + MAX_BACKOFF_SECONDS + STAND_BACK_SECONDS, clock, *loops)
    assert other.launched
    # The other one keeps the lead.
    await _pass_time(2 * STAND_BACK_SECONDS, clock, *loops)
    assert await loops[0].acquire_leadership() is None
    assert await loops[1].acquire_leadership() is not None


async def test_the_only_manager_leads_again(shard: Shard, new_loop: NewLoop, clock: FakeClock) -> None:
    fleet = SilentFleet()
    loop = new_loop(fleet, 1)
    await enqueue_jobs(shard, "a", now=clock.now)
    away = 0
    for _ in range(40):
        clock.advance(STEP_SECONDS)
        away += await loop.run_round() is None
    assert 1 <= away <= STAND_BACK_SECONDS / STEP_SECONDS
