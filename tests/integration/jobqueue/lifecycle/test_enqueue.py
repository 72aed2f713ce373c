"""Enqueuing jobs: outcomes, order, repeated ids, unique keys and delays."""

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from jobqueue import keys
from jobqueue.lifecycle.enqueue import DuplicateUniqueKey, EnqueueOutcome, EnqueueResult, enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.running_job import save_meta
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.model import ENDED, Dependency, Limit, NewJob
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    complete_jobs,
    dump_shard,
    enqueue_jobs,
    failed_outcome,
    job_fields,
    job_status,
    new_job,
    queued_ids,
    sorted_set,
)
from tests.waiting import until_async

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "queue": {"queue": "high"},
    "lifo": {"at_front": True},
    "timeout": {"timeout_seconds": 5},
    "result ttl": {"result_ttl_seconds": 5},
    "no feed": {"feed": False},
    "one retry": {"retries": 1},
    "two retries": {"retries": 2},
    "retry later": {"retries": 1, "retry_intervals": (9,)},
    "at": {"due_at": NOW + 10},
    "another at": {"due_at": NOW + 20},
    "delay": {"due_at": NOW + 10, "delay_seconds": 10.0},
    "another delay": {"due_at": NOW + 20, "delay_seconds": 20.0},
    "lifo at": {"due_at": NOW + 10, "at_front": True},
    "meta": {"meta": b'{"n": 1}'},
    "other meta": {"meta": b'{"n": 2}'},
    "unique": {"unique_key": "k", "unique_milliseconds": 60_000},
    "isolation": {"isolation": "job"},
    "callback": {"callback": '{"url":"https://example.com/"}'},
    "label": {"labels": '{"order":"42"}'},
    "other label": {"labels": '{"order":"43"}'},
    "other function": {"function": "sleep"},
    "parent": {"depends_on": (Dependency("p"),)},
    "other parent": {"depends_on": (Dependency("q"),)},
    "parent whose end is awaited": {"depends_on": (Dependency("p", ENDED),)},
    "limit": {"limits": (Limit("k", concurrency=2),)},
    "other limit": {"limits": (Limit("k", concurrency=3),)},
    "fair key": {"fair_key": "tenant"},
    "workflow": {"depends_on": (), "workflow_id": "w"},
}
"""What a submission can ask for beyond its call; no two of these are the same content."""


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


LINES: Mapping[str, Mapping[str, Any]] = {
    "two functions": {"function": "sleep"},
    "another timeout": {"timeout_seconds": 5},
    "retries": {"retries": 2},
    "meta": {"meta": b'{"n": 1}'},
    "a unique key": {"unique_key": "k", "unique_milliseconds": 60_000},
    "another queue": {"queue": "other"},
}


@pytest.mark.parametrize("difference", LINES)
@pytest.mark.parametrize("every", [2, 3, 7])
@pytest.mark.parametrize("at_front", [False, True], ids=["fifo", "lifo"])
async def test_the_order_of_the_lines_is_the_order_in_the_queue(
    shard: Shard, difference: str, every: int, at_front: bool
) -> None:
    await enqueue_jobs(shard, "before")
    different = LINES[difference]
    jobs = [new_job(str(n), at_front=at_front)._replace(**(different if n % every == 1 else {})) for n in range(20)]
    outcomes = await enqueue(shard, jobs, now=NOW)
    written = [job.id for job, outcome in zip(jobs, outcomes, strict=True) if outcome is EnqueueOutcome.WRITTEN]
    ids = [id_ for id_ in written if different.get("queue") is None or int(id_) % every != 1]
    assert await queued_ids(shard) == ([*reversed(ids), "before"] if at_front else ["before", *ids])


async def test_fifo_and_lifo_lines_of_one_call_go_to_their_ends_of_the_queue(shard: Shard) -> None:
    jobs = [new_job(str(n), at_front=n % 3 == 0, timeout_seconds=60 + n % 2) for n in range(9)]
    await enqueue_jobs(shard, "before")
    await enqueue(shard, jobs, now=NOW)
    assert await queued_ids(shard) == ["6", "3", "0", "before", "1", "2", "4", "5", "7", "8"]


@pytest.mark.parametrize("at_front", [False, True], ids=["fifo", "lifo"])
async def test_jobs_due_at_the_same_instant_keep_their_order(shard: Shard, at_front: bool) -> None:
    ids = [str(n) for n in range(1500)]
    for part in (ids[:400], ids[400:401], ids[401:]):
        jobs = [new_job(id_, due_at=NOW + 10, at_front=at_front, timeout_seconds=60 + int(id_) % 2) for id_ in part]
        await enqueue(shard, jobs, now=NOW)
    assert await enqueue_due(shard, "default", "me", now=NOW + 9.999) == 0
    for expected in (1000, 500):
        assert await enqueue_due(shard, "default", "me", now=NOW + 10.001) == expected
    assert await queued_ids(shard) == (ids[::-1] if at_front else ids)


async def test_of_two_lines_with_one_id_the_first_counts(shard: Shard) -> None:
    jobs = [new_job("a"), new_job("b", timeout_seconds=5), new_job("b"), new_job("c")]
    written, conflict = EnqueueOutcome.WRITTEN, EnqueueOutcome.CONFLICT
    assert await enqueue(shard, jobs, now=NOW) == [written, written, conflict, written]
    assert (await job_fields(shard, "b"))["timeout"] == "5"
    assert await queued_ids(shard) == ["a", "b", "c"]


async def test_thousands_of_jobs_that_all_differ_fit_one_call(shard: Shard) -> None:
    jobs = [new_job(str(number), timeout_seconds=1 + number) for number in range(3000)]
    assert set(await enqueue(shard, jobs, now=NOW)) == {EnqueueOutcome.WRITTEN}
    assert await queued_ids(shard) == [job.id for job in jobs]


async def test_jobs_of_one_call_keep_their_own_functions(shard: Shard) -> None:
    functions = {"a": "noop", "b": "sleep", "c": "noop"}
    await enqueue(shard, [new_job(job_id)._replace(function=name) for job_id, name in functions.items()], now=NOW)
    assert {job_id: (await job_fields(shard, job_id))["description"] for job_id in functions} == functions


async def test_the_same_id_twice_in_one_call_is_one_job(shard: Shard) -> None:
    assert await enqueue_jobs(shard, "a", "a") == [EnqueueOutcome.WRITTEN, EnqueueOutcome.REPEATED]
    assert await queued_ids(shard) == ["a"]


async def test_a_record_is_the_same_whether_its_job_comes_alone_or_with_others(shard: Shard) -> None:
    sizes = itertools.cycle([(10, 20, 5), (10, 6000, 20), (6000, 10, 20)])
    for option, given in OPTIONS.items():
        fields = {name: value for name, value in given.items() if not name.startswith("unique")}
        blank = new_job("")._replace(**fields)
        jobs = [blank._replace(id=f"{option}-{n}", data=b"%d" % n * size) for n, size in enumerate(next(sizes))]
        assert set(await enqueue(shard, jobs, now=NOW)) == {EnqueueOutcome.WRITTEN}
        for job in jobs:
            await enqueue(shard, [job._replace(id=f"{job.id}-alone")], now=NOW)
            assert await job_fields(shard, job.id) == await job_fields(shard, f"{job.id}-alone"), option
            keys = f"{shard.prefix}:job:{job.id}", f"{shard.prefix}:job:{job.id}-alone"
            together, alone, ttl = await shard.execute(
                *(("OBJECT", "ENCODING", key) for key in keys), ("PTTL", keys[0])
            )
            assert (together, ttl) == (alone, -1)


async def test_among_new_jobs_one_that_is_there_stays_as_it_is(shard: Shard) -> None:
    await enqueue_jobs(shard, "old", "expiring")
    await shard.execute(("EXPIRE", f"{shard.prefix}:job:expiring", 1000))
    before = await dump_shard(shard)
    other = [new_job(job_id)._replace(data=b"other") for job_id in ("a", "old", "b", "expiring", "a")]
    written, conflict, repeated = EnqueueOutcome.WRITTEN, EnqueueOutcome.CONFLICT, EnqueueOutcome.REPEATED
    assert await enqueue(shard, other, now=NOW) == [written, conflict, written, conflict, repeated]
    after = await dump_shard(shard)
    for job_id in ("old", "expiring"):
        assert after[f"job:{job_id}"] == before[f"job:{job_id}"]
    assert await queued_ids(shard) == ["old", "expiring", "a", "b"]


async def test_ten_thousand_jobs_fit_one_call(shard: Shard) -> None:
    ids = [f"job-{number}" for number in range(10_000)]
    assert set(await enqueue_jobs(shard, *ids)) == {EnqueueOutcome.WRITTEN}
    assert await queued_ids(shard) == ids


async def test_a_lifo_job_is_next_in_line(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await enqueue_jobs(shard, "b", "c", at_front=True)
    assert await queued_ids(shard) == ["c", "b", "a"]


async def test_a_repeated_id_is_the_same_job_if_another_version_has_written_or_claimed_it(shard: Shard) -> None:
    job = new_job("a")._replace(limits=(Limit("k", concurrency=5, starts=5, seconds=60.0),))
    await enqueue(shard, [job], now=NOW)
    key = keys.job(shard.prefix, "a")
    # Earlier versions name the lane and mark the end otherwise, and take the last one away when the job is claimed.
    await shard.execute(("HSET", key, "wm_lane", "0" * 16, "wm_at_end", "cl"), ("HDEL", key, "wm_in_lane"))
    assert await enqueue(shard, [job], now=NOW) == [EnqueueOutcome.REPEATED]
    other = job._replace(limits=(Limit("k", concurrency=6, starts=5, seconds=60.0),))
    assert await enqueue(shard, [other], now=NOW) == [EnqueueOutcome.CONFLICT]


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


async def test_a_repeat_is_the_same_only_if_all_options_are(shard: Shard) -> None:
    unlike = {
        (first, second): outcome
        for number, (first, second) in enumerate(itertools.product(OPTIONS, OPTIONS))
        for outcome in [await _enqueue_twice(shard, f"{number}", OPTIONS[first], OPTIONS[second])]
        if outcome is not (EnqueueOutcome.REPEATED if first == second else EnqueueOutcome.CONFLICT)
    }
    assert unlike == {}


async def _enqueue_twice(
    shard: Shard, job_id: str, first: Mapping[str, Any], second: Mapping[str, Any]
) -> EnqueueResult:
    own_key = {"unique_key": job_id}
    jobs = [
        new_job(job_id)._replace(**fields)._replace(**(own_key if "unique_key" in fields else {}))
        for fields in (first, second)
    ]
    assert await enqueue(shard, jobs[:1], now=NOW) == [EnqueueOutcome.WRITTEN]
    (outcome,) = await enqueue(shard, jobs[1:], now=NOW + 1)
    return outcome


async def test_every_field_of_a_new_job_is_compared_when_it_is_repeated(shard: Shard) -> None:
    named = {name for fields in OPTIONS.values() for name in fields}
    assert named == set(NewJob._fields) - {"id", "data", "trace"}, "an option is missing in OPTIONS"


async def test_a_repeat_is_the_same_whatever_trace_it_is_part_of(shard: Shard) -> None:
    job = new_job("a")
    assert await enqueue(shard, [job._replace(trace="00-one")], now=NOW) == [EnqueueOutcome.WRITTEN]
    for trace in (None, "00-one", "00-another"):
        assert await enqueue(shard, [job._replace(trace=trace)], now=NOW) == [EnqueueOutcome.REPEATED]
    assert (await job_fields(shard, "a"))["wm_trace"] == "00-one"


async def test_a_repeat_with_a_delay_is_the_same_although_it_is_due_later(shard: Shard) -> None:
    assert await enqueue_jobs(shard, "a", due_at=NOW + 10, delay_seconds=10.0) == [EnqueueOutcome.WRITTEN]
    repeat = await enqueue_jobs(shard, "a", due_at=NOW + 13, delay_seconds=10.0, now=NOW + 3)
    assert repeat == [EnqueueOutcome.REPEATED]
    assert await sorted_set(shard, "scheduled:default") == {"a": NOW + 10}


@pytest.mark.parametrize("option", ["two retries", "retry later", "at", "lifo at", "meta", "other meta"])
async def test_a_job_of_an_older_version_is_compared_by_what_that_version_stored(shard: Shard, option: str) -> None:
    await enqueue(shard, [new_job("a")._replace(**OPTIONS[option])], now=NOW)
    await shard.execute(("HDEL", f"{shard.prefix}:job:a", "wm_options"))
    assert await enqueue(shard, [new_job("a")._replace(**OPTIONS[option])], now=NOW) == [EnqueueOutcome.REPEATED]
    assert await enqueue_jobs(shard, "a", timeout_seconds=5) == [EnqueueOutcome.CONFLICT]


async def test_a_repeat_is_the_same_after_the_job_has_changed_its_meta_and_was_retried(shard: Shard) -> None:
    options: dict[str, Any] = {"meta": b'{"n": 1}', "retries": 2}
    await enqueue_jobs(shard, "a", **options)
    (job,) = await claim_jobs(shard)
    await save_meta(shard, job, b'{"n": 2}')
    await finish(shard, "w1", [failed_outcome(job)], now=NOW)
    assert await enqueue_jobs(shard, "a", **options) == [EnqueueOutcome.REPEATED]
    assert await enqueue_jobs(shard, "a", **{**options, "meta": b'{"n": 2}'}) == [EnqueueOutcome.CONFLICT]


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
