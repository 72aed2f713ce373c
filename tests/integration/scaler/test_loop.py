"""The scaler's loop: rounds, hand-over and shutdown."""

import asyncio
import logging
import re

import pytest
from prometheus_client import CollectorRegistry

from jobqueue import keys
from jobqueue.errors import ShardUnavailable
from jobqueue.maintenance.periodic import Maintenance
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.queue_service import pause_queue, resume_queue
from scaler.fleets.instances import DescribedInstance, Intent
from scaler.loop import ScalerLoop
from scaler.metrics import ScalerMetrics
from scaler.policy import Limits
from scaler.state.leader_election import LEASE_TRUSTED_SECONDS
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import LIMITS, FakeFleet, NewLoop
from tests.waiting import until_async
from workmanager.local.valkey import ValkeyServer


class SlowFleet(FakeFleet):
    """Takes its time to launch.

    Attributes:
        is_launching: whether a launch was requested.
        calls: completed calls, in order.
    """

    def __init__(self, launch_seconds: float) -> None:
        super().__init__()
        self._launch_seconds = launch_seconds
        self.is_launching = False
        self.calls: list[str] = []

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        self.is_launching = True
        await asyncio.sleep(self._launch_seconds)
        launched = await super().launch(intent, repeated=repeated)
        self.calls.append("launch")
        return launched

    async def close(self) -> None:
        await super().close()
        self.calls.append("close")


def _loop_with_real_clock(shards: Shards, fleet: FakeFleet, number: int = 1, limits: Limits = LIMITS) -> ScalerLoop:
    return ScalerLoop(shards, fleet, limits, f"host:{number}", ScalerMetrics(CollectorRegistry()))


async def _wait_for_launch(fleet: FakeFleet) -> None:
    async def has_launched() -> bool:
        return bool(fleet.launched)

    await until_async(has_launched, wanted="a launch")


async def test_a_decision_is_stored_with_its_reason(shard: Shard, loop_: ScalerLoop, clock: FakeClock) -> None:
    await enqueue_jobs(shard, "a", now=clock.now)
    decision = await loop_.run_round()
    (entry,) = await shard.execute(("LINDEX", keys.scaler(shard.prefix, "decisions"), 0))
    assert decision is not None
    assert decision.reason.encode() in entry


async def test_a_loop_that_does_not_lead_does_nothing(
    shard: Shard, new_loop: NewLoop, loop_: ScalerLoop, clock: FakeClock
) -> None:
    await loop_.run_round()
    other = FakeFleet()
    await enqueue_jobs(shard, "a", now=clock.now)
    assert await new_loop(other, 2).run_round() is None
    assert other.launched == []


async def test_a_started_loop_runs_rounds_and_hands_over_when_it_stops(redis_url: str, fleet: FakeFleet) -> None:
    shards = await Shards.connect(redis_url)
    await enqueue_jobs(shards.all[0], "a")
    first, second = (_loop_with_real_clock(shards, fleet, number) for number in (1, 2))
    first.start()
    await _wait_for_launch(fleet)
    assert await second.run_round() is None
    await first.stop()
    assert fleet.closed
    assert await second.run_round() is not None
    await shards.close()


async def test_a_job_in_an_empty_system_starts_a_round_at_once(
    redis_url: str, fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever enqueued it: without idle workers, the wake-up for workers reaches the scaler."""
    monkeypatch.setattr("scaler.loop.ROUND_SECONDS", 3600.0)
    shards = await Shards.connect(redis_url)
    loop = _loop_with_real_clock(shards, fleet)
    loop.start()
    await loop.run_round()
    maintenance = asyncio.create_task(Maintenance(shards, on_jobs_waiting=loop.wake).run())
    await enqueue_jobs(shards.all[0], "a")
    await _wait_for_launch(fleet)
    maintenance.cancel()
    await asyncio.gather(maintenance, return_exceptions=True)
    await loop.stop()
    await shards.close()


async def test_only_jobs_that_the_fleets_workers_can_run_start_instances(redis_url: str, fleet: FakeFleet) -> None:
    shards = await Shards.connect(redis_url)
    shard = shards.all[0]
    loop = ScalerLoop(
        shards, fleet, LIMITS, "manager-1", ScalerMetrics(CollectorRegistry()), managed_queues=("high", "held")
    )
    await enqueue_jobs(shard, "unserved-1", "unserved-2", queue="low")
    await enqueue_jobs(shard, "paused", queue="held")
    await pause_queue(shard, "held")
    decision = await loop.run_round()
    assert decision is not None
    assert (decision.launch, decision.numbers["queued"], decision.numbers["oldest_seconds"]) == (0, 0, 0)
    assert (decision.numbers["unserved"], decision.numbers["paused"]) == (2, 1)
    assert "paused=1 unserved=2" in decision.reason
    await resume_queue(shard, "held")
    decision = await loop.run_round()
    assert decision is not None
    assert (decision.launch, decision.numbers["queued"], decision.numbers["unserved"]) == (1, 1, 2)
    await shards.close()


async def test_a_running_round_ends_before_the_fleet_is_closed(redis_url: str) -> None:
    shards = await Shards.connect(redis_url)
    fleet = SlowFleet(launch_seconds=0.3)
    loop = _loop_with_real_clock(shards, fleet)
    await enqueue_jobs(shards.all[0], "a")
    loop.start()

    async def is_launching() -> bool:
        return fleet.is_launching

    await until_async(is_launching, wanted="a launch")
    await loop.stop()
    assert fleet.calls == ["launch", "close"]
    await shards.close()


async def test_nothing_is_decided_while_the_shard_is_unavailable(private_server: ValkeyServer) -> None:
    fleet = FakeFleet()
    shards = await Shards.connect(private_server.url)
    loop = _loop_with_real_clock(shards, fleet, limits=Limits(min_workers=1, max_workers=3))
    private_server.kill()
    with pytest.raises(ShardUnavailable):
        await loop.run_round()
    assert fleet.launched == []
    await shards.close()


async def test_an_outage_of_redis_is_one_line_when_it_begins_and_one_when_it_ends(
    private_server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "scaler.loop")
    shards = await Shards.connect(private_server.url)
    loop = _loop_with_real_clock(shards, FakeFleet())
    await loop._run_round_safely()
    private_server.kill()
    for _ in range(4):
        await loop._run_round_safely()
    await asyncio.to_thread(private_server.start)
    for _ in range(2):
        await loop._run_round_safely()
    rounds = [message for message in caplog.messages if "event=scaler_round" in message]
    assert [message.split()[0] for message in rounds] == ["event=scaler_round_failed", "event=scaler_round_recovered"]
    assert re.search(r" after_seconds=\d+\.\d$", rounds[1])
    await shards.close()


async def test_a_leader_that_cannot_renew_its_lease_does_not_say_that_it_leads(private_server: ValkeyServer) -> None:
    registry, clock = CollectorRegistry(), FakeClock(0.0)
    shards = await Shards.connect(private_server.url)
    loop = ScalerLoop(shards, FakeFleet(), LIMITS, "host:1", ScalerMetrics(registry), clock=clock)

    def says() -> float | None:
        return registry.get_sample_value("workmanager_scaler_is_leader")

    await loop._run_round_safely()
    private_server.kill()
    await loop._renew_lease()
    assert says() == 1  # no other manager can lead yet
    clock.advance(LEASE_TRUSTED_SECONDS)
    await loop._renew_lease()
    assert says() == 0
    await shards.close()


async def test_an_unexpected_error_in_every_round_is_one_traceback(
    loop_: ScalerLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "scaler.loop")
    with monkeypatch.context() as patch:
        patch.setattr(loop_._round, "run", lambda _: 1 / 0)
        for _ in range(3):
            await loop_._run_round_safely()
    await loop_._run_round_safely()
    assert caplog.text.count("Traceback") == caplog.text.count("event=scaler_round_crashed") == 1
    assert caplog.text.count("event=scaler_round_recovered") == 1
