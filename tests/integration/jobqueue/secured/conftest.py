"""Fixtures of the queue over TLS, with a Redis user for each role."""

from collections.abc import AsyncIterator, Iterator

import pytest

from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.tls_redis import TlsServer, find_tls_server_binary, run_tls_cluster


@pytest.fixture(scope="package")
def tls_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TlsServer, TlsServer]]:
    """A master and its replica, in this order."""
    program = find_tls_server_binary()
    if program is None:
        pytest.skip("no Redis or Valkey server with TLS on the PATH: apt-get install redis-tools")
    yield from run_tls_cluster(program, tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="package")
def master(tls_servers: tuple[TlsServer, TlsServer]) -> TlsServer:
    return tls_servers[0]


@pytest.fixture
async def managers(master: TlsServer) -> AsyncIterator[Shards]:
    """The shards with a manager's user. The queue is empty."""
    # No user may run FLUSHALL: the operator finds the keys and the manager deletes them.
    with master.client("operator") as operator, master.client("manager") as manager:
        for key in operator.scan_iter():
            manager.delete(key)
    connected = await Shards.connect(master.url("manager"))
    yield connected
    await connected.close()


@pytest.fixture
async def workers(master: TlsServer, managers: Shards) -> AsyncIterator[Shards]:
    """The shards with a worker's user. A manager has connected before, because workers may not write the layout."""
    connected = await Shards.connect(master.url("worker"))
    yield connected
    await connected.close()


@pytest.fixture
def shard(managers: Shards) -> Shard:
    """A shard with a manager's user."""
    return managers.all[0]


@pytest.fixture
def workers_shard(workers: Shards) -> Shard:
    """The same shard with a worker's user."""
    return workers.all[0]
