"""Long polling for results: consumers that wait for the feed wake up as soon as a result is ready."""

import asyncio

import pytest

from jobqueue.lifecycle.pull import pull, wait_for_results
from jobqueue.maintenance.expiry import prune
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import NOW, complete_jobs

WAIT_SECONDS = 90.0
SOON_SECONDS = 30.0
"""Much sooner than a wait would end at its timeout."""


async def test_a_waiter_wakes_when_a_result_comes(shard: Shard) -> None:
    waiter = asyncio.create_task(wait_for_results(shard, WAIT_SECONDS))
    await asyncio.sleep(0)
    await complete_jobs(shard, "a")
    await asyncio.wait_for(waiter, SOON_SECONDS)
    assert len(await pull(shard, 1, now=NOW)) == 1


async def test_a_waiter_returns_at_once_when_a_result_is_ready(shard: Shard) -> None:
    await complete_jobs(shard, "a")
    await asyncio.wait_for(wait_for_results(shard, WAIT_SECONDS), SOON_SECONDS)


async def test_a_waiter_wakes_when_results_come_back_unacknowledged(shard: Shard) -> None:
    await complete_jobs(shard, "a")
    await pull(shard, 1, lease_seconds=30, now=NOW)
    waiter = asyncio.create_task(wait_for_results(shard, WAIT_SECONDS))
    await prune(shard, now=NOW + 31)
    await asyncio.wait_for(waiter, SOON_SECONDS)


async def test_each_waiter_gets_one_of_several_results(shard: Shard) -> None:
    async def consume() -> str:
        await wait_for_results(shard, WAIT_SECONDS)
        return (await pull(shard, 1, now=NOW))[0].job_id

    consumers = [asyncio.create_task(consume()) for _ in range(4)]
    await complete_jobs(shard, "a", "b", "c", "d")
    pulled = await asyncio.wait_for(asyncio.gather(*consumers), SOON_SECONDS)
    assert sorted(pulled) == ["a", "b", "c", "d"]


async def test_a_waiter_on_an_empty_feed_keeps_waiting(shard: Shard) -> None:
    await complete_jobs(shard, "a")
    await pull(shard, 1, now=NOW)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait_for_results(shard, WAIT_SECONDS), 0.2)
