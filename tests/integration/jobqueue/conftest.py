"""The queue on real servers: one plain Valkey, and a cluster of three masters with two shards each."""

from collections.abc import AsyncIterator

import pytest

from jobqueue.functions import FunctionRegistry
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from workmanager.local.valkey import ValkeyServer


@pytest.fixture
async def shards(redis_url: str) -> AsyncIterator[Shards]:
    """The one shard of a plain Redis, with RQ's own prefix."""
    connected = await Shards.connect(redis_url)
    yield connected
    await connected.close()


@pytest.fixture(params=["plain", "cluster"])
async def any_shards(request: pytest.FixtureRequest) -> AsyncIterator[Shards]:
    """A plain Redis, and again a cluster: what must be the same on both."""
    url = request.getfixturevalue("redis_url") if request.param == "plain" else request.getfixturevalue("cluster").url
    connected = await Shards.connect(url)
    yield connected
    await connected.close()


@pytest.fixture
def shard(any_shards: Shards) -> Shard:
    """One shard, of a plain Redis and again of a cluster."""
    return any_shards.all[-1]


@pytest.fixture
def plain_shard(shards: Shards) -> Shard:
    """The shard of a plain Redis, where stock RQ reads the same records."""
    return shards.all[0]


@pytest.fixture
async def private_shard(private_server: ValkeyServer) -> AsyncIterator[Shard]:
    """The shard of a server that the test may fill, restart or reconfigure."""
    connected = await Shards.connect(private_server.url)
    yield connected.all[0]
    await connected.close()


@pytest.fixture
def functions() -> FunctionRegistry:
    """The built-in functions."""
    return FunctionRegistry.discover(())
