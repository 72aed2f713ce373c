"""Fixtures of schedules: each test runs on a standalone Redis, then on a cluster."""

from collections.abc import AsyncIterator

import pytest

from jobqueue.sharding.shards import Shards
from manager.schedules.firing import ScheduleFiring


@pytest.fixture(params=["plain", "cluster"])
async def shards(request: pytest.FixtureRequest) -> AsyncIterator[Shards]:
    """The queue on a standalone Redis, then on a cluster."""
    url = request.getfixturevalue("redis_url") if request.param == "plain" else request.getfixturevalue("cluster").url
    connected = await Shards.connect(url)
    yield connected
    await connected.close()


@pytest.fixture
def manager(shards: Shards) -> ScheduleFiring:
    return ScheduleFiring(shards)
