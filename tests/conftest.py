"""Fixtures of real servers. Each starts when the first test needs it and stops with the test run."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from benchmarks.harness.redis_servers import form_cluster
from workmanager import store_settings
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

# For servers that many tests share, so that a busy disk does not delay them. Their writes survive a kill of the
# process in the system's cache. Tests of power loss start servers of their own.
_WITHOUT_FSYNC = {"appendfsync": "no"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what pytest-xdist cannot pass on: the log of a test may show names that are not UTF-8."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One server for all tests that neither stop nor reconfigure it. `redis_url` empties it first."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"), settings=_WITHOUT_FSYNC)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(shared_server: ValkeyServer) -> str:
    """The URL of the shared server, emptied."""
    shared_server.command("FLUSHALL")
    return shared_server.url


@pytest.fixture
def private_server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server for this test alone, to kill, pause, restart, fill or reconfigure."""
    server = ValkeyServer(tmp_path / "valkey")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def _shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    cluster = ValkeyCluster(tmp_path_factory.mktemp("cluster"), settings=_WITHOUT_FSYNC)
    cluster.start()
    form_cluster(cluster.equal_hosts, cluster.url)
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(_shared_cluster: ValkeyCluster) -> ValkeyCluster:
    """Three masters and three replicas, empty and healthy. A test can kill, pause and restart them."""
    _shared_cluster.repair()
    for master in _shared_cluster.masters():
        master.command("FLUSHALL")
    return _shared_cluster


@pytest.fixture
def long_replica_timeout(cluster: ValkeyCluster) -> Iterator[None]:
    """Make the cluster's masters keep a silent replica for longer than any test takes, instead of for 4 s."""
    for server in cluster.servers:
        server.command("CONFIG", "SET", "repl-timeout", 600)
    yield
    for server in cluster.servers:
        if server.pid:
            server.command("CONFIG", "SET", "repl-timeout", store_settings.REDIS_SETTINGS["repl-timeout"])
