"""An instance that EC2 does not let go, or does not know: the others end; it is told, counts, is asked for seldom."""

import logging

import pytest

from jobqueue.sharding.shard import Shard
from jobqueue.workers.registry import WorkerRecord, register, unregister
from scaler.apply.terminations import REFUSED_PAUSE_SECONDS, UNKNOWN_PAUSE_SECONDS
from scaler.fleets.ec2.capacity_pools import Ec2Plan
from scaler.fleets.ec2.fleet import Ec2Fleet
from scaler.loop import ScalerLoop
from scaler.policy import Limits
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import NewLoop
from tests.integration.scaler.fleets.scripted_ec2 import ScriptedEc2

LIMITS = Limits(min_workers=0, max_workers=6, min_billed_seconds=60.0, min_idle_seconds=0.0)


@pytest.fixture
async def ec2(clock: FakeClock) -> ScriptedEc2:
    return ScriptedEc2(clock)


@pytest.fixture
async def loop_(shard: Shard, new_loop: NewLoop, ec2: ScriptedEc2, clock: FakeClock) -> ScalerLoop:
    """A loop with as many instances as are allowed. Their workers have exited, so all must end. Many jobs wait."""
    fleet = Ec2Fleet(ec2, Ec2Plan("c", "workers", subnets=("s-a", "s-b"), spot=False))
    loop = new_loop(fleet, limits=LIMITS)
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(50)), now=clock.now)
    await loop.run_round()
    for id_ in ec2.living:
        await register(shard, WorkerRecord(id_, "host", 1, ("default",), 1, fleet.name, id_))
    await loop.run_round()
    for id_ in ec2.living:
        await unregister(shard, id_, ("default",))
    return loop


async def _run(loop: ScalerLoop, clock: FakeClock, seconds: float) -> None:
    until = clock.now + seconds
    while clock.now < until:
        clock.advance(1.0)
        await loop.run_round()


async def test_the_others_end_and_the_protected_ones_count_and_are_told_once(
    loop_: ScalerLoop, ec2: ScriptedEc2, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    protected = ec2.living[4], ec2.living[1]
    ec2.protected = dict(zip(protected, ("disableApiTermination", "disableApiStop"), strict=True))
    first = set(ec2.living)
    await _run(loop_, clock, 60.0)
    assert first.intersection(ec2.living) == set(protected)
    assert len(ec2.living) == LIMITS.max_workers
    assert ec2.count("terminate_instances") <= 12
    told = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert sum("event=termination_" in text for text in told) == len(protected)
    for id_, attribute in ec2.protected.items():
        (line,) = (text for text in told if f"termination_refused instance_id={id_}" in text)
        assert attribute in line
        assert "to do: turn the instance's termination and stop protection off" in line
    calls = ec2.count("terminate_instances")
    await _run(loop_, clock, 100.0)
    assert ec2.count("terminate_instances") == calls
    ec2.protected.clear()
    await _run(loop_, clock, REFUSED_PAUSE_SECONDS - 150.0)
    assert not set(protected).intersection(ec2.living)


@pytest.mark.parametrize("lives", [True, False], ids=["it lives", "it is gone"])
async def test_an_unknown_instance_counts_until_it_has_been_unknown_for_a_while(
    loop_: ScalerLoop, ec2: ScriptedEc2, clock: FakeClock, caplog: pytest.LogCaptureFixture, lives: bool
) -> None:
    """EC2 can say so of one that lives, and does not describe any at once."""
    unknown = ec2.living[2]
    first = set(ec2.living)
    ec2.refusals["terminate_instances"] = lambda arguments: (
        "InvalidInstanceID.NotFound" if unknown in arguments["InstanceIds"] else None
    )
    await _run(loop_, clock, UNKNOWN_PAUSE_SECONDS - 10.0)
    assert first.intersection(ec2.living) == {unknown}
    assert len(ec2.living) == LIMITS.max_workers
    told = [each.getMessage() for each in caplog.records if "event=termination_refused" in each.getMessage()]
    assert [unknown in text for text in told] == [True]
    if lives:
        ec2.refusals.clear()
    else:
        del ec2.instances[unknown]
    await _run(loop_, clock, 30.0)
    assert unknown not in ec2.living
    assert len(ec2.living) == LIMITS.max_workers, "its place is free"
    assert ec2.count("terminate_instances") <= 12


async def test_refused_terminations_are_repeated_with_growing_pauses(
    loop_: ScalerLoop, ec2: ScriptedEc2, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ec2.refusals["terminate_instances"] = lambda _: "ExpiredToken"
    await _run(loop_, clock, 120.0)
    assert ec2.count("terminate_instances") <= 10
    assert len(ec2.living) == LIMITS.max_workers
    assert caplog.text.count("event=termination_failed") == 1
    ec2.refusals.clear()
    first = set(ec2.living)
    await _run(loop_, clock, 65.0)
    assert not first.intersection(ec2.living)
    assert caplog.text.count("event=termination_recovered") == 1
