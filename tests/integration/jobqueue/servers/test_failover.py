"""A master is killed under load: every acknowledged job is finished and recorded once, and no client restarts."""

import asyncio
import math
from collections.abc import Callable

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import enqueue_jobs, master_port_of, new_job, queued_ids, replica_of
from tests.integration.jobqueue.servers.queue_load import running_load
from tests.waiting import until_async
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster


async def test_a_killed_master_loses_no_job_and_delays_only_its_own_shards(cluster: ValkeyCluster) -> None:
    shards = await Shards.connect(cluster.url)
    async with running_load(shards) as load:
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
        await load.until_done()
    await load.check_counts()
    await shards.close()
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


async def test_a_master_that_pauses_for_a_second_is_not_replaced(cluster: ValkeyCluster) -> None:
    shards = await Shards.connect(cluster.url)
    (shard, *_) = shards
    seconds = math.inf
    for number in range(5):
        if number:
            await asyncio.to_thread(cluster.repair)
        await enqueue(shard, [new_job(f"a-{number}")], retry_seconds=20)
        (master,) = (server for server in cluster.servers if server.port == master_port_of(shards, shard))
        epoch = _cluster_epoch(master)
        seconds = await _pause(master, 1.0)
        if seconds < 1.1:  # Else other programs kept this one from resuming it in time.
            break
    assert seconds < 1.1
    await enqueue(shard, [new_job("b")], retry_seconds=20)
    await asyncio.sleep(1.0)  # Time for an election, if there was one.
    assert master in cluster.masters()
    assert _cluster_epoch(master) == epoch
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


async def _pause(server: ValkeyServer, seconds: float) -> float:
    """Pause a server; return how long that was in fact."""
    loop = asyncio.get_running_loop()
    paused_at = loop.time()
    server.pause()
    try:
        await asyncio.sleep(seconds)
    finally:
        server.resume()
    return loop.time() - paused_at


def _cluster_epoch(server: ValkeyServer) -> str:
    """Return the cluster's epoch, which each election increases."""
    lines = str(server.command("CLUSTER", "INFO")).splitlines()
    return next(line for line in lines if line.startswith("cluster_current_epoch"))


async def _enqueue_after(seconds: float, shard: Shard) -> None:
    await asyncio.sleep(seconds)
    await enqueue(shard, [new_job(f"after-{seconds}")], retry_seconds=40)


async def _queued_ids_if_available(shard: Shard) -> list[str]:
    """Return the ids in the queue, or [] while the shard is unavailable."""
    try:
        return await queued_ids(shard)
    except ShardUnavailable:
        return []


async def _until(condition: Callable[[], bool]) -> None:
    async def is_met() -> bool:
        return condition()

    await until_async(is_met)
