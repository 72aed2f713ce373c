"""Writing jobs: the answers, the order, what a repeated id and a unique key do."""

import asyncio
from typing import Any

from jobqueue.lifecycle.enqueue import Enqueued, UniqueTaken, enqueue
from jobqueue.maintenance.periodic import move_due
from jobqueue.sharding.shards import Shard
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    complete,
    dump,
    fields_of,
    members,
    new_job,
    put,
    status_of,
    take,
    waiting,
)
from tests.waiting import until_async


async def test_jobs_stand_in_the_queue_in_the_order_of_the_call(shard: Shard) -> None:
    assert await put(shard, "a", "b", "c") == [Enqueued.WRITTEN] * 3
    assert await waiting(shard) == ["a", "b", "c"]
    fields = await fields_of(shard, "a")
    assert fields["status"] == "queued"
    assert fields["created_at"] == fields["enqueued_at"] == "2030-03-17T17:46:40.000000Z"
    assert (fields["timeout"], fields["result_ttl"], fields["wm_feed"]) == ("3600", "604800", "1")


async def test_answers_come_in_the_order_of_the_jobs_whatever_they_share(shard: Shard) -> None:
    await put(shard, "old")
    jobs = [
        new_job("a"),
        new_job("b", queue="high", timeout_seconds=5),
        new_job("old"),
        new_job("c"),
        new_job("old", queue="high"),
        new_job("d", queue="high", timeout_seconds=5),
    ]
    answers = await enqueue(shard, jobs, now=NOW)
    written, repeated, conflict = Enqueued.WRITTEN, Enqueued.REPEATED, Enqueued.CONFLICT
    assert answers == [written, written, repeated, written, conflict, written]
    assert await waiting(shard) == ["old", "a", "c"]
    assert await waiting(shard, "high") == ["b", "d"]


async def test_jobs_of_one_call_keep_their_functions(shard: Shard) -> None:
    functions = {"a": "noop", "b": "sleep", "c": "noop"}
    await enqueue(shard, [new_job(job_id)._replace(function=name) for job_id, name in functions.items()], now=NOW)
    assert {job_id: (await fields_of(shard, job_id))["description"] for job_id in functions} == functions


async def test_one_id_twice_in_one_call_is_one_job(shard: Shard) -> None:
    assert await put(shard, "a", "a") == [Enqueued.WRITTEN, Enqueued.REPEATED]
    assert await waiting(shard) == ["a"]


async def test_ten_thousand_jobs_fit_one_call(shard: Shard) -> None:
    ids = [f"job-{number}" for number in range(10_000)]
    assert set(await put(shard, *ids)) == {Enqueued.WRITTEN}
    assert await waiting(shard) == ids


async def test_a_lifo_job_is_next_in_line(shard: Shard) -> None:
    await put(shard, "a")
    await put(shard, "b", "c", at_front=True)
    assert await waiting(shard) == ["c", "b", "a"]


async def test_a_repeated_id_with_the_same_content_changes_nothing(shard: Shard) -> None:
    await put(shard, "a", meta=b'{"n": 1}', retries=2, retry_intervals=(1, 2))
    (job,) = await take(shard)
    before = await dump(shard)
    again = await put(shard, "a", meta=b'{"n": 1}', retries=2, retry_intervals=(1, 2), now=NOW + 60)
    assert again == [Enqueued.REPEATED]
    assert await dump(shard) == before
    assert job.id == "a"


async def test_a_repeated_id_with_other_content_is_a_conflict_and_changes_nothing(shard: Shard) -> None:
    await put(shard, "a", retries=1)
    before = await dump(shard)
    others: list[dict[str, Any]] = [
        {"queue": "high"},
        {"timeout_seconds": 1},
        {"result_ttl_seconds": 5},
        {"feed": False},
    ]
    for fields in others:
        assert await put(shard, "a", retries=1, **fields) == [Enqueued.CONFLICT], fields
    assert await put(shard, "a") == [Enqueued.CONFLICT]
    other = await enqueue(shard, [new_job("a", retries=1, retry_intervals=(9,))], now=NOW)
    assert other == [Enqueued.CONFLICT]
    assert await dump(shard) == before


async def test_an_id_is_remembered_when_its_job_has_finished(shard: Shard) -> None:
    await complete(shard, "a")
    assert await put(shard, "a") == [Enqueued.REPEATED]
    assert await waiting(shard) == []
    assert await status_of(shard, "a") == "finished"


async def test_a_unique_key_is_taken_until_its_window_is_over(shard: Shard) -> None:
    first = new_job("a", unique_key="k", unique_milliseconds=50_000)
    second = new_job("b", unique_key="k", unique_milliseconds=60_000)
    assert await enqueue(shard, [first]) == [Enqueued.WRITTEN]
    (taken,) = await enqueue(shard, [second])
    assert isinstance(taken, UniqueTaken)
    assert taken.job_id == "a"
    assert 0 < taken.free_in_seconds <= 50
    assert await enqueue(shard, [first]) == [Enqueued.REPEATED]
    assert await waiting(shard) == ["a"]
    # Most of the window has passed.
    await shard.execute(("PEXPIRE", f"{shard.prefix}:wm:unique:k", 50))

    async def is_written() -> bool:
        return await enqueue(shard, [second]) == [Enqueued.WRITTEN]

    await until_async(is_written, wanted="the key is free again")
    assert await waiting(shard) == ["a", "b"]


async def test_of_many_at_once_with_one_unique_key_one_is_written(shard: Shard) -> None:
    jobs = [new_job(f"job-{n}", unique_key="k", unique_milliseconds=60_000) for n in range(20)]
    answers = [answer for (answer,) in await asyncio.gather(*(enqueue(shard, [job]) for job in jobs))]
    assert answers.count(Enqueued.WRITTEN) == 1
    (winner,) = await waiting(shard)
    assert {answer.job_id for answer in answers if isinstance(answer, UniqueTaken)} == {winner}


async def test_a_delayed_job_waits_for_its_time(shard: Shard) -> None:
    await put(shard, "a", due_at=NOW + 10)
    assert await waiting(shard) == []
    assert await members(shard, "scheduled:default") == {"a": NOW + 10}
    assert await status_of(shard, "a") == "scheduled"
    assert await move_due(shard, "default", "me", now=NOW + 9.9) == 0
    assert await move_due(shard, "default", "me", now=NOW + 10) == 1
    assert await waiting(shard) == ["a"]


async def test_a_delayed_lifo_job_is_next_in_line_when_it_is_due(shard: Shard) -> None:
    await put(shard, "late", "later", due_at=NOW + 10, at_front=True)
    await put(shard, "a")
    await move_due(shard, "default", "me", now=NOW + 11)
    assert set((await waiting(shard))[:2]) == {"late", "later"}
    assert (await waiting(shard))[2] == "a"
