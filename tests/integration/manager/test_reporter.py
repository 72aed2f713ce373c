"""One manager at a time tells of the whole queue."""

from collections.abc import AsyncIterator

import pytest

from jobqueue.sharding.shards import Shards
from manager.reporter import Reporter
from tests.waiting import until_async
from workmanager.local.valkey import ValkeyServer


@pytest.fixture
async def shards(private_server: ValkeyServer) -> AsyncIterator[Shards]:
    connected = await Shards.connect(private_server.url)
    yield connected
    await connected.close()


async def test_one_tells_and_another_one_takes_over_when_it_stops(shards: Shards) -> None:
    first, second = Reporter(), Reporter()
    assert not await first.decided()
    first.start(shards, "first:5000")
    assert await first.decided()
    second.start(shards, "second:5000")
    assert not await second.decided()
    await first.stop()
    assert not first.tells

    async def took_over() -> bool:
        return second.tells

    await until_async(took_over)
    await second.stop()


async def test_the_one_that_tells_goes_on_while_redis_is_away(
    shards: Shards, private_server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    reporter = Reporter()
    reporter.start(shards, "first:5000")
    assert await reporter.decided()
    private_server.kill()

    async def renewal_failed() -> bool:
        return "event=reporter_lease_not_renewed" in caplog.text

    await until_async(renewal_failed)
    assert reporter.tells
    await reporter.stop()
