"""How instances and their workers end, and which ones must not."""

import logging
import math
from dataclasses import replace

import pytest

from jobqueue.sharding.shard import Shard
from jobqueue.workers.messages import WorkerCommand, wait_for_message
from scaler.fleets.instances import DescribedInstance
from scaler.loop import ScalerLoop
from scaler.observe.instance_phases import FENCE_SECONDS, LOST_SECONDS, SILENT_SECONDS
from scaler.policy import Decision
from scaler.state.launch_breaker import FAILED_BOOTS_TO_OPEN, PROBE_SECONDS
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import claim_jobs, enqueue_jobs
from tests.integration.scaler.conftest import LIMITS, FakeFleet, NewLoop, send_heartbeat

HEARTBEAT_SECONDS = 5.0


async def _is_told_to_drain(shard: Shard, worker: str, *, wait_seconds: float = 0.05) -> bool:
    message = await wait_for_message(shard, worker, (), for_work=False, seconds=wait_seconds)
    assert message in (None, WorkerCommand("drain"))
    return message is not None


async def _run_round(loop: ScalerLoop) -> Decision:
    decision = await loop.run_round()
    assert decision is not None
    return decision


async def test_a_worker_that_never_registers_is_replaced_and_terminated_in_two_passes(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", now=clock.now)
    await loop_.run_round()
    (first,) = fleet.launched
    clock.advance(fleet.profile.boot_timeout_seconds + 1)
    await loop_.run_round()
    assert fleet.terminated == []
    assert await claim_jobs(shard, worker=first, now=clock.now) == []
    assert len(fleet.launched) == 2
    clock.advance(FENCE_SECONDS + 1)
    await loop_.run_round()
    assert fleet.terminated == [first]


async def test_that_a_worker_has_left_in_order_is_no_warning_and_that_one_never_came_is(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await enqueue_jobs(shard, "a", "b", now=clock.now)
    await loop_.run_round()
    gone, never_there = fleet.launched
    await fleet.register_workers(shard, gone)
    await loop_.run_round()
    await fleet.unregister_workers(shard, gone)
    await loop_.run_round()
    clock.advance(fleet.profile.boot_timeout_seconds + 1)
    await loop_.run_round()
    levels = {
        (each.args[0], each.args[1]): each.levelno
        for each in caplog.records
        if "event=instance_terminating" in each.msg and isinstance(each.args, tuple)
    }
    assert levels[gone, "worker_exited"] == logging.INFO
    assert levels[never_there, "never_registered"] == logging.WARNING


async def test_after_failed_boots_only_single_probes_are_launched(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    """Two rounds launch the maximum, and all of these instances end before their workers register."""
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(9)), now=clock.now)
    for _ in range(4):
        await loop_.run_round()
        fleet.end_instances(*fleet.launched)
    failed_boots = 2 * LIMITS.max_workers
    assert len(fleet.launched) == failed_boots
    pause_seconds = PROBE_SECONDS * (failed_boots - FAILED_BOOTS_TO_OPEN + 1)
    clock.advance(pause_seconds - 1)
    await loop_.run_round()
    assert len(fleet.launched) == failed_boots
    clock.advance(2.0)
    await loop_.run_round()
    assert len(fleet.launched) == failed_boots + 1
    await fleet.register_workers(shard, fleet.launched[-1])
    await loop_.run_round()
    assert len(fleet.launched) == failed_boots + LIMITS.max_workers


async def test_idle_workers_drain_and_are_terminated_and_busy_ones_are_not(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await fleet.register_workers(shard, "idle", "busy")
    await send_heartbeat(shard, "busy", running=1)
    while not (await _run_round(loop_)).drain:
        clock.advance(1.0)
        await send_heartbeat(shard, "idle")
        await send_heartbeat(shard, "busy", running=1)
    assert await _is_told_to_drain(shard, "idle", wait_seconds=1)
    assert not await _is_told_to_drain(shard, "busy")
    await enqueue_jobs(shard, "a", now=clock.now)
    assert await claim_jobs(shard, worker="idle", now=clock.now) == []
    await loop_.run_round()
    assert fleet.terminated == []
    await fleet.unregister_workers(shard, "idle")
    await loop_.run_round()
    assert fleet.terminated == ["idle"]


async def test_a_draining_worker_finishes_the_job_that_it_has_just_claimed(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    """However long it takes: only the worker's own exit, or its death, makes the instance empty."""
    await fleet.register_workers(shard, "one")
    while not (await _run_round(loop_)).drain:
        clock.advance(1.0)
        await send_heartbeat(shard, "one")
    for _ in range(100):
        clock.advance(HEARTBEAT_SECONDS)
        await send_heartbeat(shard, "one", state="draining", running=1)
        await loop_.run_round()
    assert fleet.terminated == []


async def test_workers_of_other_fleets_are_left_alone(shard: Shard, loop_: ScalerLoop) -> None:
    other = FakeFleet()
    other.name = "other"
    await other.register_workers(shard, "x")
    decision = await _run_round(loop_)
    assert (decision.launch, decision.drain) == (0, 0)


async def test_a_silent_worker_is_no_capacity_and_is_terminated_if_it_stays_silent(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    """Its job leases have expired, so its jobs wait for another worker."""
    fleet.described["dead"] = DescribedInstance("dead", clock.now)
    await fleet.register_workers(shard, "dead")
    await enqueue_jobs(shard, "a", now=clock.now)
    await loop_.run_round()
    assert fleet.launched == ["dead"]
    clock.advance(SILENT_SECONDS + 1)
    await loop_.run_round()
    (_, replacement) = fleet.launched
    await fleet.register_workers(shard, replacement)
    step_seconds = FENCE_SECONDS + 1
    for _ in range(math.ceil(LOST_SECONDS / step_seconds) + 1):
        assert fleet.terminated == []
        clock.advance(step_seconds)
        await send_heartbeat(shard, replacement, running=1)
        await loop_.run_round()
    assert fleet.terminated == ["dead"]


async def test_an_instance_that_is_not_described_for_a_while_is_not_dead(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", now=clock.now)
    await loop_.run_round()
    (one,) = fleet.launched
    await fleet.register_workers(shard, one)
    await claim_jobs(shard, worker=one, now=clock.now)
    hidden = fleet.described.pop(one)
    for _ in range(30):
        clock.advance(HEARTBEAT_SECONDS)
        await send_heartbeat(shard, one, running=1)
        await loop_.run_round()
    fleet.described[one] = hidden
    await loop_.run_round()
    assert fleet.launched == [one]
    assert fleet.terminated == []


async def test_unknown_instances_are_terminated_in_two_passes(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    fleet.described["x"] = DescribedInstance("x", clock.now, token="unknown-token")
    await loop_.run_round()
    assert fleet.terminated == []
    clock.advance(FENCE_SECONDS + 1)
    await loop_.run_round()
    assert fleet.terminated == ["x"]


async def test_an_interrupted_busy_worker_is_replaced_at_once(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet
) -> None:
    await fleet.register_workers(shard, "one")
    await send_heartbeat(shard, "one", state="draining", running=1, interruption="spot")
    await loop_.run_round()
    assert len(fleet.launched) == 1
    await loop_.run_round()
    assert len(fleet.launched) == 1


async def test_a_rebalanced_worker_drains_once_its_replacement_has_registered(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet
) -> None:
    await fleet.register_workers(shard, "one")
    await send_heartbeat(shard, "one", running=1, interruption="rebalance")
    await loop_.run_round()
    (replacement,) = fleet.launched
    await loop_.run_round()
    assert not await _is_told_to_drain(shard, "one")
    await fleet.register_workers(shard, replacement)
    await loop_.run_round()
    assert await _is_told_to_drain(shard, "one", wait_seconds=1)
    assert len(fleet.launched) == 1


async def test_a_worker_of_an_earlier_version_makes_room_for_its_replacement(
    shard: Shard, new_loop: NewLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    """The fleet's description tells the version. The busy worker finishes its job before its instance ends."""
    await fleet.register_workers(shard, "one")
    fleet.described["one"] = DescribedInstance("one", clock.now, version=1)
    await send_heartbeat(shard, "one", running=1)
    fleet.profile = replace(fleet.profile, version=2)
    loop_ = new_loop(fleet)
    await loop_.run_round()
    (_, replacement) = fleet.launched
    fleet.described[replacement] = replace(fleet.described[replacement], version=2)
    await loop_.run_round()
    assert not await _is_told_to_drain(shard, "one")
    await fleet.register_workers(shard, replacement)
    await loop_.run_round()
    assert await _is_told_to_drain(shard, "one", wait_seconds=1)
    assert fleet.terminated == []
    await fleet.unregister_workers(shard, "one")
    await loop_.run_round()
    assert (fleet.terminated, len(fleet.launched)) == (["one"], 2)


async def test_running_jobs_keep_their_workers(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await fleet.register_workers(shard, "one")
    await enqueue_jobs(shard, "a", now=clock.now)
    await claim_jobs(shard, now=clock.now)
    decision = await _run_round(loop_)
    assert (decision.launch, decision.drain) == (0, 0)
