"""Records that other programs have spoiled: each costs itself alone, whatever it holds."""

import json
import zlib
from base64 import b64encode
from typing import Any

import pytest

from jobqueue.claimed_job import ClaimedJob
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.counters import read_counts
from jobqueue.inspection.job_views import view_jobs
from jobqueue.inspection.listing import list_jobs
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import RESCUE_GRACE_SECONDS, LeaseUpdate, extend, reap, rescue
from jobqueue.lifecycle.pull import pull
from jobqueue.maintenance.expiry import prune
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.model import MAX_LOSSES
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    complete_jobs,
    enqueue_jobs,
    failed_outcome,
    job_fields,
    job_status,
    queued_ids,
    shard_keys,
    sorted_set,
    success_outcome,
)

HONEST = [f"honest-{number}" for number in range(20)]
LONG_AGO = NOW - 3600


async def _spoil(shard: Shard, job_id: str, **fields: str | bytes) -> None:
    words = [word for field in fields.items() for word in field]
    await shard.execute(("HSET", f"{shard.prefix}:job:{job_id}", *words))


async def _replace(shard: Shard, name: str) -> None:
    """Put a key of a type that the layout never has there in place of another."""
    key = f"{shard.prefix}:{name}"
    await shard.execute(("DEL", key), ("SETRANGE", key, 0, "garbage"))


async def _claim_all(shard: Shard, **options: Any) -> list[ClaimedJob]:
    claimed: list[ClaimedJob] = []
    while jobs := await claim_jobs(shard, 50, token=f"t{len(claimed)}", **options):
        claimed += jobs
    return claimed


async def _error(shard: Shard, job_id: str, functions: FunctionRegistry) -> str:
    (view,) = await view_jobs(shard, [job_id], functions)
    assert view is not None
    assert view.error is not None
    assert view.error.reason == "rejected"
    return view.error.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", "10m"),
        ("timeout", "9" * 400),
        ("timeout", "nan"),
        ("timeout", "\xff"),
        ("result_ttl", "1e400"),
        ("failure_ttl", "soon"),
        ("wm_losses", "x"),
        ("wm_losses", "nan"),
        ("wm_attempts", "many"),
    ],
)
async def test_a_field_that_is_no_number_rejects_its_job_and_no_other(shard: Shard, field: str, value: str) -> None:
    await enqueue_jobs(shard, *HONEST[:10], "bad", *HONEST[10:])
    await _spoil(shard, "bad", started_at="2030-01-01T00:00:00.000000Z", **{field: value.encode("latin-1")})
    jobs = await _claim_all(shard)
    assert sorted(job.id for job in jobs) == sorted([*HONEST, "bad"])
    assert {job.id for job in jobs if job.unreadable} == {"bad"}
    assert field in next(str(job.unreadable) for job in jobs if job.id == "bad")
    assert len(await sorted_set(shard, "wm:leases")) == len(jobs)


@pytest.mark.parametrize("status", ["bogus", "", "\xff\xfe", "QUEUED"])
async def test_a_job_with_an_unknown_status_fails_with_the_reason(
    shard: Shard, functions: FunctionRegistry, status: str
) -> None:
    await enqueue_jobs(shard, "bad", "good")
    await _spoil(shard, "bad", status=status.encode("latin-1"))
    (view,) = await view_jobs(shard, ["bad"], functions)
    assert view is not None
    assert view.unreadable or not status
    assert [job.id for job in await _claim_all(shard)] == ["good"]
    assert "status" in await _error(shard, "bad", functions)
    assert (await job_status(shard, "bad"), await queued_ids(shard)) == ("failed", [])


async def test_a_job_without_data_fails_with_the_reason(shard: Shard, functions: FunctionRegistry) -> None:
    await enqueue_jobs(shard, "bad", "good")
    await shard.execute(("HDEL", f"{shard.prefix}:job:bad", "data"))
    assert [job.id for job in await _claim_all(shard)] == ["good"]
    assert "no data" in await _error(shard, "bad", functions)


async def test_a_record_that_is_no_hash_is_listed_with_the_reason(
    shards: Shards, plain_shard: Shard, functions: FunctionRegistry
) -> None:
    await enqueue_jobs(plain_shard, "a", "bad", "b")
    await _replace(plain_shard, "job:bad")
    page = await list_jobs(shards, functions)
    assert [(job.id, job.unreadable) for job in page.jobs] == [("a", False), ("bad", True), ("b", False)]
    assert [job.id for job in await _claim_all(plain_shard)] == ["a", "b"]
    assert "no hash" in await _error(plain_shard, "bad", functions)
    assert "bad" in [job.id for job in (await list_jobs(shards, functions)).jobs]
    assert await delete(plain_shard, ["bad"]) == ["deleted"]


async def test_a_rejected_job_can_be_mended_and_queued_again(shard: Shard, functions: FunctionRegistry) -> None:
    await enqueue_jobs(shard, "bad")
    await _spoil(shard, "bad", status="bogus")
    assert await _claim_all(shard) == []
    assert await requeue(shard, ["bad"], now=NOW) == ["queued"]
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [success_outcome(job)], now=NOW)
    (view,) = await view_jobs(shard, ["bad"], functions)
    assert view is not None
    assert (view.status, view.error) == ("finished", None)


@pytest.mark.parametrize("name", ["job:j5", "results:j5", "execution:j5:t", "executions:j5", "worker:w1:executions"])
async def test_a_spoiled_key_of_one_job_does_not_lose_the_outcomes_of_others(shard: Shard, name: str) -> None:
    ids = [f"j{number}" for number in range(10)]
    await enqueue_jobs(shard, *ids)
    jobs = await claim_jobs(shard, 10, token="t")
    await _replace(shard, name)
    outcomes = [success_outcome(job, job.id, has_execution_record=True) for job in jobs[:8]]
    report = await finish(shard, "w1", [*outcomes, *(failed_outcome(job) for job in jobs[8:])], now=NOW)
    assert set(report.lost) <= {"j5"}
    pulled = {result.job_id for result in await pull(shard, 20, now=NOW)}
    assert pulled >= set(ids[:8]) - {"j5"}
    assert [await job_status(shard, job_id) for job_id in ids[8:]] == ["failed", "failed"]


@pytest.mark.parametrize(
    "name",
    [
        *("wm:leases", "wip:default", "finished:default", "failed:default", "wm:finished", "wm:failed", "wm:seconds"),
        *("wm:feed:sequence", "wm:feed:bell", "wm:rq-parents", "wm:feed:places", "wm:feed:leases", "wm:claim:w1"),
        *("wm:wake:default", "wm:master", "wm:feed:sweep", "wm:turns", "wm:paused", "queues", "scheduled:default"),
        *("scheduler-lock:default", "workers", "wm:workers", "wm:heard", "canceled:default", "wm:enqueued"),
    ],
)
async def test_a_shared_key_of_another_type_is_set_aside_and_all_jobs_run(shard: Shard, name: str) -> None:
    await _replace(shard, name)
    await enqueue_jobs(shard, *HONEST)
    await enqueue_jobs(shard, "later", due_at=NOW + 1)
    if name != "scheduled:default":
        await _replace(shard, name)
    assert await enqueue_due(shard, "default", "me", now=NOW + 2) in (1, -1)
    await reap(shard, now=NOW)
    jobs = await _claim_all(shard, now=NOW + 3)
    assert {job.id for job in jobs} >= set(HONEST)
    outcomes = [success_outcome(job, job.id) if job.id != HONEST[0] else failed_outcome(job) for job in jobs]
    assert (await finish(shard, "w1", outcomes, now=NOW + 4)).lost == ()
    await read_counts(shard)
    await prune(shard, now=NOW + 5)
    assert {result.job_id for result in await pull(shard, 50, now=NOW + 5)} >= set(HONEST[1:])
    assert await cancel(shard, ["later"], now=NOW + 5)


async def test_what_stood_under_a_shared_key_is_kept_for_a_person_to_see(shard: Shard) -> None:
    await _replace(shard, "wm:leases")
    await enqueue_jobs(shard, "a")
    assert len(await claim_jobs(shard)) == 1
    assert "wm:aside:wm:leases" in await shard_keys(shard)


@pytest.mark.parametrize("counter", ["wm:finished", "wm:seconds", "wm:failed", "wm:enqueued"])
async def test_a_counter_that_is_no_number_starts_again(shard: Shard, counter: str) -> None:
    await shard.execute(
        ("HSET", f"{shard.prefix}:{counter}", "noop", "x"), ("HSET", f"{shard.prefix}:{counter}", "y", "")
    )
    await complete_jobs(shard, "a", "b")
    await enqueue_jobs(shard, "c")
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(job)], now=NOW)
    functions = (await read_counts(shard)).functions
    assert functions.finished.get("noop") == 2
    assert functions.failed.get("noop") == 1
    assert [result.job_id for result in await pull(shard, 5, order="oldest", now=NOW)] == ["a", "b"]


@pytest.mark.parametrize("sequence", ["x", "9223372036854775807", "-3", "1e3"])
async def test_the_feed_survives_a_sequence_that_is_no_number(shard: Shard, sequence: str) -> None:
    await complete_jobs(shard, "a", "b")
    await shard.execute(("SET", f"{shard.prefix}:wm:feed:sequence", sequence))
    await complete_jobs(shard, "c", "d")
    assert {result.job_id for result in await pull(shard, 9, now=NOW)} == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    "value", [b"no base64!", b"x", b64encode(b"not JSON"), b64encode(b"\x80\x04N."), b64encode(b"\xff")]
)
async def test_a_result_that_cannot_be_read_spoils_no_answer(
    shard: Shard, functions: FunctionRegistry, value: bytes
) -> None:
    await complete_jobs(shard, "a", "bad", "b")
    await shard.execute(("XADD", f"{shard.prefix}:results:bad", "*", "type", "1", "return_value", value))
    answer = await pull(shard, 9, order="oldest", now=NOW)
    assert [(result.job_id, json.loads(result.value)) for result in answer] == [("a", "a"), ("b", "b")]
    (view,) = await view_jobs(shard, ["bad"], functions)
    assert view is not None
    assert (view.status, view.result) == ("finished", None)


@pytest.mark.parametrize(
    "fields",
    [
        {"retry_intervals": "x"},
        {"retry_intervals": "[" * 5000},
        {"retry_intervals": '[{"a": 1}, "x", null]'},
        {"retry_intervals": "[1e400]"},
        {"retry_intervals": "7"},
        {"retries_left": "x"},
        {"retries_left": "inf"},
    ],
)
async def test_retries_that_make_no_sense_cost_no_other_job(shard: Shard, fields: dict[str, str]) -> None:
    await enqueue_jobs(shard, "bad", "good", retries=2, retry_intervals=(1, 2))
    await _spoil(shard, "bad", **fields)
    jobs = await claim_jobs(shard, 2)
    report = await finish(shard, "w1", [failed_outcome(job) for job in jobs], now=NOW)
    assert report.lost == ()
    assert await job_status(shard, "good") == "scheduled"
    assert await job_status(shard, "bad") in ("scheduled", "queued", "failed")


async def test_a_spoiled_record_does_not_keep_lost_jobs_from_running_again(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "no-hash", "b", "losses", "c")
    jobs = await claim_jobs(shard, 5)
    assert len(jobs) == 5
    await _replace(shard, "job:no-hash")
    await _spoil(shard, "losses", wm_losses="x", failure_ttl="y")
    await shard.execute(("ZADD", f"{shard.prefix}:wm:leases", 1, "no token", 2, ":", 3, "\xff:t"))
    await shard.execute(("HSET", f"{shard.prefix}:wm:master", "reap_after", "1e300"))
    later = LEASE_EXPIRED + 100
    await reap(shard, now=LEASE_EXPIRED)
    await reap(shard, now=later)
    assert set(await queued_ids(shard)) == {"a", "b", "c", "losses"}
    assert await sorted_set(shard, "wm:leases") == {}


async def test_renewal_and_release_go_on_beside_a_spoiled_record(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "bad", "b")
    jobs = await claim_jobs(shard, 3)
    await _replace(shard, "job:bad")
    await _spoil(shard, "b", wm_attempts="x")
    extension = await extend(shard, "w1", [LeaseUpdate(job, NOW) for job in jobs], now=NOW + 1)
    assert (extension.lost, extension.cancelled) == ((jobs[1],), set())
    assert await release(shard, jobs, now=NOW + 2) == 2
    assert await queued_ids(shard) == ["a", "b"]


async def test_scheduled_jobs_are_queued_beside_a_spoiled_record(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "bad", "b", due_at=NOW + 1)
    await _replace(shard, "job:bad")
    assert await enqueue_due(shard, "default", "me", now=NOW + 2) == 3
    assert await queued_ids(shard) == ["a", "b"]


async def test_leased_results_return_to_the_feed_whatever_their_place_says(shard: Shard) -> None:
    await complete_jobs(shard, "a", "b", "c")
    assert len(await pull(shard, 3, lease_seconds=5, now=NOW)) == 3
    await shard.execute(("HSET", f"{shard.prefix}:wm:feed:places", "b", "x"))
    await shard.execute(("SET", f"{shard.prefix}:wm:feed:sweep", "nonsense"))
    await prune(shard, now=NOW + 6)
    assert {result.job_id for result in await pull(shard, 9, now=NOW + 7)} == {"a", "b", "c"}


async def test_started_jobs_that_nobody_holds_are_queued_again(shard: Shard) -> None:
    await enqueue_jobs(shard, "held", "lost", "young", "rq", "over", now=LONG_AGO)
    jobs = await claim_jobs(shard, 5, token="t", now=LONG_AGO)
    await extend(shard, "w1", [LeaseUpdate(jobs[0])], now=NOW)
    leases, prefix = f"{shard.prefix}:wm:leases", shard.prefix
    await shard.execute(
        ("ZREM", leases, "lost:t", "young:t", "rq:t", "over:t"), ("ZREM", f"{prefix}:wip:default", "lost:t")
    )
    await shard.execute(("HSET", f"{prefix}:execution:rq:t", "id", "t"))
    await _spoil(shard, "young", started_at="2030-03-17T17:46:30.000000Z")
    rescued = await _rescue_all(shard, NOW)
    assert {(job.job_id, job.outcome) for job in rescued} == {("lost", "queued"), ("over", "queued")}
    assert set(await queued_ids(shard)) == {"lost", "over"}
    assert (await job_fields(shard, "lost"))["wm_losses"] == "1"
    assert await _rescue_all(shard, NOW) == []
    assert {job.job_id for job in await _rescue_all(shard, NOW + RESCUE_GRACE_SECONDS)} == {"young"}


async def test_a_job_that_is_lost_without_a_lease_too_often_fails(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    for attempt in range(MAX_LOSSES):
        await claim_jobs(shard, now=NOW + attempt * 100)
        await shard.execute(("DEL", f"{shard.prefix}:wm:leases"))
        (rescued,) = await _rescue_all(shard, NOW + attempt * 100 + RESCUE_GRACE_SECONDS + 1)
    assert (rescued.outcome, await job_status(shard, "a")) == ("failed", "failed")


@pytest.mark.parametrize("depth", [401, 970, 5000, 200_000])
async def test_a_result_nested_too_deep_is_listed_with_the_reason(
    shards: Shards, plain_shard: Shard, functions: FunctionRegistry, depth: int
) -> None:
    await complete_jobs(plain_shard, "a", "deep", "b")
    value = b64encode(b"[" * depth + b"]" * depth)
    await plain_shard.execute(("XADD", "rq:results:deep", "*", "type", "1", "return_value", value))
    await _spoil(plain_shard, "deep", meta=b'{"a":' * depth + b"1" + b"}" * depth)
    page = await list_jobs(shards, functions)
    assert {job.id: job.result for job in page.jobs if job.id != "deep"} == {"a": b'"a"', "b": b'"b"'}
    (deep,) = [job for job in page.jobs if job.id == "deep"]
    assert (deep.status, deep.result, deep.meta) == ("finished", None, None)
    if deep.result_note is None or len(value) < 64 * 1024:
        assert "nested" in await _error(plain_shard, "deep", functions)


async def test_a_traceback_that_unpacks_to_gigabytes_is_cut(shard: Shard, functions: FunctionRegistry) -> None:
    await enqueue_jobs(shard, "bomb", "text", "b64")
    jobs = await claim_jobs(shard, 3)
    await finish(shard, "w1", [failed_outcome(job) for job in jobs], now=NOW)
    bomb = b64encode(zlib.compress(b"x" * 200_000_000, 9))
    for job_id, content in (("bomb", bomb), ("text", b64encode(b"plain")), ("b64", b"x")):
        await shard.execute(("XADD", f"{shard.prefix}:results:{job_id}", "*", "type", "2", "exc_string", content))
    views = await view_jobs(shard, ["bomb", "text", "b64"], functions)
    lengths = [len(view.error.traceback) for view in views if view is not None and view.error is not None]
    assert len(lengths) == 3
    assert max(lengths) <= 1024 * 1024


async def _rescue_all(shard: Shard, now: float) -> list[Any]:
    found: list[Any] = []
    cursor = 0
    while True:
        cursor, some = await rescue(shard, cursor, now=now)
        found += some
        if cursor == 0:
            return found
