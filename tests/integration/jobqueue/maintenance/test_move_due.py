"""Queueing scheduled jobs when their time comes, beside a stock scheduler and beside another of us."""

import asyncio

from jobqueue.lifecycle.finish import finish
from jobqueue.maintenance.periodic import DUE_LIMIT, LOCK_SECONDS, move_due
from jobqueue.sharding.shards import Shard
from tests.integration.jobqueue.queue_helpers import NOW, broke, dump, members, put, status_of, take, ttl_of, waiting


async def test_due_jobs_are_queued_in_the_order_of_their_times(shard: Shard) -> None:
    for job_id, delay in (("late", 9), ("early", 3), ("never", 99), ("middle", 6)):
        await put(shard, job_id, due_at=NOW + delay)
    assert await move_due(shard, "default", "me", now=NOW + 10) == 3
    assert await waiting(shard) == ["early", "middle", "late"]
    assert await members(shard, "scheduled:default") == {"never": NOW + 99}
    assert 0 < await ttl_of(shard, "scheduler-lock:default") <= LOCK_SECONDS


async def test_while_another_holds_rqs_lock_nothing_is_touched(shard: Shard) -> None:
    await put(shard, "a", due_at=NOW)
    await shard.execute(("SET", f"{shard.prefix}:scheduler-lock:default", "stock"))
    before = await dump(shard)
    assert await move_due(shard, "default", "me", now=NOW + 1) == -1
    assert await dump(shard) == before


async def test_the_lock_of_one_queue_does_not_hold_up_another(shard: Shard) -> None:
    await put(shard, "a", due_at=NOW)
    await put(shard, "b", due_at=NOW, queue="high")
    await shard.execute(("SET", f"{shard.prefix}:scheduler-lock:default", "stock"))
    assert await move_due(shard, "high", "me", now=NOW) == 1
    assert (await waiting(shard), await waiting(shard, "high")) == ([], ["b"])


async def test_two_at_once_never_queue_a_job_twice(shard: Shard) -> None:
    ids = [f"job-{number:04}" for number in range(DUE_LIMIT + 300)]
    await put(shard, *ids, due_at=NOW)
    moved = 0
    while len(await waiting(shard)) < len(ids):
        answers = await asyncio.gather(*(move_due(shard, "default", f"manager-{n}", now=NOW) for n in range(4)))
        assert sum(answer > 0 for answer in answers) <= 1
        moved += sum(answer for answer in answers if answer > 0)
        await shard.execute(("DEL", f"{shard.prefix}:scheduler-lock:default"))
    assert moved == len(ids)
    assert await waiting(shard) == ids


async def test_entries_without_a_job_are_dropped(shard: Shard) -> None:
    await put(shard, "gone", "cancelled", "a", due_at=NOW)
    await shard.execute(
        ("DEL", f"{shard.prefix}:job:gone"), ("HSET", f"{shard.prefix}:job:cancelled", "status", "canceled")
    )
    await move_due(shard, "default", "me", now=NOW)
    assert await waiting(shard) == ["a"]
    assert await members(shard, "scheduled:default") == {}


async def test_a_due_retry_runs_as_the_next_attempt(shard: Shard) -> None:
    await put(shard, "a", retries=1, retry_intervals=(5,))
    (job,) = await take(shard)
    await finish(shard, "w1", [broke(job)], now=NOW)
    assert await status_of(shard, "a") == "scheduled"
    await move_due(shard, "default", "me", now=NOW + 5)
    (job,) = await take(shard)
    assert job.attempt == 2
