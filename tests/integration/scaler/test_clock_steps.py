"""Redis' clock steps back or leaps ahead: no instance is ended for it, and launches go on within seconds."""

import logging
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from jobqueue.errors import ShardUnavailable
from jobqueue.sharding.scripts import Script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.instances import DescribedInstance, Instance, Intent
from scaler.loop import RECOVERY_WAIT_SECONDS, ScalerLoop
from scaler.metrics import ScalerMetrics
from scaler.state.launch_breaker import POOL_COOLDOWN_SECONDS
from scaler.state.leader_election import LEADER_LEASE_SECONDS
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import claim_jobs, enqueue_jobs
from tests.integration.scaler.conftest import LIMITS, FakeFleet, read_stored, send_heartbeat

STEPS = pytest.mark.parametrize("step_seconds", [-600.0, 30 * 86_400.0], ids=["back", "ahead"])
HEARTBEAT_SECONDS = 5


class SteppedSystem:
    """A manager beside a Redis whose clock, `clock`, can step; its workers send heartbeats."""

    def __init__(self, shards: Shards, clock: FakeClock) -> None:
        self.shard = shards.all[0]
        self.clock = clock
        self.monotonic = FakeClock(0.0)
        self.fleet = FakeFleet()
        self.fleet.profile = replace(self.fleet.profile, boot_timeout_seconds=300.0)
        self._shards = shards
        self.loop = self.new_loop(1)
        self.workers: list[str] = []

    def new_loop(self, number: int) -> ScalerLoop:
        self.registry = CollectorRegistry()
        metrics = ScalerMetrics(self.registry)
        return ScalerLoop(self._shards, self.fleet, LIMITS, f"host:{number}", metrics, clock=self.monotonic)

    async def run(self, seconds: float) -> None:
        """Let time pass; in each second, a round runs."""
        for second in range(int(seconds)):
            self.clock.advance(1.0)
            self.monotonic.advance(1.0)
            if second % HEARTBEAT_SECONDS == HEARTBEAT_SECONDS - 1:
                for worker in self.workers:
                    await send_heartbeat(self.shard, worker, running=1)
            await self.loop.run_round()

    def let_lease_expire(self) -> None:
        self.clock.advance(LEADER_LEASE_SECONDS + 1)
        self.monotonic.advance(LEADER_LEASE_SECONDS + 1)

    async def register(self, worker: str) -> None:
        await self.fleet.register_workers(self.shard, worker)
        self.workers.append(worker)


@pytest.fixture
async def system(shards: Shards, clock: FakeClock) -> SteppedSystem:
    """A system with a worker that serves, and an instance that boots."""
    system = SteppedSystem(shards, clock)
    await enqueue_jobs(system.shard, "a", now=clock.now)
    await system.run(1)
    await system.register(system.fleet.launched[0])
    await claim_jobs(system.shard, worker=system.fleet.launched[0], now=clock.now)
    await enqueue_jobs(system.shard, "b", now=clock.now)
    await system.run(10)
    return system


@STEPS
@pytest.mark.parametrize("seen_by", ["the leader", "the next leader", "both"])
async def test_no_instance_is_ended_and_launches_go_on(
    system: SteppedSystem, step_seconds: float, seen_by: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    _, booting = system.fleet.launched
    system.clock.advance(step_seconds)
    if seen_by == "both":
        await system.run(2)
    if seen_by != "the leader":
        system.loop = system.new_loop(2)
    await enqueue_jobs(system.shard, "c", "d", now=system.clock.now)
    await system.run(RECOVERY_WAIT_SECONDS + 6)
    assert len(system.fleet.launched) == LIMITS.max_workers
    await system.register(booting)
    await system.register(system.fleet.launched[2])
    await system.run(100)
    assert system.fleet.terminated == []
    assert "event=instance_terminating" not in caplog.text
    (skipped,) = [record for record in caplog.records if "event=scaler_time_skipped" in record.message]
    # That no manager led is no fault; that a clock has stepped is one.
    is_like_a_restart = seen_by == "the next leader" and step_seconds > 0
    assert skipped.levelno == (logging.INFO if is_like_a_restart else logging.WARNING)
    for text in (await read_stored(system.shard, "instances")).values():
        assert "closing_at" not in text
    billed_seconds = system.registry.get_sample_value("workmanager_scaler_billed_instance_seconds_total")
    assert billed_seconds is not None
    assert billed_seconds < LIMITS.max_workers * system.monotonic.now


@STEPS
@pytest.mark.parametrize("is_saved", [False, True], ids=["request lost", "answer lost"])
async def test_times_follow_once_if_redis_fails_meanwhile(
    system: SteppedSystem,
    step_seconds: float,
    is_saved: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = await launch_times(system.shard)
    system.clock.advance(step_seconds)
    run = system.shard.run
    failed = []

    async def fail_first_save(script: Script, *args: Any, **options: Any) -> Any:
        if script.name != "scaler_save" or failed:
            return await run(script, *args, **options)
        failed.append(script.name)
        if is_saved:
            await run(script, *args, **options)
        raise ShardUnavailable("a fault of the test", shard_index=0)

    monkeypatch.setattr(system.shard, "run", fail_first_save)
    with pytest.raises(ShardUnavailable):
        await system.run(1)
    await system.run(RECOVERY_WAIT_SECONDS + 20)
    after = await launch_times(system.shard)
    assert {id_: after[id_] - at for id_, at in before.items()} == pytest.approx(dict.fromkeys(before, step_seconds))
    assert system.fleet.terminated == []


@STEPS
async def test_a_leader_that_was_away_does_not_move_times_that_another_one_has_moved(
    system: SteppedSystem, step_seconds: float
) -> None:
    """It leads again without having noticed that another manager has led meanwhile."""
    before = await launch_times(system.shard)
    first, system.loop = system.loop, system.new_loop(2)
    system.let_lease_expire()
    system.clock.advance(step_seconds)
    await system.run(RECOVERY_WAIT_SECONDS + 2)
    system.let_lease_expire()
    system.loop = first
    await system.run(RECOVERY_WAIT_SECONDS + 2)
    after = await launch_times(system.shard)
    moved = [after[id_] - at - step_seconds for id_, at in before.items()]
    assert all(-1.0 < seconds < 60.0 for seconds in moved), moved


@STEPS
async def test_a_step_while_a_launch_is_repeated(system: SteppedSystem, step_seconds: float) -> None:
    system.fleet.launch_error = FleetError(Cause.UNKNOWN, "ReadTimeoutError", "no answer")
    await enqueue_jobs(system.shard, "c", now=system.clock.now)
    await system.run(1)
    launch = system.fleet.launch

    async def launch_slowly(intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        if system.fleet.launch_error is not None:
            system.fleet.launch_error = None
            system.clock.advance(step_seconds)
        return await launch(intent, repeated=repeated)

    system.fleet.launch = launch_slowly  # type: ignore[method-assign]  # the clock steps while EC2 answers
    await system.run(RECOVERY_WAIT_SECONDS + 20)
    assert system.fleet.launch_error is None
    assert system.fleet.terminated == []


async def launch_times(shard: Shard) -> dict[str, float]:
    """Return when each recorded instance was launched, by its id."""
    stored = await read_stored(shard, "instances")
    return {id_: Instance.from_json(id_, text).launched_at for id_, text in stored.items()}


@STEPS
async def test_pauses_do_not_become_longer(system: SteppedSystem, step_seconds: float) -> None:
    system.fleet.launch_error = FleetError(Cause.CAPACITY, "InsufficientInstanceCapacity", "none left")
    await enqueue_jobs(system.shard, "c", "d", now=system.clock.now)
    await system.run(3)
    system.fleet.launch_error = None
    system.clock.advance(step_seconds)
    await system.run(POOL_COOLDOWN_SECONDS + RECOVERY_WAIT_SECONDS + 4)
    assert len(system.fleet.launched) == LIMITS.max_workers


async def test_a_worker_that_died_before_a_step_back_is_replaced(system: SteppedSystem) -> None:
    serving, _ = system.fleet.launched
    system.clock.advance(-600.0)
    system.workers.clear()
    await system.run(120)
    assert serving in system.fleet.terminated
