"""The Redis under all contestants: a fresh embedded Valkey with the settings of `workmanager up`."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.harness.measured_programs import wait_until
from jobqueue.servers.url import parse_redis_url
from manager.cluster.reconciler import ClusterReconciler
from manager.cluster.slot_ranges import parse_hosts
from workmanager.errors import ServerError
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

_SHARE_OF_MEMORY = 0.5


@dataclass(frozen=True, slots=True)
class BenchmarkRedis:
    """One server, or the masters of a cluster.

    Attributes:
        directory: temporary directory, also for logs.
        url: value for `--redis-url`.
        client: client for commands on keys.
        masters: one client per master.
    """

    directory: Path
    url: str
    client: redis.Redis | redis.RedisCluster
    masters: tuple[redis.Redis, ...]

    def cpu_seconds(self) -> float:
        """Return the processor time of all masters, without the children that rewrite their append-only files."""
        return sum(_cpu_seconds(master) for master in self.masters)

    def memory_bytes(self) -> int:
        """Return the memory of all masters' data, without the buffers of connections and of the append-only file."""
        return sum(_memory_bytes(master) for master in self.masters)

    def wait_until_idle(self) -> None:
        """Wait until the after-effects of filling are over: append-only file rewrites and growing hash tables."""
        wait_until(
            lambda: not any(map(_rewriting, self.masters)), seconds=300, wanted="the end of append-only file rewrites"
        )
        # The table of keys does not grow during a rewrite; the first new key afterwards starts the overdue rehashing.
        self.client.set("first-key", "")
        self.client.delete("first-key")
        wait_until(lambda: not any(map(_rehashing, self.masters)), seconds=300, wanted="the end of rehashing")

    def start_aof_rewrite(self) -> None:
        """Start a rewrite of the append-only file, as a server does automatically when the file has doubled."""
        for master in self.masters:
            master.bgrewriteaof()


@contextlib.contextmanager
def redis_server() -> Iterator[BenchmarkRedis]:
    """Run a fresh server for the duration of the block."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        server = ValkeyServer(Path(name) / "redis", settings=_memory_limit(1))
        try:
            server.start()
            client = redis.Redis(port=server.port)
            yield BenchmarkRedis(Path(name), server.url, client, (client,))
        finally:
            # Not killed: a running rewrite of its file would survive and slow the next contestant down.
            server.stop()


@contextlib.contextmanager
def replicated_redis() -> Iterator[BenchmarkRedis]:
    """Run a fresh server with a replica. `masters` does not list the replica."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name, redis_server() as master:
        replica = ValkeyServer(
            Path(name) / "replica",
            settings={**_memory_limit(2), "replicaof": f"127.0.0.1 {master.masters[0].info('server')['tcp_port']}"},
        )
        try:
            replica.start()
            wait_until(lambda: _replicates(master.masters[0]), seconds=30, wanted="a replica that is linked")
            yield master
        finally:
            replica.stop()


@contextlib.contextmanager
def redis_cluster() -> Iterator[BenchmarkRedis]:
    """Run a fresh cluster of three masters, each with a replica."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        cluster = ValkeyCluster(Path(name) / "redis", settings=_memory_limit(6))
        try:
            cluster.start()
            form_cluster(cluster.equal_hosts, cluster.url)
            masters = tuple(redis.Redis(port=server.port) for server in cluster.masters())
            client = redis.RedisCluster(host="127.0.0.1", port=cluster.servers[0].port)
            yield BenchmarkRedis(Path(name), cluster.url, client, masters)
        finally:
            cluster.stop()


def form_cluster(hosts: str, url: str) -> None:
    """Form a cluster from the servers, as managers with the same CLUSTER_HOSTS do. Then every member knows all slots.

    Raises:
        ServerError: the cluster did not become healthy in time.
    """

    async def form() -> bool:
        reconciler = ClusterReconciler(parse_hosts(hosts.split(",")), parse_redis_url(url).connect)
        try:
            return await reconciler.wait_until_healthy(30.0)
        finally:
            await reconciler.stop()

    # In a thread, because the caller may run in an event loop.
    with ThreadPoolExecutor(1) as thread:
        if not thread.submit(asyncio.run, form()).result():
            raise ServerError("the servers did not become a cluster within 30 s")
    members = [redis.Redis.from_url(member) for member in url.split(",")]
    wait_until(lambda: all(map(_knows_all, members)), seconds=30, wanted="members that know of all slots")


def _memory_limit(servers: int) -> dict[str, str]:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"maxmemory": str(int(size * _SHARE_OF_MEMORY / servers))}


def _cpu_seconds(client: redis.Redis) -> float:
    cpu = client.info("cpu")
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


def _memory_bytes(client: redis.Redis) -> int:
    memory = client.info("memory")
    return int(memory["used_memory"]) - int(memory["mem_clients_normal"]) - int(memory["mem_aof_buffer"])


def _replicates(client: redis.Redis) -> bool:
    state = client.info("replication")
    return bool(state["connected_slaves"]) and state["slave0"]["state"] == "online"


def _knows_all(client: redis.Redis) -> bool:
    return "cluster_slots_ok:16384" in str(client.execute_command("CLUSTER", "INFO"))  # type: ignore[no-untyped-call]


def _rewriting(client: redis.Redis) -> bool:
    state = client.info("persistence")
    return bool(state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])


def _rehashing(client: redis.Redis) -> bool:
    return bool(client.info("memory")["mem_overhead_db_hashtable_rehashing"])
