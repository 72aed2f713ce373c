"""A job that comes between the observation and the drain: the drain is called off, on every shard."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.queue_service import pause_queue
from scaler.loop import ScalerLoop
from scaler.metrics import ScalerMetrics
from scaler.policy import Decision
from tests.fake_clock import FakeClock, use_clock
from tests.integration.jobqueue.queue_helpers import claim_jobs, enqueue_jobs
from tests.integration.scaler.conftest import LIMITS, FakeFleet, send_heartbeat
from tests.waiting import until_async
from workmanager.local.valkey_cluster import ValkeyCluster

Event = Callable[[Shard], Awaitable[Any]]


def _before_hold(monkeypatch: pytest.MonkeyPatch, shard: Shard, event: Event) -> None:
    """Let something happen once on this shard, right before workers are held there."""
    run, happened = shard.run, []

    async def run_after_event(script: Any, *args: Any, **options: Any) -> Any:
        if script.name == "hold_workers" and not happened:
            happened.append(True)
            await event(shard)
        return await run(script, *args, **options)

    monkeypatch.setattr(shard, "run", run_after_event)


async def _run_until_drain(loop: ScalerLoop, shards: Shards, clock: FakeClock) -> Decision:
    while True:
        clock.advance(1.0)
        for shard in shards:
            await send_heartbeat(shard, "one")
        decision = await loop.run_round()
        assert decision is not None
        if decision.drain:
            return decision


async def _reason(shards: Shards) -> str:
    (text,) = await shards.all[0].execute(("GET", keys.scaler(shards.all[0].prefix, "report")))
    return str(text.decode())


async def test_a_drain_is_called_off_if_a_job_has_come_since_the_observation(
    monkeypatch: pytest.MonkeyPatch, shards: Shards, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    (shard,) = shards
    await fleet.register_workers(shard, "one")
    _before_hold(monkeypatch, shard, lambda shard: enqueue_jobs(shard, "a", now=clock.now))
    await _run_until_drain(loop_, shards, clock)
    assert "KEEP 1, because a job has come that they could run; DRAIN 1" in await _reason(shards)
    assert [job.id for job in await claim_jobs(shard, worker="one", now=clock.now)] == ["a"]
    assert fleet.terminated == []


async def test_a_job_that_comes_right_after_the_last_worker_was_drained_starts_a_round_at_once(
    monkeypatch: pytest.MonkeyPatch, shards: Shards, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    monkeypatch.setattr("scaler.loop.ROUND_SECONDS", 3600.0)
    (shard,) = shards
    await fleet.register_workers(shard, "one")
    loop_.start()
    await _run_until_drain(loop_, shards, clock)
    await enqueue_jobs(shard, "a", now=clock.now)
    loop_.wake()

    async def has_launched() -> bool:
        return bool(fleet.launch_tokens)

    await until_async(has_launched, wanted="a launch")
    await loop_.stop()


async def test_a_job_that_the_worker_cannot_run_calls_no_drain_off(
    monkeypatch: pytest.MonkeyPatch, shards: Shards, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    (shard,) = shards
    await fleet.register_workers(shard, "one")
    await pause_queue(shard, "default")

    async def enqueue(shard: Shard) -> None:
        await enqueue_jobs(shard, "paused", now=clock.now)
        await enqueue_jobs(shard, "unserved", queue="other", now=clock.now)

    _before_hold(monkeypatch, shard, enqueue)
    await _run_until_drain(loop_, shards, clock)
    await fleet.unregister_workers(shard, "one")
    await loop_.run_round()
    assert fleet.terminated == ["one"]


async def test_jobs_that_nobody_may_run_now_neither_start_nor_keep_a_worker(
    shards: Shards, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    """`rq suspend` keeps all workers from taking jobs."""
    (shard,) = shards
    await shard.execute(("SET", keys.suspended(shard.prefix), "1"))
    await enqueue_jobs(shard, "a", now=clock.now)
    decision = await loop_.run_round()
    assert decision is not None
    assert (decision.launch, decision.numbers["queued"], decision.numbers["paused"]) == (0, 0, 1)
    await fleet.register_workers(shard, "one")
    await _run_until_drain(loop_, shards, clock)
    await fleet.unregister_workers(shard, "one")
    await loop_.run_round()
    assert fleet.terminated == ["one"]


async def test_a_job_on_any_shard_calls_the_drain_off_on_all(
    monkeypatch: pytest.MonkeyPatch, cluster: ValkeyCluster, fleet: FakeFleet, clock: FakeClock
) -> None:
    shards = use_clock(await Shards.connect(cluster.url), clock)
    for shard in shards:
        await fleet.register_workers(shard, "one")
    loop = ScalerLoop(shards, fleet, LIMITS, "host:1", ScalerMetrics(CollectorRegistry()), clock=clock)
    first, last = shards.all[0], shards.all[-1]
    assert first is not last
    _before_hold(monkeypatch, last, lambda shard: enqueue_jobs(shard, "a", now=clock.now))
    await _run_until_drain(loop, shards, clock)
    await enqueue_jobs(first, "b", now=clock.now)
    assert [job.id for job in await claim_jobs(first, worker="one", now=clock.now)] == ["b"]
    assert [job.id for job in await claim_jobs(last, worker="one", now=clock.now)] == ["a"]
    assert fleet.terminated == []
    await shards.close()


async def test_a_lowered_maximum_is_obeyed_while_jobs_wait_and_busy_workers_finish_their_jobs(
    shards: Shards, new_loop: Callable[..., ScalerLoop], fleet: FakeFleet, clock: FakeClock
) -> None:
    (shard,) = shards
    await fleet.register_workers(shard, "one", "two")
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(9)), now=clock.now)
    for worker in ("one", "two"):
        await claim_jobs(shard, worker=worker, now=clock.now)
        await send_heartbeat(shard, worker, running=1)
    loop = new_loop(fleet, limits=replace(LIMITS, max_workers=2))
    await loop.run_round()
    await shard.execute(("HSET", keys.scaler(shard.prefix, "orders"), "max_workers", "1"))
    decision = await loop.run_round()
    assert decision is not None
    assert decision.drain == 1
    assert await claim_jobs(shard, worker="one", now=clock.now) == []
    assert len(await claim_jobs(shard, worker="two", now=clock.now)) == 1
    await send_heartbeat(shard, "one", running=1, state="draining")
    decision = await loop.run_round()
    assert decision is not None
    assert decision.drain == 0
    assert fleet.terminated == []
    await fleet.unregister_workers(shard, "one")
    await loop.run_round()
    assert fleet.terminated == ["one"]
