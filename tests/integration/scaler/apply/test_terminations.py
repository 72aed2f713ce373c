"""The loop: how instances and their workers come to an end, and which do not."""

from dataclasses import replace

from jobqueue.sharding.shard import Shard
from jobqueue.workers.messages import WorkerCommand, wait_for_message
from jobqueue.workers.registry import WorkerHeartbeat, send_worker_heartbeat
from scaler.fleets.instances import DescribedInstance
from scaler.loop import ScalerLoop
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import claim_jobs, enqueue_jobs
from tests.integration.scaler.conftest import FakeFleet, NewLoop


async def test_a_worker_that_never_registers_is_ended_in_two_passes_and_replaced(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", now=clock.now)
    await loop_.tick()
    (lost,) = fleet.launched
    clock.advance(31.0)
    await loop_.tick()
    assert fleet.terminated == []
    assert await claim_jobs(shard, worker=lost, now=clock.now) == []
    assert len(fleet.launched) == 2
    clock.advance(11.0)
    await loop_.tick()
    assert fleet.terminated == [lost]


async def test_after_failed_boots_only_single_probes_are_launched(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(9)), now=clock.now)
    for _ in range(4):
        await loop_.tick()
        fleet.end(*fleet.launched)
    assert len(fleet.launched) == 6
    clock.advance(61.0)
    await loop_.tick()
    assert len(fleet.launched) == 6
    clock.advance(61.0)
    await loop_.tick()
    assert len(fleet.launched) == 7
    await fleet.arrive(shard, fleet.launched[-1])
    await loop_.tick()
    assert len(fleet.launched) == 9


async def test_idle_workers_drain_and_are_ended_and_busy_ones_are_not(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await fleet.arrive(shard, "idle", "busy")
    await send_worker_heartbeat(shard, "busy", WorkerHeartbeat("busy", 1, 0, 0, 0.0))
    decision = await loop_.tick()
    while decision is not None and not decision.drain:
        clock.advance(1.0)
        await send_worker_heartbeat(shard, "idle", WorkerHeartbeat("idle", 0, 0, 0, 0.0))
        await send_worker_heartbeat(shard, "busy", WorkerHeartbeat("busy", 1, 0, 0, 0.0))
        decision = await loop_.tick()
    assert await wait_for_message(shard, "idle", (), for_work=False, seconds=1) == WorkerCommand("drain")
    assert await wait_for_message(shard, "busy", (), for_work=False, seconds=0.05) is None
    await enqueue_jobs(shard, "a", now=clock.now)
    assert await claim_jobs(shard, worker="idle", now=clock.now) == []
    await loop_.tick()
    assert fleet.terminated == []
    await fleet.leave(shard, "idle")
    await loop_.tick()
    assert fleet.terminated == ["idle"]


async def test_what_an_idle_worker_had_just_claimed_it_may_finish(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    """However long it takes: nothing but its own leaving, or its death, makes it empty."""
    await fleet.arrive(shard, "one")
    decision = await loop_.tick()
    while decision is not None and not decision.drain:
        clock.advance(1.0)
        await send_worker_heartbeat(shard, "one", WorkerHeartbeat("idle", 0, 0, 0, 0.0))
        decision = await loop_.tick()
    for _ in range(100):
        clock.advance(5.0)
        await send_worker_heartbeat(shard, "one", WorkerHeartbeat("draining", 1, 0, 0, 0.0))
        await loop_.tick()
    assert fleet.terminated == []


async def test_workers_of_others_are_not_touched(shard: Shard, loop_: ScalerLoop) -> None:
    foreign = FakeFleet()
    foreign.name = "somebody's"
    await foreign.arrive(shard, "x")
    decision = await loop_.tick()
    assert decision is not None
    assert (decision.launch, decision.drain) == (0, 0)


async def test_a_silent_worker_is_no_capacity_and_is_ended_when_it_stays_silent(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    """Its leases have run out, so its jobs wait for somebody else."""
    fleet.described["dead"] = DescribedInstance("dead", clock.now)
    await fleet.arrive(shard, "dead")
    await enqueue_jobs(shard, "a", now=clock.now)
    await loop_.tick()
    assert fleet.launched == ["dead"]
    clock.advance(21.0)
    await loop_.tick()
    assert len(fleet.launched) == 2
    await fleet.arrive(shard, fleet.launched[1])
    for _ in range(4):
        assert fleet.terminated == []
        clock.advance(11.0)
        await send_worker_heartbeat(shard, fleet.launched[1], WorkerHeartbeat("busy", 1, 0, 0, 0.0))
        await loop_.tick()
    assert fleet.terminated == ["dead"]


async def test_an_instance_that_is_not_shown_for_a_while_is_not_dead(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await enqueue_jobs(shard, "a", now=clock.now)
    await loop_.tick()
    (one,) = fleet.launched
    await fleet.arrive(shard, one)
    await claim_jobs(shard, worker=one, now=clock.now)
    forgotten = fleet.described.pop(one)
    for _ in range(30):
        clock.advance(5.0)
        await send_worker_heartbeat(shard, one, WorkerHeartbeat("busy", 1, 0, 0, 0.0))
        await loop_.tick()
    fleet.described[one] = forgotten
    await loop_.tick()
    assert fleet.launched == [one]
    assert fleet.terminated == []


async def test_instances_that_nobody_knows_are_ended_in_two_passes(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    fleet.described["x"] = DescribedInstance("x", clock.now, "a-token-of-nobody")
    await loop_.tick()
    assert fleet.terminated == []
    clock.advance(11.0)
    await loop_.tick()
    assert fleet.terminated == ["x"]


async def test_what_the_fleet_takes_back_is_replaced_at_once(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await fleet.arrive(shard, "one")
    await send_worker_heartbeat(shard, "one", WorkerHeartbeat("draining", 1, 0, 0, 0.0, interruption="spot"))
    await loop_.tick()
    assert len(fleet.launched) == 1
    await loop_.tick()
    assert len(fleet.launched) == 1


async def test_what_the_fleet_may_take_back_leaves_once_its_successor_has_come(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet
) -> None:
    await fleet.arrive(shard, "one")
    await send_worker_heartbeat(shard, "one", WorkerHeartbeat("busy", 1, 0, 0, 0.0, interruption="rebalance"))
    await loop_.tick()
    (successor,) = fleet.launched
    await loop_.tick()
    assert await wait_for_message(shard, "one", (), for_work=False, seconds=0.05) is None
    await fleet.arrive(shard, successor)
    await loop_.tick()
    assert await wait_for_message(shard, "one", (), for_work=False, seconds=1) == WorkerCommand("drain")
    assert len(fleet.launched) == 1


async def test_an_earlier_version_makes_room_for_the_next(
    shard: Shard, new_loop: NewLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    """Found out by what the fleet shows; the busy worker's job goes on, and its instance ends after it."""
    await fleet.arrive(shard, "one")
    fleet.described["one"] = DescribedInstance("one", clock.now, version=1)
    await send_worker_heartbeat(shard, "one", WorkerHeartbeat("busy", 1, 0, 0, 0.0))
    fleet.profile = replace(fleet.profile, version=2)
    loop_ = new_loop(fleet)
    await loop_.tick()
    (_, successor) = fleet.launched
    fleet.described[successor] = replace(fleet.described[successor], version=2)
    await loop_.tick()
    assert await wait_for_message(shard, "one", (), for_work=False, seconds=0.05) is None
    await fleet.arrive(shard, successor)
    await loop_.tick()
    assert await wait_for_message(shard, "one", (), for_work=False, seconds=1) == WorkerCommand("drain")
    assert fleet.terminated == []
    await fleet.leave(shard, "one")
    await loop_.tick()
    assert (fleet.terminated, len(fleet.launched)) == (["one"], 2)


async def test_jobs_that_run_keep_their_workers(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    await fleet.arrive(shard, "one")
    await enqueue_jobs(shard, "a", now=clock.now)
    await claim_jobs(shard, now=clock.now)
    decision = await loop_.tick()
    assert decision is not None
    assert (decision.launch, decision.drain) == (0, 0)
