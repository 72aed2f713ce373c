"""An embedded cluster of real servers: failover, and restart in the same directory."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from benchmarks.harness.redis_servers import form_cluster
from tests.waiting import until
from workmanager.local.valkey_cluster import ValkeyCluster


def _client(cluster: ValkeyCluster) -> RedisCluster:
    return RedisCluster.from_url(cluster.servers[0].url, decode_responses=True)


def _write(cluster: ValkeyCluster, count: int) -> None:
    with _client(cluster) as client:
        for number in range(count):
            client.set(f"key:{number}", number)


def _count(cluster: ValkeyCluster) -> int:
    return sum(int(master.command("DBSIZE")) for master in cluster.masters())


def test_keys_are_spread_over_three_masters_with_a_replica_each(cluster: ValkeyCluster) -> None:
    _write(cluster, 300)
    sizes = [int(master.command("DBSIZE")) for master in cluster.masters()]
    assert len(sizes) == 3
    assert sum(sizes) == 300
    assert min(sizes) > 50
    assert [master.command("WAIT", 1, 5_000) for master in cluster.masters()] == [1, 1, 1]


def test_the_replica_of_a_killed_master_takes_over(cluster: ValkeyCluster) -> None:
    lost = cluster.masters()[0]
    lost.kill()
    until(lambda: len(cluster.masters()) == 3, wanted="a successor")
    assert lost not in cluster.masters()
    cluster.repair()
    assert lost.command("ROLE")[0] == "slave"


def test_the_cluster_is_repaired_and_emptied_between_tests(cluster: ValkeyCluster) -> None:
    assert all(server.pid for server in cluster.servers)
    assert _count(cluster) == 0


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[ValkeyCluster]:
    cluster = ValkeyCluster(tmp_path / "cluster")
    yield cluster
    cluster.stop()


def test_the_next_start_has_the_data_even_if_the_ports_are_taken(
    own_cluster: ValkeyCluster,
) -> None:
    own_cluster.start()
    form_cluster(own_cluster.hosts, own_cluster.url)
    _write(own_cluster, 60)
    before = {server.port for server in own_cluster.servers}
    own_cluster.stop()
    again = ValkeyCluster(own_cluster.directory)
    with ExitStack() as stack:
        for port in before:
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        try:
            again.start()
            form_cluster(again.hosts, again.url)
            assert before.isdisjoint(server.port for server in again.servers)
            assert _count(again) == 60
        finally:
            again.stop()


def test_after_stop_no_server_answers(own_cluster: ValkeyCluster) -> None:
    own_cluster.start()
    own_cluster.stop()
    with pytest.raises(redis.ConnectionError):
        own_cluster.servers[0].command("PING")
