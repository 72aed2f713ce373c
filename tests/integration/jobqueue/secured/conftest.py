"""The queue over TLS, each party as the user of its role."""

from collections.abc import AsyncIterator, Iterator

import pytest

from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.tls_redis import TlsServer, find_tls_server_binary, run_tls_cluster


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TlsServer, TlsServer]]:
    """A master and its replica."""
    program = find_tls_server_binary()
    if program is None:
        pytest.skip("no Redis or Valkey server with TLS on the PATH: apt-get install redis-tools")
    yield from run_tls_cluster(program, tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="package")
def master(store: tuple[TlsServer, TlsServer]) -> TlsServer:
    return store[0]


@pytest.fixture
async def managers(master: TlsServer) -> AsyncIterator[Shards]:
    """The queue as a manager sees it, empty."""
    # No user may flush: one that reads finds the keys, and one that writes removes them.
    with master.client("operator") as operator, master.client("manager") as manager:
        for key in operator.scan_iter():
            manager.delete(key)
    connected = await Shards.connect(master.url("manager"))
    yield connected
    await connected.close()


@pytest.fixture
async def workers(master: TlsServer, managers: Shards) -> AsyncIterator[Shards]:
    """The queue as a worker sees it; a manager was there before."""
    connected = await Shards.connect(master.url("worker"))
    yield connected
    await connected.close()


@pytest.fixture
def shard(managers: Shards) -> Shard:
    """A shard, for the manager."""
    return managers.all[0]


@pytest.fixture
def workers_shard(workers: Shards) -> Shard:
    """The same shard, for the worker."""
    return workers.all[0]
