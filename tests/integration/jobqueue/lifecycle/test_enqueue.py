"""Enqueuing jobs: outcomes, order, repeated ids, unique keys and delays."""

import asyncio
from typing import Any

from jobqueue.lifecycle.enqueue import DuplicateUniqueKey, EnqueueOutcome, enqueue
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    complete_jobs,
    dump_shard,
    enqueue_jobs,
    job_fields,
    job_status,
    new_job,
    queued_ids,
    sorted_set,
)
from tests.waiting import until_async


async def test_jobs_are_queued_in_the_order_of_the_call(shard: Shard) -> None:
    assert await enqueue_jobs(shard, "a", "b", "c") == [EnqueueOutcome.WRITTEN] * 3
    assert await queued_ids(shard) == ["a", "b", "c"]
    fields = await job_fields(shard, "a")
    assert fields["status"] == "queued"
    assert fields["created_at"] == fields["enqueued_at"] == "2030-03-17T17:46:40.000000Z"
    assert (fields["timeout"], fields["result_ttl"], fields["wm_feed"]) == ("3600", "604800", "1")


async def test_outcomes_are_returned_in_the_order_of_the_jobs(shard: Shard) -> None:
    await enqueue_jobs(shard, "old")
    jobs = [
        new_job("a"),
        new_job("b", queue="high", timeout_seconds=5),
        new_job("old"),
        new_job("c"),
        new_job("old", queue="high"),
        new_job("d", queue="high", timeout_seconds=5),
    ]
    outcomes = await enqueue(shard, jobs, now=NOW)
    written, repeated, conflict = EnqueueOutcome.WRITTEN, EnqueueOutcome.REPEATED, EnqueueOutcome.CONFLICT
    assert outcomes == [written, written, repeated, written, conflict, written]
    assert await queued_ids(shard) == ["old", "a", "c"]
    assert await queued_ids(shard, "high") == ["b", "d"]


async def test_jobs_of_one_call_keep_their_own_functions(shard: Shard) -> None:
    functions = {"a": "noop", "b": "sleep", "c": "noop"}
    await enqueue(shard, [new_job(job_id)._replace(function=name) for job_id, name in functions.items()], now=NOW)
    assert {job_id: (await job_fields(shard, job_id))["description"] for job_id in functions} == functions


async def test_the_same_id_twice_in_one_call_is_one_job(shard: Shard) -> None:
    assert await enqueue_jobs(shard, "a", "a") == [EnqueueOutcome.WRITTEN, EnqueueOutcome.REPEATED]
    assert await queued_ids(shard) == ["a"]


async def test_ten_thousand_jobs_fit_one_call(shard: Shard) -> None:
    ids = [f"job-{number}" for number in range(10_000)]
    assert set(await enqueue_jobs(shard, *ids)) == {EnqueueOutcome.WRITTEN}
    assert await queued_ids(shard) == ids


async def test_a_lifo_job_is_next_in_line(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await enqueue_jobs(shard, "b", "c", at_front=True)
    assert await queued_ids(shard) == ["c", "b", "a"]


async def test_a_repeated_id_with_the_same_content_changes_nothing(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", meta=b'{"n": 1}', retries=2, retry_intervals=(1, 2))
    (job,) = await claim_jobs(shard)
    before = await dump_shard(shard)
    repeat = await enqueue_jobs(shard, "a", meta=b'{"n": 1}', retries=2, retry_intervals=(1, 2), now=NOW + 60)
    assert repeat == [EnqueueOutcome.REPEATED]
    assert await dump_shard(shard) == before
    assert job.id == "a"


async def test_a_repeated_id_with_other_content_is_a_conflict_and_changes_nothing(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=1)
    before = await dump_shard(shard)
    others: list[dict[str, Any]] = [
        {"queue": "high"},
        {"timeout_seconds": 1},
        {"result_ttl_seconds": 5},
        {"feed": False},
    ]
    for fields in others:
        assert await enqueue_jobs(shard, "a", retries=1, **fields) == [EnqueueOutcome.CONFLICT], fields
    assert await enqueue_jobs(shard, "a") == [EnqueueOutcome.CONFLICT]
    other = await enqueue(shard, [new_job("a", retries=1, retry_intervals=(9,))], now=NOW)
    assert other == [EnqueueOutcome.CONFLICT]
    assert await dump_shard(shard) == before


async def test_the_id_of_a_finished_job_is_still_taken(shard: Shard) -> None:
    await complete_jobs(shard, "a")
    assert await enqueue_jobs(shard, "a") == [EnqueueOutcome.REPEATED]
    assert await queued_ids(shard) == []
    assert await job_status(shard, "a") == "finished"


async def test_a_unique_key_is_taken_until_its_window_is_over(shard: Shard) -> None:
    first = new_job("a", unique_key="k", unique_milliseconds=50_000)
    second = new_job("b", unique_key="k", unique_milliseconds=60_000)
    assert await enqueue(shard, [first]) == [EnqueueOutcome.WRITTEN]
    (duplicate,) = await enqueue(shard, [second])
    assert isinstance(duplicate, DuplicateUniqueKey)
    assert duplicate.job_id == "a"
    assert 0 < duplicate.free_in_seconds <= 50
    assert await enqueue(shard, [first]) == [EnqueueOutcome.REPEATED]
    assert await queued_ids(shard) == ["a"]
    # Let the window end soon.
    await shard.execute(("PEXPIRE", f"{shard.prefix}:wm:unique:k", 50))

    async def is_written() -> bool:
        return await enqueue(shard, [second]) == [EnqueueOutcome.WRITTEN]

    await until_async(is_written, wanted="the key is free again")
    assert await queued_ids(shard) == ["a", "b"]


async def test_of_concurrent_jobs_with_one_unique_key_one_is_written(shard: Shard) -> None:
    jobs = [new_job(f"job-{n}", unique_key="k", unique_milliseconds=60_000) for n in range(20)]
    outcomes = [outcome for (outcome,) in await asyncio.gather(*(enqueue(shard, [job]) for job in jobs))]
    assert outcomes.count(EnqueueOutcome.WRITTEN) == 1
    (winner,) = await queued_ids(shard)
    assert {outcome.job_id for outcome in outcomes if isinstance(outcome, DuplicateUniqueKey)} == {winner}


async def test_a_delayed_job_is_scheduled_until_it_is_due(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", due_at=NOW + 10)
    assert await queued_ids(shard) == []
    assert await sorted_set(shard, "scheduled:default") == {"a": NOW + 10}
    assert await job_status(shard, "a") == "scheduled"
    assert await enqueue_due(shard, "default", "me", now=NOW + 9.9) == 0
    assert await enqueue_due(shard, "default", "me", now=NOW + 10) == 1
    assert await queued_ids(shard) == ["a"]


async def test_a_delayed_lifo_job_is_next_in_line_when_it_is_due(shard: Shard) -> None:
    await enqueue_jobs(shard, "late", "later", due_at=NOW + 10, at_front=True)
    await enqueue_jobs(shard, "a")
    await enqueue_due(shard, "default", "me", now=NOW + 11)
    assert set((await queued_ids(shard))[:2]) == {"late", "later"}
    assert (await queued_ids(shard))[2] == "a"
