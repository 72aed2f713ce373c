"""A shard's slot is moved to another master and back, under load: every acknowledged job is finished and consumed."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from benchmarks.harness.redis_servers import form_cluster
from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.servers.adaptive_wait import NotReplicated, execute_replicated
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import new_job
from tests.integration.jobqueue.servers.queue_load import Load, running_load
from tests.redis_binary import redis_server_binary
from tests.slot_moves import can_move_at_once, move_at_once, move_by_keys, owner_of
from tests.waiting import until_async
from workmanager.local import valkey
from workmanager.local.valkey_cluster import ValkeyCluster

STEP_SECONDS = 0.02
"""Pause between two steps of a move by keys: it then lasts for a second or more."""


@pytest.fixture(params=["valkey", "redis"])
def servers(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ValkeyCluster]:
    """Three masters and three replicas."""
    if request.param == "redis":
        binary = redis_server_binary(tmp_path)
        monkeypatch.setattr(valkey, "server_binary", lambda: binary)
    cluster = ValkeyCluster(tmp_path / "cluster")
    cluster.start()
    form_cluster(cluster.equal_hosts, cluster.url)
    cluster.wait_until_healthy()
    yield cluster
    for server in cluster.servers:
        server.kill()


async def test_a_shard_that_is_moved_key_by_key_loses_no_job(
    servers: ValkeyCluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shards = await Shards.connect(servers.url)
    shard = shards.all[0]
    slot = key_slot(shard.prefix.encode())
    source = owner_of(servers.servers, slot)
    target = next(master for master in servers.masters() if master is not source)
    async with running_load(shards) as load:
        await _until(lambda: load.acknowledged[shard.index] > 50)
        for destination in (target, source):
            before = load.acknowledged.copy()
            move = asyncio.create_task(
                asyncio.to_thread(move_by_keys, servers.servers, slot, destination, STEP_SECONDS)
            )
            await _until(lambda: shards.moving.get(shard.prefix, 0) > 0.2)
            with pytest.raises(ShardUnavailable, match=f"^shard {shard.prefix} is being moved from Redis at 127") as e:
                await enqueue(shard, [new_job(shards.new_id(shard))])
            assert f" to 127.0.0.1:{destination.port}: it takes no commands" in str(e.value)
            assert not e.value.outcome_unknown
            others = {
                index: count - before.get(index, 0)
                for index, count in load.acknowledged.items()
                if index != shard.index
            }
            assert min(others.values()) > 5, others
            await move
            await _until_written(load, shard.index)
            assert shards.moving == {}
        await load.until_done()
    await load.check_counts()
    assert not load.failed
    await shards.close()
    events = [message.split()[0] for message in caplog.messages if "shard_move" in message]
    assert events == ["event=shard_move_began", "event=shard_move_ended"] * 2


async def test_a_shard_that_is_moved_at_once_loses_no_job(cluster: ValkeyCluster) -> None:
    """Valkey 9 copies the slot and then hands it over."""
    if not can_move_at_once(cluster.servers[0]):
        pytest.skip("the server cannot move a slot at once")
    shards = await Shards.connect(cluster.url)
    shard = shards.all[0]
    slot = key_slot(shard.prefix.encode())
    source = owner_of(cluster.servers, slot)
    target = next(master for master in cluster.masters() if master is not source)
    async with running_load(shards) as load:
        await _until(lambda: load.acknowledged[shard.index] > 50)
        for destination in (target, source):
            await asyncio.to_thread(move_at_once, cluster.servers, slot, destination)
            await _until_written(load, shard.index)
        await load.until_done()
    await load.check_counts()
    assert not load.failed
    await shards.close()


async def test_a_write_whose_slot_is_moved_before_it_is_confirmed_is_repeated_at_once(cluster: ValkeyCluster) -> None:
    """The wait for a replica would otherwise go on for seconds, on a server that has the keys no more."""
    shards = await Shards.connect(cluster.url)
    slot = next(slot for slot in range(16384) if slot not in {key_slot(shard.prefix.encode()) for shard in shards})
    master = await shards.topology.master_of(slot)
    source = owner_of(cluster.servers, slot)
    target = next(server for server in cluster.masters() if server is not source)
    target_id = target.command("CLUSTER", "MYID")
    key = next(f"{{{number}}}" for number in range(1_000_000) if key_slot(b"%d" % number) == slot)
    target.command("CLUSTER", "SETSLOT", slot, "NODE", target_id)
    started_at = asyncio.get_running_loop().time()
    with pytest.raises(NotReplicated, match=f"{slot} 127.0.0.1:{target.port}"):
        await execute_replicated(
            master,
            ("DEL", key),
            ("CLUSTER", "SETSLOT", slot, "NODE", target_id),
            touch_key=key,
            masters=shards.topology.masters,
        )
    assert asyncio.get_running_loop().time() - started_at < 1.0
    await asyncio.to_thread(move_by_keys, cluster.servers, slot, source)
    await shards.close()


async def _until_written(load: Load, shard_index: int) -> None:
    count = load.acknowledged[shard_index]
    await _until(lambda: load.acknowledged[shard_index] > count + 20)


async def _until(condition: Callable[[], bool]) -> None:
    async def is_met() -> bool:
        return condition()

    await until_async(is_met)
