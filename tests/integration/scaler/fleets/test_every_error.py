"""Each error of EC2's documented list, at each moment of a launch and an end, alone and in pairs, with two managers.

The scaler's behaviour depends on what a code means (`error_codes.py`), so a few codes are played always.
`WORKMANAGER_TEST_EVERY_ERROR=1` plays all, and all pairs of one code for each meaning.
"""

import logging
import os
from collections.abc import Callable
from itertools import product

import pytest

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from jobqueue.workers.registry import WorkerRecord, register, unregister
from scaler.apply.terminations import REFUSED_PAUSE_SECONDS
from scaler.fleets.ec2.capacity_pools import Ec2Plan
from scaler.fleets.ec2.error_codes import _CODES
from scaler.fleets.ec2.fleet import Ec2Fleet
from scaler.loop import ScalerLoop
from scaler.policy import Limits
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import NewLoop
from tests.integration.scaler.fleets.scripted_ec2 import ScriptedEc2

LIMITS = Limits(min_workers=0, max_workers=4, min_billed_seconds=60.0, min_idle_seconds=0.0)
PLAN = Ec2Plan("c", "workers", subnets=("s-a", "s-b"), types=("big",))
POOLS, MANAGERS = 4, 2
STEP_SECONDS, REFUSED_SECONDS, LAUNCH_SECONDS = 3.0, 30.0, 120.0
HIDDEN_SECONDS = 45.0
"""Longer than the refusals: EC2's descriptions lag."""
CALLS_SECONDS, MAX_CALLS = 300.0, 100
"""At most 20 calls a minute, on average over some minutes: those of instances that cannot be ended come at once."""

ALL = [code for codes in _CODES.values() for code in codes.split()]
ONE_OF_EACH = [codes.split()[0] for codes in _CODES.values()]
ALWAYS = [
    ("InsufficientInstanceCapacity", ""),
    ("InvalidSubnetID.NotFound", "RequestLimitExceeded"),
    ("ExpiredToken", "InternalError"),
    # Although the instances live:
    ("IdempotentInstanceTerminated", ""),
    ("InvalidInstanceID.NotFound", ""),
]
"""Codes of RunInstances and TerminateInstances, and at the same time of DescribeInstances ('': it is not refused)."""
EVERY = [*((code, "") for code in ALL), *(("", code) for code in ALL), *product(ONE_OF_EACH, ONE_OF_EACH)]
PLAYED = EVERY if os.environ.get("WORKMANAGER_TEST_EVERY_ERROR") else ALWAYS


class TwoManagers:
    """Two managers beside one EC2. Whatever happens, the limit holds, and calls are few."""

    def __init__(self, shard: Shard, loops: list[ScalerLoop], ec2: ScriptedEc2, clock: FakeClock) -> None:
        self.shard, self.ec2 = shard, ec2
        self._loops, self._clock = loops, clock

    def refuse(self, code: str, describe_code: str) -> None:
        """Let EC2 refuse launches and ends with one code, and descriptions with another one."""
        self.ec2.refusals = {
            "run_instances": lambda _: code or None,
            "terminate_instances": lambda _: code or None,
            "describe_instances": lambda _: describe_code or None,
        }

    async def run(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass, until it is done; return whether it is."""
        until = self._clock.now + seconds
        while self._clock.now < until and not done():
            self._clock.advance(STEP_SECONDS)
            for loop in self._loops:
                await loop.run_round()
            assert len(self.ec2.living) <= LIMITS.max_workers
        return done()

    def most_calls(self) -> int:
        """Return how many calls there were at most within `CALLS_SECONDS`."""
        times = [at for at, _, _ in self.ec2.calls]
        return max(sum(begin <= at < begin + CALLS_SECONDS for at in times) for begin in times)


@pytest.fixture
def managers(shard: Shard, new_loop: NewLoop, clock: FakeClock) -> TwoManagers:
    ec2 = ScriptedEc2(clock)
    loops = [new_loop(Ec2Fleet(ec2, PLAN), number, LIMITS) for number in range(MANAGERS)]
    return TwoManagers(shard, loops, ec2, clock)


@pytest.mark.parametrize("answer_is_lost", [False, True], ids=["first call", "repetition"])
@pytest.mark.parametrize(("code", "describe_code"), PLAYED)
async def test_limits_hold_and_all_is_done_soon_after(
    managers: TwoManagers,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    code: str,
    describe_code: str,
    answer_is_lost: bool,
) -> None:
    ec2, shard = managers.ec2, managers.shard
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(20)), now=clock.now)
    if answer_is_lost:
        ec2.lost_answers, ec2.hidden_seconds = 1, HIDDEN_SECONDS
        await managers.run(STEP_SECONDS)
        assert ec2.count("run_instances")
    managers.refuse(code, describe_code)
    await managers.run(REFUSED_SECONDS)
    ec2.refusals.clear()
    assert await managers.run(LAUNCH_SECONDS, lambda: len(ec2.living) == LIMITS.max_workers), "launched in time"
    await managers.run(HIDDEN_SECONDS)
    assert len(ec2.living) == len(ec2.instances), "no instance was ended"
    told = [each.getMessage() for each in caplog.records if each.levelno > logging.INFO]
    assert sum("event=launch_failed" in text for text in told) <= POOLS * MANAGERS
    assert managers.most_calls() <= MAX_CALLS

    # All workers leave, so that their instances must end.
    await shard.execute(("DEL", keys.queue(shard.prefix, "default")))
    first = list(ec2.living)
    await managers.run(2 * STEP_SECONDS)
    for id_ in first:
        await register(shard, WorkerRecord(id_, "host", 1, ("default",), 1, "ec2:c", id_))
        await unregister(shard, id_, ("default",))
    caplog.clear()
    managers.refuse(code, describe_code)
    await managers.run(REFUSED_SECONDS)
    ec2.refusals.clear()
    assert await managers.run(REFUSED_PAUSE_SECONDS + LAUNCH_SECONDS, lambda: not ec2.living), "ended in time"
    told = [each.getMessage() for each in caplog.records if "event=termination_" in each.getMessage()]
    assert len(told) <= len(first) * MANAGERS + 1
    assert managers.most_calls() <= MAX_CALLS
