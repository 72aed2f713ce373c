"""Fixtures of the queue on real servers: a standalone Valkey, and a cluster of three masters with two shards each."""

from collections.abc import AsyncIterator

import pytest

from jobqueue.functions import FunctionRegistry
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from workmanager.local.valkey import ValkeyServer


@pytest.fixture
async def shards(redis_url: str) -> AsyncIterator[Shards]:
    """The shards of a standalone Redis: one, with RQ's own prefix."""
    connected = await Shards.connect(redis_url)
    yield connected
    await connected.close()


@pytest.fixture(params=["plain", "cluster"])
async def any_shards(request: pytest.FixtureRequest) -> AsyncIterator[Shards]:
    """The shards of a standalone Redis, then of a cluster. A test that uses this runs twice."""
    url = request.getfixturevalue("redis_url") if request.param == "plain" else request.getfixturevalue("cluster").url
    connected = await Shards.connect(url)
    yield connected
    await connected.close()


@pytest.fixture
def shard(any_shards: Shards) -> Shard:
    """One shard of a standalone Redis, then of a cluster. A test that uses this runs twice."""
    return any_shards.all[-1]


@pytest.fixture
def plain_shard(shards: Shards) -> Shard:
    """The shard of a standalone Redis, where plain RQ reads the same records."""
    return shards.all[0]


@pytest.fixture
async def private_shard(private_server: ValkeyServer) -> AsyncIterator[Shard]:
    """The shard of a server that the test can fill, restart or reconfigure."""
    connected = await Shards.connect(private_server.url)
    yield connected.all[0]
    await connected.close()


@pytest.fixture
def functions() -> FunctionRegistry:
    """The registry of the built-in functions."""
    return FunctionRegistry.discover(())
