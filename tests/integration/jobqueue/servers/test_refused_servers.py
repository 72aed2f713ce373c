"""A master that comes back without cluster mode: its slots belong to the cluster, so nobody writes to it."""

import asyncio
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis.crc import key_slot

from jobqueue import keys
from jobqueue.errors import LayoutMismatch, ShardUnavailable
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.servers.topology import Topology
from jobqueue.sharding.layout import RECORD_FORMAT, Layout
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import enqueue_jobs, master_port_of, new_job, queued_ids
from tests.waiting import until_async
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster


@contextmanager
def without_cluster_mode(server: ValkeyServer, directory: Path, *, with_data: bool = True) -> Iterator[ValkeyServer]:
    """Stop a server and start another without cluster mode at its port, with its data or empty."""
    server.stop()
    if with_data:
        shutil.copytree(server.directory, directory)
    else:
        directory.mkdir()
    (directory / "port").write_text(str(server.port))
    plain = ValkeyServer(directory)
    plain.start()
    try:
        assert plain.port == server.port
        yield plain
    finally:
        plain.kill()


class Clients:
    """A client for each shard that submits jobs, and what was acknowledged: shard and id of each job."""

    def __init__(self, shards: Shards) -> None:
        self.acknowledged: list[tuple[Shard, str]] = []
        self._shards = shards
        self._tasks = [asyncio.create_task(self._submit(shard)) for shard in shards]

    async def until_each_has(self, count: int) -> None:
        """Wait until so many more jobs have been acknowledged on every shard."""
        start = len(self.acknowledged)

        async def have() -> bool:
            newer = [shard for shard, _ in self.acknowledged[start:]]
            return all(newer.count(shard) >= count for shard in self._shards)

        await until_async(have, wanted=f"{count} jobs on each shard")

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _submit(self, shard: Shard) -> None:
        while True:
            job_id = self._shards.new_id(shard)
            try:
                await enqueue(shard, [new_job(job_id)])
                self.acknowledged.append((shard, job_id))
            except ShardUnavailable:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("with_data", [True, False])
async def test_a_master_that_comes_back_without_cluster_mode_gets_no_job(
    cluster: ValkeyCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture, with_data: bool
) -> None:
    caplog.set_level(logging.INFO)
    shards = await Shards.connect(cluster.url)
    clients = Clients(shards)
    victim = next(server for server in cluster.servers if server.port == master_port_of(shards, shards.all[0]))
    address = f"127.0.0.1:{victim.port}"
    await clients.until_each_has(20)
    with without_cluster_mode(victim, tmp_path / "plain", with_data=with_data) as plain:
        layout, jobs = plain.command("GET", keys.LAYOUT), set(plain.command("KEYS", "*:job:*"))
        assert bool(jobs) == with_data
        await clients.until_each_has(20)  # until its replica has taken over
        await clients.stop()
        assert set(plain.command("KEYS", "*:job:*")) == jobs
        assert list(shards.topology.refused_servers) == [address]
        assert caplog.text.count("event=redis_server_refused") == 1
        assert f"event=redis_server_refused server={address} reason='it runs without cluster-enabled" in caplog.text

        started = await Shards.connect(cluster.url)
        assert [shard.prefix for shard in started] == [shard.prefix for shard in shards]
        await started.close()
        if with_data:
            with pytest.raises(ShardUnavailable, match=f"{address} is refused: it runs without cluster-enabled"):
                await Shards.connect(plain.url)
        assert plain.command("GET", keys.LAYOUT) == layout

        held = {id_ for shard in shards for id_ in await queued_ids(shard)}
        if with_data:  # the replica of a master that comes back empty copies that, as Redis does without ACL users
            assert {id_ for _, id_ in clients.acknowledged} <= held

    async def is_forgotten() -> bool:
        return not shards.topology.refused_servers

    await until_async(is_forgotten, wanted="no refused server")
    assert f"event=redis_server_refusal_ended server={address} reason=unreachable" in caplog.text
    await shards.close()


@pytest.mark.parametrize("record", ["layout", "queues", "workers", "heartbeat"])
async def test_a_plain_redis_with_records_of_a_cluster_gets_no_layout(
    redis_url: str, shared_server: ValkeyServer, record: str
) -> None:
    layout = Layout(RECORD_FORMAT, ("{rq:0}", "{rq:7}")).to_json()
    commands = {
        "layout": ("SET", keys.LAYOUT, layout),
        "queues": ("SADD", keys.queues("{rq:7}"), "{rq:7}:queue:default"),
        "workers": ("SADD", keys.workers("{rq:0}"), "{rq:0}:worker:w"),
        "heartbeat": ("SET", keys.manager_heartbeat("{rq:700}"), "1"),
    }
    shared_server.command(*commands[record])
    with pytest.raises(ShardUnavailable, match=f"127.0.0.1:{shared_server.port} is refused"):
        await Shards.connect(redis_url)
    assert shared_server.command("GET", keys.LAYOUT) == (layout if record == "layout" else None)


async def test_several_plain_servers_are_no_queue(redis_url: str, private_server: ValkeyServer) -> None:
    """Each would be a queue of its own, and a program would use the one that answers first."""
    with pytest.raises(ShardUnavailable) as raised:
        await Shards.connect(f"{redis_url},{private_server.url}")
    for server in (redis_url, private_server.url):
        assert f"{server.removeprefix('redis://')} is refused" in str(raised.value)
    assert private_server.command("DBSIZE") == 0


async def test_one_server_that_must_be_a_cluster_is_refused_if_it_is_none(redis_url: str) -> None:
    topology = Topology(redis_url, require_cluster=True)
    with pytest.raises(ShardUnavailable, match="is refused"):
        await topology.refresh()
    await topology.close()


async def test_a_url_that_names_one_plain_redis_twice_is_a_plain_redis(redis_url: str) -> None:
    shards = await Shards.connect(f"{redis_url},{redis_url}")
    assert len(shards) == 1
    await shards.close()


async def test_a_cluster_with_the_queue_of_a_plain_redis_is_rejected(cluster: ValkeyCluster) -> None:
    """Its shard would have keys in many slots, which no script can use."""
    topology = Topology(cluster.url)
    owner = await topology.master_of(key_slot(keys.LAYOUT.encode()))
    await owner.execute(("SET", keys.LAYOUT, Layout(RECORD_FORMAT, ("rq",)).to_json()))
    await topology.close()
    with pytest.raises(LayoutMismatch, match="holds the queue of a plain Redis"):
        await Shards.connect(cluster.url)


async def test_a_refused_server_that_becomes_a_member_is_used_again(
    cluster: ValkeyCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shards = await Shards.connect(cluster.url)
    await enqueue_jobs(shards.all[0], "a")
    victim = next(server for server in cluster.servers if server.port == master_port_of(shards, shards.all[0]))
    with without_cluster_mode(victim, tmp_path / "plain"):
        with pytest.raises(ShardUnavailable):
            await enqueue_jobs(shards.all[0], "b")
        with pytest.raises(ShardUnavailable):
            await enqueue_jobs(shards.all[0], "b")
    victim.start()

    async def is_accepted() -> bool:
        try:
            await enqueue_jobs(shards.all[0], "b")
        except ShardUnavailable:
            return False
        return not shards.topology.refused_servers

    await until_async(is_accepted, wanted="the shard again")
    await shards.close()
