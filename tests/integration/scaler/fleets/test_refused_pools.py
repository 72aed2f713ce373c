"""EC2 refuses some capacity pools, or all: the others are used at once, and the cause is told once with what to do."""

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from jobqueue.sharding.shard import Shard
from scaler.fleets.ec2.capacity_pools import Ec2Plan
from scaler.fleets.ec2.fleet import Ec2Fleet
from scaler.loop import ScalerLoop
from scaler.policy import Limits
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import NewLoop
from tests.integration.scaler.fleets.scripted_ec2 import ScriptedEc2

PLAN = Ec2Plan("c", "workers", subnets=("s-a", "s-b", "s-c"), types=("big", "small"))
LIMITS = Limits(min_workers=0, max_workers=6, min_billed_seconds=60.0, min_idle_seconds=0.0)
MAX_CALLS_PER_MINUTE = 20


@pytest.fixture
def ec2(clock: FakeClock) -> ScriptedEc2:
    return ScriptedEc2(clock)


@pytest.fixture
async def loop_(shard: Shard, new_loop: NewLoop, ec2: ScriptedEc2, clock: FakeClock) -> ScalerLoop:
    """A loop, while many jobs wait."""
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(50)), now=clock.now)
    return new_loop(Ec2Fleet(ec2, PLAN), limits=LIMITS)


async def _run(loop: ScalerLoop, clock: FakeClock, seconds: float) -> None:
    until = clock.now + seconds
    while clock.now < until:
        clock.advance(1.0)
        await loop.run_round()


def _failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.getMessage()
        for each in caplog.records
        if each.levelno > logging.INFO and "launch_failed" in each.getMessage()
    ]


def _refuse_subnet(call: Mapping[str, Any]) -> str | None:
    return "InvalidSubnetID.NotFound" if call["SubnetId"] == "s-a" else None


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("InvalidSubnetID.NotFound", "WORKMANAGER_SUBNETS"),
        ("InsufficientFreeAddressesInSubnet", "free addresses"),
        ("UnauthorizedOperation", "permissions"),
        ("SomethingNew", "SomethingNew"),
    ],
)
async def test_a_refused_subnet_is_left_out_and_the_others_are_used(
    loop_: ScalerLoop, ec2: ScriptedEc2, clock: FakeClock, caplog: pytest.LogCaptureFixture, code: str, advice: str
) -> None:
    ec2.refusals["run_instances"] = lambda call: code if call["SubnetId"] == "s-a" else None
    await _run(loop_, clock, 120.0)
    assert len(ec2.living) == LIMITS.max_workers
    assert {ec2.instances[id_]["SubnetId"] for id_ in ec2.living} == {"s-b", "s-c"}
    told = _failures(caplog)
    assert len(told) == len({text.split(" pool=")[1].split()[0] for text in told})
    assert all(advice in text for text in told)
    assert ec2.count("run_instances") < 2 * MAX_CALLS_PER_MINUTE


async def test_two_subnets_are_left_at_once(loop_: ScalerLoop, ec2: ScriptedEc2, clock: FakeClock) -> None:
    ec2.refusals["run_instances"] = _refuse_subnet
    await _run(loop_, clock, 5.0)
    assert len(ec2.living) == LIMITS.max_workers


@pytest.mark.parametrize(
    "code",
    [
        "UnfulfillableCapacity",
        "SpotMaxPriceTooLow",
        "MaxSpotInstanceCountExceeded",
        "VcpuLimitExceeded",
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
    ],
)
async def test_without_spot_instances_the_on_demand_ones_are_launched(
    loop_: ScalerLoop, ec2: ScriptedEc2, clock: FakeClock, code: str
) -> None:
    ec2.refusals["run_instances"] = lambda call: code if "InstanceMarketOptions" in call else None
    await _run(loop_, clock, 10.0)
    assert len(ec2.living) == LIMITS.max_workers
    assert {ec2.instances[id_]["InstanceLifecycle"] for id_ in ec2.living} == {""}


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InsufficientInstanceCapacity"])
async def test_if_all_is_refused_little_is_asked_and_it_is_launched_soon_after(
    loop_: ScalerLoop, ec2: ScriptedEc2, clock: FakeClock, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    caplog.set_level(logging.INFO)
    ec2.refusals["run_instances"] = lambda _: code
    await _run(loop_, clock, 200.0)
    minutes = [sum(begin <= at < begin + 60.0 for at, _, _ in ec2.calls) for begin, _, _ in ec2.calls]
    assert max(minutes) <= MAX_CALLS_PER_MINUTE
    assert len(_failures(caplog)) <= len(PLAN.subnets) * len(PLAN.types) * 2
    assert caplog.text.count("event=no_capacity_pool_available") <= 1
    assert caplog.text.count("event=scaler_decision") < 40
    ec2.refusals.clear()
    await _run(loop_, clock, 120.0)
    assert len(ec2.living) == LIMITS.max_workers
