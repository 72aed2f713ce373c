"""How many calls an idle manager makes for many queues."""

import asyncio
import contextlib
from collections.abc import Coroutine

from jobqueue.maintenance.periodic import Maintenance
from jobqueue.maintenance.rq_wakeups import wake_for_rq_jobs
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import enqueue_jobs

QUEUES = 30
SECONDS = 1.5


async def test_full_queues_are_looked_at_less_often_while_nobody_takes_jobs(shard: Shard) -> None:
    for number in range(QUEUES):
        await enqueue_jobs(shard, f"job-{number}", queue=f"queue-{number}")
    # At most 7 looks at each queue in this time, of two calls each; without longer pauses, there would be 30.
    assert await _calls_of(shard, wake_for_rq_jobs(shard)) < 2 * QUEUES * 9


async def test_queues_without_due_jobs_are_not_visited(any_shards: Shards, shard: Shard) -> None:
    for number in range(QUEUES):
        await enqueue_jobs(shard, f"job-{number}", queue=f"queue-{number}", due_at=9e9)
    # The names of the queues, and which are due; the script may have to be loaded.
    assert await _calls_of(shard, Maintenance(any_shards)._enqueue_due(shard)) <= 3


async def _calls_of(shard: Shard, work: Coroutine[None, None, None]) -> int:
    """Return how many calls to Redis some work makes, at most for a while."""
    calls = shard._topology.round_trips
    before = calls.answered
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(work, SECONDS)
    return calls.answered - before
