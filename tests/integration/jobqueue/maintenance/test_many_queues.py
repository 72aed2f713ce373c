"""How many calls an idle manager makes for many queues."""

import asyncio
import contextlib
from collections.abc import Coroutine

from jobqueue import keys
from jobqueue.maintenance.expiry import MAX_TURN_QUEUES, prune
from jobqueue.maintenance.periodic import Maintenance
from jobqueue.maintenance.rq_wakeups import wake_for_rq_jobs
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import NOW, enqueue_jobs
from workmanager.local.valkey import ValkeyServer

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


async def test_idle_queues_cost_few_commands(any_shards: Shards, shard: Shard, shared_server: ValkeyServer) -> None:
    names = [f"queue-{number}" for number in range(3 * MAX_TURN_QUEUES)]
    await enqueue_jobs(shard, "one-that-waits", queue=names[150])
    await shard.execute(("SADD", keys.queues(shard.prefix), *(keys.queue(shard.prefix, name) for name in names)))
    maintenance = Maintenance(any_shards)
    steps = (maintenance._enqueue_due, maintenance._wake_workers, maintenance._prune, maintenance._expire_results)
    shared_server.command("CONFIG", "RESETSTAT")
    for step in steps:
        await step(shard)
    statistics = shared_server.command("INFO", "commandstats").values()
    # One that is asked about by itself takes eight or nine of them.
    assert sum(each["calls"] for each in statistics) < 2 * len(names)


async def test_what_has_expired_goes_in_every_queue_in_its_turn(shard: Shard) -> None:
    names = [f"queue-{number}" for number in range(2 * MAX_TURN_QUEUES + 1)]
    await shard.execute(
        ("SADD", keys.queues(shard.prefix), *(keys.queue(shard.prefix, name) for name in names)),
        *(("ZADD", keys.registry(shard.prefix, "failed", name), NOW - 1, "gone") for name in names),
    )

    async def left() -> int:
        asked = (("ZCARD", keys.registry(shard.prefix, "failed", name)) for name in names)
        return sum(await shard.execute(*asked))

    counts = []
    for turn in range(7, 10):
        await prune(shard, turn=turn, now=NOW)
        counts.append(await left())
    assert sorted(counts, reverse=True) == counts
    assert counts[-1] == 0
    assert counts[0] >= MAX_TURN_QUEUES


async def test_queues_with_nothing_to_recheck_or_to_reap_are_not_visited(any_shards: Shards, shard: Shard) -> None:
    for number in range(QUEUES):
        await enqueue_jobs(shard, f"job-{number}", queue=f"queue-{number}")
    maintenance = Maintenance(any_shards)
    # The names of the queues, and which of them have any.
    assert await _calls_of(shard, maintenance._recheck_deferred(shard)) <= 2
    assert await _calls_of(shard, maintenance._reap_rq_executions(shard)) <= 2


async def _calls_of(shard: Shard, work: Coroutine[None, None, None]) -> int:
    """Return how many calls to Redis some work makes, at most for a while."""
    calls = shard._topology.round_trips
    before = calls.answered
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(work, SECONDS)
    return calls.answered - before
