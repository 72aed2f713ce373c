"""A master is killed under load: every acknowledged job is finished and recorded once, and no client restarts."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.inspection.counters import ShardCounts, read_counts
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap
from jobqueue.lifecycle.pull import acknowledge, pull
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import (
    enqueue_jobs,
    master_port_of,
    new_job,
    queued_ids,
    replica_of,
    success_outcome,
)
from tests.waiting import until_async
from workmanager.local.valkey_cluster import ValkeyCluster

LEASE_SECONDS = 2.0
"""Short, so that jobs whose lease was lost with the master are soon reaped."""


@dataclass
class Load:
    """A client, a worker, a manager and a consumer for each shard, in this process, and what they have achieved.

    Attributes:
        accepted: ids of jobs whose enqueue was acknowledged.
        recorded: id -> how often `finish` reported that the job's outcome was recorded.
        consumed: id -> how often the result was pulled.
        acknowledged: shard -> number of acknowledged enqueues.
        slowest: shard -> seconds that the slowest enqueue took.
        failed: shard -> number of enqueues that were not acknowledged in time.
    """

    shards: Shards
    accepted: set[str] = field(default_factory=set)
    recorded: Counter[str] = field(default_factory=Counter)
    consumed: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[int] = field(default_factory=Counter)
    slowest: dict[int, float] = field(default_factory=dict)
    failed: Counter[int] = field(default_factory=Counter)
    submitting: bool = True

    async def submit(self, shard: Shard) -> None:
        loop = asyncio.get_running_loop()
        while self.submitting:
            job_id = self.shards.new_id(shard)
            started = loop.time()
            try:
                await enqueue(shard, [new_job(job_id)], retry_seconds=15)
                self.accepted.add(job_id)
                self.acknowledged[shard.index] += 1
            except ShardUnavailable:
                self.failed[shard.index] += 1
            self.slowest[shard.index] = max(self.slowest.get(shard.index, 0.0), loop.time() - started)
            await asyncio.sleep(0.01)

    async def work(self, shard: Shard, worker: str) -> None:
        while True:
            try:
                jobs = await claim(shard, worker, ["default"], 20, lease_seconds=LEASE_SECONDS)
                outcomes = [success_outcome(job, job.id) for job in jobs]
                report = await finish(shard, worker, outcomes, retry_seconds=15) if jobs else None
            except JobQueueError:
                continue
            finally:
                await asyncio.sleep(0.02)
            if report is not None:
                self.recorded.update(job.id for job in jobs if job.id not in report.lost)

    async def manage(self, shard: Shard) -> None:
        while True:
            try:
                await reap(shard, lease_seconds=LEASE_SECONDS)
            except JobQueueError:
                continue
            finally:
                await asyncio.sleep(0.2)

    async def consume(self, shard: Shard) -> None:
        while True:
            try:
                results = await pull(shard, 50, lease_seconds=30, retry_seconds=15)
                await acknowledge(shard, [result.job_id for result in results], retry_seconds=15)
            except JobQueueError:
                continue
            finally:
                await asyncio.sleep(0.05)
            self.consumed.update(result.job_id for result in results)


async def test_a_killed_master_loses_no_job_and_delays_only_its_own_shards(cluster: ValkeyCluster) -> None:
    shards = await Shards.connect(cluster.url)
    load = Load(shards)
    clients = [asyncio.create_task(load.submit(shard)) for shard in shards]
    others = [asyncio.create_task(load.work(shard, f"w{shard.index}")) for shard in shards]
    others += [asyncio.create_task(load.manage(shard)) for shard in shards]
    others += [asyncio.create_task(load.consume(shard)) for shard in shards]
    try:
        await _until(lambda: len(load.consumed) > 200)
        victim = cluster.masters()[0]
        ports = {shard.index: master_port_of(shards, shard) for shard in shards}
        affected = {index for index, port in ports.items() if port == victim.port}
        assert len(affected) == 2
        load.slowest.clear()
        before = dict(load.acknowledged)
        await asyncio.to_thread(victim.kill)
        await _until(lambda: all(load.slowest.get(index, 0) > 1 for index in affected))
        meanwhile = {
            index: count - before[index] for index, count in load.acknowledged.items() if index not in affected
        }
        accepted = len(load.accepted)
        await _until(lambda: len(load.accepted) > accepted + 200)
        load.submitting = False
        await asyncio.gather(*clients)
        await _until(lambda: load.accepted <= load.consumed.keys())
        # Jobs that ran again, or were written without being acknowledged, may be left.
        await until_async(lambda: _is_done(shards), wanted="no job or result left")
    finally:
        load.submitting = False
        for task in [*clients, *others]:
            task.cancel()
        await asyncio.gather(*clients, *others, return_exceptions=True)
    total = sum([await read_counts(shard) for shard in shards], ShardCounts())
    await shards.close()
    # A failed enqueue may have been written all the same. There must be no other jobs.
    assert len(load.accepted) <= total.total.finished <= len(load.accepted) + sum(load.failed.values())
    assert total.total.failed == 0
    # If the other shards had been delayed too, they would have acknowledged one or two enqueues meanwhile.
    assert len(meanwhile) == 4
    assert min(meanwhile.values()) > 20, meanwhile
    assert not set(load.failed) - affected


async def test_an_acknowledged_job_has_reached_the_replica(cluster: ValkeyCluster) -> None:
    """The master is killed at the moment of the reply, when the replica has the job already."""
    shards = await Shards.connect(cluster.url)
    shard = next(shard for shard in shards if master_port_of(shards, shard) == cluster.masters()[0].port)
    for number in range(50):
        await enqueue_jobs(shard, f"job-{number}")
    cluster.masters()[0].kill()
    assert await until_async(lambda: _queued_ids_if_available(shard)) == [f"job-{number}" for number in range(50)]
    await shards.close()


async def test_calls_to_a_silent_master_end_when_its_replica_is_promoted(cluster: ValkeyCluster) -> None:
    """A blocking read would last for a minute. Calls that are retried are carried out by the new master."""
    shards = await Shards.connect(cluster.url)
    (shard, *_) = shards
    await enqueue_jobs(shard, "a")
    (master,) = (server for server in cluster.servers if server.port == master_port_of(shards, shard))
    blocking_read = ("BLPOP", f"{shard.prefix}:wm:feed:bell", 60)
    blocked = asyncio.create_task(shard.execute(blocking_read, timeout_seconds=65))
    master.pause()
    try:
        async with asyncio.timeout(45):
            # Started one after the other, so that one of them is waiting when the replica is promoted.
            await asyncio.gather(*(_enqueue_after(number, shard) for number in range(4)))
            with pytest.raises(ShardUnavailable):
                await blocked
    finally:
        master.resume()
        await shards.close()


@pytest.mark.usefixtures("long_replica_timeout")
async def test_a_silent_replica_leaves_the_outcome_unknown(cluster: ValkeyCluster) -> None:
    shards = await Shards.connect(cluster.url)
    (shard, *_) = shards
    await enqueue_jobs(shard, "a")
    replica = replica_of(cluster, master_port_of(shards, shard))
    replica.pause()
    try:
        with pytest.raises(ShardUnavailable, match="no replica") as raised:
            await enqueue_jobs(shard, "b")
    finally:
        replica.resume()
    assert raised.value.outcome_unknown
    await enqueue_jobs(shard, "b")
    assert await queued_ids(shard) == ["a", "b"]
    await shards.close()


async def _enqueue_after(seconds: float, shard: Shard) -> None:
    await asyncio.sleep(seconds)
    await enqueue(shard, [new_job(f"after-{seconds}")], retry_seconds=40)


async def _queued_ids_if_available(shard: Shard) -> list[str]:
    """Return the ids in the queue, or [] while the shard is unavailable."""
    try:
        return await queued_ids(shard)
    except ShardUnavailable:
        return []


async def _is_done(shards: Shards) -> bool:
    """Return whether no job is queued or running, and no result is left to pull or acknowledge."""
    try:
        total = sum([await read_counts(shard) for shard in shards], ShardCounts())
    except ShardUnavailable:
        return False
    left = (total.total.queued, total.total.started, total.jobs_leased, total.completed, total.results_leased)
    return not any(left)


async def _until(condition: Callable[[], bool]) -> None:
    async def is_met() -> bool:
        return condition()

    await until_async(is_met)
