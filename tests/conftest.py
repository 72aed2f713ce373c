"""Real servers for the tests. Each starts when the first test asks for it, and none outlives the test run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness.redis_servers import form_cluster
from workmanager import store_settings
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

_DISK = {"appendfsync": "no"}
"""Of servers that many tests use: a disk that is busy for seconds does not hold them up. What one of them wrote before
it is killed is in the system's cache; where power is cut, tests have servers of their own."""


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One server for all tests that neither stop nor reconfigure it; use `redis_url` for an empty one."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"), settings=_DISK)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(shared_server: ValkeyServer) -> str:
    """The address of the shared server, empty."""
    shared_server.command("FLUSHALL")
    return shared_server.url


@pytest.fixture
def private_server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server of this test's own, to kill, pause, restart, fill or reconfigure."""
    server = ValkeyServer(tmp_path / "valkey")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def _shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    cluster = ValkeyCluster(tmp_path_factory.mktemp("cluster"), settings=_DISK)
    cluster.start()
    form_cluster(cluster.equal_hosts, cluster.url)
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(_shared_cluster: ValkeyCluster) -> ValkeyCluster:
    """Three masters, three replicas, all empty and healthy; a test may kill, pause and restart them."""
    _shared_cluster.repair()
    for master in _shared_cluster.masters():
        master.command("FLUSHALL")
    return _shared_cluster


@pytest.fixture
def long_replica_timeout(cluster: ValkeyCluster) -> Iterator[None]:
    """The cluster's masters bear with a silent replica for as long as any test takes, instead of 4 s."""
    for server in cluster.servers:
        server.command("CONFIG", "SET", "repl-timeout", 600)
    yield
    for server in cluster.servers:
        if server.pid:
            server.command("CONFIG", "SET", "repl-timeout", store_settings.REDIS_SETTINGS["repl-timeout"])
