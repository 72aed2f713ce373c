"""A member of the cluster whose disk was full can be started again from its file, because managers watch it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis.crc import key_slot

from benchmarks.harness.redis_servers import form_cluster
from jobqueue.servers.url import parse_redis_url
from manager.append_only.file_watch import NEEDS_REWRITE, WRITE_FAILS
from manager.cluster.reconciler import ClusterReconciler
from manager.cluster.slot_ranges import parse_hosts
from tests.durability import until_aof_written
from tests.full_disk import cut_a_write_short, full_disk, until_written
from tests.redis_binary import redis_server_binary
from tests.waiting import until, until_async
from workmanager.local import valkey
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

FAILOVER_SECONDS = 5.5
MASTER_1, REPLICA_1 = 0, 3
"""Places in `servers`."""
KEYS = [f"{{{tag}}}:key" for tag in itertools.islice((n for n in itertools.count() if key_slot(b"%d" % n) < 8192), 4)]
"""In the slots of the first host's master."""


@pytest.fixture(params=["valkey", "redis"])
def servers(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ValkeyCluster]:
    """Six servers that are a cluster."""
    if request.param == "redis":
        binary = redis_server_binary(tmp_path)
        monkeypatch.setattr(valkey, "server_binary", lambda: binary)
    cluster = ValkeyCluster(tmp_path / "cluster")
    cluster.start()
    form_cluster(cluster.hosts, cluster.url)
    yield cluster
    for server in cluster.servers:
        server.kill()


@pytest.fixture
def promoted(servers: ValkeyCluster) -> ValkeyServer:
    """A replica that has been copied from its master since it started, and is the master now."""
    master, server = servers.servers[MASTER_1], servers.servers[REPLICA_1]
    until(lambda: server.command("INFO", "replication")["master_link_status"] == "up")
    master.command("SET", KEYS[0], 1)
    # The members of a new cluster ignore it as long as they do not all know each other. Redis gives up after 5 s.
    while server not in servers.masters():
        server.command("CLUSTER", "FAILOVER")
        with suppress(AssertionError):
            until(lambda: server in servers.masters(), FAILOVER_SECONDS)
    until(lambda: server.command("INFO", "replication")["connected_slaves"] == 1, wanted="a linked replica")
    return server


@pytest.fixture
async def reconciler(servers: ValkeyCluster) -> AsyncIterator[ClusterReconciler]:
    """A manager that starts now."""
    reconciler = ClusterReconciler(parse_hosts(servers.hosts.split(",")), parse_redis_url(servers.url).connect)
    yield reconciler
    await reconciler.stop()


async def test_a_manager_has_the_file_rewritten_before_the_member_counts_as_sound(
    servers: ValkeyCluster, promoted: ValkeyServer, reconciler: ClusterReconciler
) -> None:
    await reconciler.reconcile()
    with full_disk(promoted):
        await asyncio.to_thread(cut_a_write_short, promoted, KEYS[1])
        state = await reconciler.reconcile()
        assert (state.files_unsound, list(reconciler.unsound_files.values())) == (1, [WRITE_FAILS])
    await asyncio.to_thread(until_written, promoted)
    state = await reconciler.reconcile()
    assert (state.files_unsound, list(reconciler.unsound_files.values())) == (1, [NEEDS_REWRITE])
    assert not state.is_healthy
    await _until_sound(reconciler)
    await asyncio.to_thread(_restart, promoted)
    assert promoted.command("DBSIZE") == 2


async def test_a_manager_that_starts_later_has_the_file_rewritten_too(
    servers: ValkeyCluster, promoted: ValkeyServer, reconciler: ClusterReconciler
) -> None:
    with full_disk(promoted):
        await asyncio.to_thread(cut_a_write_short, promoted, KEYS[1])
    await asyncio.to_thread(until_written, promoted)
    promoted.command("SET", KEYS[2], 1)
    state = await reconciler.reconcile()
    assert (state.files_unsound, reconciler.unsound_files) == (1, {f"127.0.0.1:{promoted.port}": NEEDS_REWRITE})
    await _until_sound(reconciler)
    await asyncio.to_thread(_restart, promoted)
    assert promoted.command("DBSIZE") == 3


async def _until_sound(reconciler: ClusterReconciler) -> None:
    async def sound() -> bool:
        return not (await reconciler.reconcile()).files_unsound

    await until_async(sound, wanted="a sound file")


def _restart(server: ValkeyServer) -> None:
    until_aof_written(server)
    server.kill()
    server.start()
