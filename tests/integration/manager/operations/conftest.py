"""Operations on the queue of a standalone Redis, then of a cluster."""

from collections.abc import AsyncIterator

import pytest

from jobqueue.sharding.shards import Shards
from tests.integration.manager.operations.operation_harness import Harness


@pytest.fixture(params=["plain", "cluster"])
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    """A test that uses this runs twice."""
    url = request.getfixturevalue("redis_url") if request.param == "plain" else request.getfixturevalue("cluster").url
    shards = await Shards.connect(url)
    yield Harness(shards)
    await shards.close()


@pytest.fixture
async def plain(redis_url: str) -> AsyncIterator[Harness]:
    """On a standalone Redis alone."""
    shards = await Shards.connect(redis_url)
    yield Harness(shards)
    await shards.close()
