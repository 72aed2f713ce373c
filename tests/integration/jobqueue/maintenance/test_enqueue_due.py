"""Queueing scheduled jobs when they are due, next to RQ's scheduler and to other managers."""

import asyncio

from jobqueue.lifecycle.finish import finish
from jobqueue.maintenance.periodic import DUE_LIMIT, SCHEDULER_LOCK_SECONDS, enqueue_due, find_due
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    dump_shard,
    enqueue_jobs,
    failed_outcome,
    job_status,
    key_ttl,
    queued_ids,
    sorted_set,
)


async def test_due_jobs_are_queued_in_order_of_their_due_times(shard: Shard) -> None:
    for job_id, delay in (("late", 9), ("early", 3), ("never", 99), ("middle", 6)):
        await enqueue_jobs(shard, job_id, due_at=NOW + delay)
    assert await enqueue_due(shard, "default", "me", now=NOW + 10) == 3
    assert await queued_ids(shard) == ["early", "middle", "late"]
    assert await sorted_set(shard, "scheduled:default") == {"never": NOW + 99}
    assert 0 < await key_ttl(shard, "scheduler-lock:default") <= SCHEDULER_LOCK_SECONDS


async def test_due_jobs_stay_scheduled_while_another_scheduler_holds_rqs_lock(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", due_at=NOW)
    await shard.execute(("SET", f"{shard.prefix}:scheduler-lock:default", "rq-scheduler"))
    before = await dump_shard(shard)
    assert await enqueue_due(shard, "default", "me", now=NOW + 1) == -1
    assert await dump_shard(shard) == before


async def test_the_scheduler_lock_of_one_queue_does_not_block_another(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", due_at=NOW)
    await enqueue_jobs(shard, "b", due_at=NOW, queue="high")
    await shard.execute(("SET", f"{shard.prefix}:scheduler-lock:default", "rq-scheduler"))
    assert await enqueue_due(shard, "high", "me", now=NOW) == 1
    assert (await queued_ids(shard), await queued_ids(shard, "high")) == ([], ["b"])


async def test_concurrent_managers_queue_each_due_job_once(shard: Shard) -> None:
    ids = [f"job-{number:04}" for number in range(DUE_LIMIT + 300)]
    await enqueue_jobs(shard, *ids, due_at=NOW)
    due_count = 0
    while len(await queued_ids(shard)) < len(ids):
        # Jobs that are due at the same instant keep their order by fractions of a second.
        counts = await asyncio.gather(*(enqueue_due(shard, "default", f"manager-{n}", now=NOW + 1) for n in range(4)))
        assert sum(count > 0 for count in counts) <= 1
        due_count += sum(count for count in counts if count > 0)
        await shard.execute(("DEL", f"{shard.prefix}:scheduler-lock:default"))
    assert due_count == len(ids)
    assert await queued_ids(shard) == ids


async def test_scheduled_entries_without_a_waiting_job_are_dropped(shard: Shard) -> None:
    await enqueue_jobs(shard, "gone", "cancelled", "a", due_at=NOW)
    await shard.execute(
        ("DEL", f"{shard.prefix}:job:gone"), ("HSET", f"{shard.prefix}:job:cancelled", "status", "canceled")
    )
    await enqueue_due(shard, "default", "me", now=NOW + 1)
    assert await queued_ids(shard) == ["a"]
    assert await sorted_set(shard, "scheduled:default") == {}


async def test_a_due_retry_runs_as_the_next_attempt(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=1, retry_intervals=(5,))
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(job)], now=NOW)
    assert await job_status(shard, "a") == "scheduled"
    await enqueue_due(shard, "default", "me", now=NOW + 5)
    (job,) = await claim_jobs(shard)
    assert job.attempt == 2


async def test_only_queues_with_due_jobs_are_found(shard: Shard) -> None:
    for queue, delay in (("due", 1), ("later", 9), ("soon", 2), ("empty", None)):
        await enqueue_jobs(shard, f"job-of-{queue}", queue=queue, due_at=None if delay is None else NOW + delay)
    queues = ["due", "later", "soon", "empty", "unknown"]
    assert await find_due(shard, queues, now=NOW + 2) == ["due", "soon"]
    # What is no registry is told of where due jobs are queued.
    await shard.execute(("SET", f"{shard.prefix}:scheduled:unknown", "garbage"))
    assert await find_due(shard, queues, now=NOW) == ["unknown"]
