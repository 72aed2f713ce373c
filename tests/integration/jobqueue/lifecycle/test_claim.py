"""Claiming jobs: in which order, never twice, and the same again for a repeat. Releasing them unfinished."""

import asyncio
import math
from typing import Any

import pytest

from jobqueue import keys
from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.claim import CLAIM_LIMIT, MAX_CLAIM_BYTES, release
from jobqueue.lifecycle.control import cancel
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap
from jobqueue.model import FAILURE_TTL_SECONDS, HOUR_SECONDS, LEASE_SECONDS, NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import iso
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    complete_jobs,
    dump_shard,
    enqueue_jobs,
    failed_outcome,
    job_fields,
    job_status,
    key_ttl,
    new_job,
    queued_ids,
    sorted_set,
    success_outcome,
)


async def test_a_claimed_job_has_everything_its_worker_needs(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", timeout_seconds=7, result_ttl_seconds=60, feed=False)
    (job,) = await claim_jobs(shard, token="t1")
    assert (job.id, job.token, job.shard_index, job.queue) == ("a", "t1", shard.index, "default")
    assert (job.timeout_seconds, job.result_ttl_seconds, job.failure_ttl_seconds) == (7, 60, FAILURE_TTL_SECONDS)
    assert (job.from_http, job.feed, job.attempt, job.rq_features, job.rq_callbacks) == (True, False, 1, "", None)
    fields = await job_fields(shard, "a")
    assert (fields["status"], fields["worker_name"]) == ("started", "w1")
    assert await sorted_set(shard, "wm:leases") == {"a:t1": NOW + LEASE_SECONDS}
    # RQ's tools fail jobs whose entry here is in the past, so it is far beyond the timeout.
    assert await sorted_set(shard, "wip:default") == {"a:t1": NOW + 7 + HOUR_SECONDS}


async def test_each_job_of_a_call_stands_in_rqs_registry_for_its_own_timeout(shard: Shard) -> None:
    for name, timeout in {"a": "7", "b": "7", "c": "60", "d": "-1", "e": "x", "f": None, "g": "7"}.items():
        await enqueue_jobs(shard, name)
        key = keys.job(shard.prefix, name)
        await shard.execute(("HDEL", key, "timeout") if timeout is None else ("HSET", key, "timeout", timeout))
    await claim_jobs(shard, 9, token="t1")
    hour = NOW + HOUR_SECONDS
    assert await sorted_set(shard, "wip:default") == {
        **dict.fromkeys(("a:t1", "b:t1", "g:t1"), hour + 7),
        **dict.fromkeys(("e:t1", "f:t1"), hour + 180),
        "c:t1": hour + 60,
        "d:t1": math.inf,
    }


async def test_each_job_of_a_call_has_its_own_fields_whatever_the_one_before_it_has(shard: Shard) -> None:
    since = iso(NOW).encode()
    ordinary = ClaimedJob(
        *("", "t1", shard.index, "default", new_job("").data, 30, True, True, 600),
        *(FAILURE_TTL_SECONDS, 1, None),
        since=since,
    )
    # With what a job is submitted, what its record holds besides, and in what it then differs from an ordinary one.
    others: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
        "timeout": ({"timeout_seconds": 7}, {}, {"timeout_seconds": 7}),
        "result": ({"result_ttl_seconds": 60}, {}, {"result_ttl_seconds": 60}),
        "failure": ({}, {"failure_ttl": 90}, {"failure_ttl_seconds": 90}),
        "feed": ({"feed": False}, {}, {"feed": False}),
        "isolation": ({"isolation": "job"}, {}, {"isolated": True}),
        "trace": ({"trace": "00-a"}, {}, {"trace": b"00-a"}),
        "again": ({}, {"started_at": iso(NOW), "wm_attempts": 1}, {"attempt": 2, "since": since + b" " + since}),
        "unreadable": (
            {},
            {"wm_attempts": "x", "started_at": ""},
            {"unreadable": "the job cannot run: wm_attempts of its record is not a number"},
        ),
        "rq": ({}, {"group_id": "g"}, {"from_http": False, "feed": False, "rq_features": "g"}),
    }
    options = {"timeout_seconds": 30, "result_ttl_seconds": 600}
    await enqueue_jobs(shard, "first", "next", queue="high", **options)
    expected = [ordinary._replace(id=name, queue="high") for name in ("first", "next")]
    for name, (fields, stored, differences) in others.items():
        await enqueue_jobs(shard, f"before-{name}", **options)
        await enqueue_jobs(shard, name, **options | fields)
        for field, value in stored.items():
            await shard.execute(("HSET", keys.job(shard.prefix, name), field, value))
        expected += [ordinary._replace(id=f"before-{name}"), ordinary._replace(id=name, **differences)]
    await enqueue_jobs(shard, "rq-next", "last", **options)
    expected += [ordinary._replace(id="rq-next", from_http=False, feed=False), ordinary._replace(id="last")]
    for name in ("rq", "rq-next"):
        await shard.execute(("HDEL", keys.job(shard.prefix, name), "wm_feed"))
    assert await claim_jobs(shard, 100, "high", "default", token="t1", traces=True) == expected


async def test_only_a_job_that_asked_for_isolation_is_claimed_with_it(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await enqueue_jobs(shard, "b", isolation="job")
    assert [job.isolated for job in await claim_jobs(shard, 2, token="t1")] == [False, True]
    assert [job.isolated for job in await claim_jobs(shard, 2, token="t1")] == [False, True], "a repeat"
    assert "wm_isolation" not in await job_fields(shard, "a")


async def test_a_job_is_claimed_with_the_span_of_its_submission_in_each_attempt(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", trace="00-a", retries=1)
    await enqueue_jobs(shard, "b", trace="00-b", isolation="job")
    await enqueue_jobs(shard, "c")
    jobs = await claim_jobs(shard, 3, traces=True)
    assert [(job.trace, job.isolated) for job in jobs] == [(b"00-a", False), (b"00-b", True), (b"", False)]
    await finish(shard, "w1", [failed_outcome(jobs[0])], now=NOW)
    (again,) = await claim_jobs(shard, traces=True)
    assert (again.trace, again.attempt) == (b"00-a", 2)
    assert "wm_trace" not in await job_fields(shard, "c")
    await enqueue_jobs(shard, "d", trace="00-d")
    assert (await claim_jobs(shard))[0].trace == b"", "nobody has asked for it"


async def test_queues_are_claimed_in_order_of_priority(shard: Shard) -> None:
    await enqueue_jobs(shard, "d1", "d2")
    await enqueue_jobs(shard, "h1", "h2", queue="high")
    jobs = await claim_jobs(shard, 3, "high", "default")
    assert [(job.id, job.queue) for job in jobs] == [("h1", "high"), ("h2", "high"), ("d1", "default")]
    assert await queued_ids(shard) == ["d2"]


async def test_concurrent_claims_never_lease_a_job_twice(shard: Shard) -> None:
    ids = [f"job-{number}" for number in range(200)]
    await enqueue_jobs(shard, *ids)
    batches = await asyncio.gather(*(claim_jobs(shard, 7, worker=f"w{number}") for number in range(40)))
    assert sorted(job.id for batch in batches for job in batch) == sorted(ids)


async def test_more_jobs_than_the_claim_limit_need_several_claims(shard: Shard) -> None:
    ids = [f"job-{number}" for number in range(4 * CLAIM_LIMIT + 10)]
    await enqueue_jobs(shard, *ids)
    batches = [await claim_jobs(shard, 100_000) for _ in range(5)]
    assert [job.id for jobs in batches for job in jobs] == ids


async def test_large_jobs_are_claimed_in_replies_of_bounded_size(shard: Shard) -> None:
    large = b"x" * (MAX_CLAIM_BYTES // 8)
    jobs = [NewJob(f"job-{number}", "noop", large, queue=f"q{number // 10}") for number in range(20)]
    await enqueue(shard, jobs, now=NOW)
    batches = [await claim_jobs(shard, 100, "q0", "q1") for _ in range(4)]
    assert [len(batch) for batch in batches] == [8, 8, 4, 0]
    assert [job.id for batch in batches for job in batch] == [job.id for job in jobs]


async def test_a_repeat_with_the_same_token_returns_the_first_reply(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", "c")
    first = await claim_jobs(shard, 2, token="t1")
    before = await dump_shard(shard)
    assert await claim_jobs(shard, 2, token="t1", now=NOW + 1) == first
    assert await dump_shard(shard) == before
    await finish(shard, "w1", [success_outcome(first[0])], now=NOW)
    assert await claim_jobs(shard, 2, token="t1") == [first[1]]
    assert [job.id for job in await claim_jobs(shard, 2, token="t2")] == ["c"]


async def test_a_repeated_claim_does_not_return_reaped_jobs(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await claim_jobs(shard, token="t1")
    await reap(shard, now=NOW)
    await reap(shard, now=LEASE_EXPIRED)
    assert await queued_ids(shard) == ["a"]
    assert await claim_jobs(shard, token="t1", now=LEASE_EXPIRED) == []
    assert await queued_ids(shard) == ["a"]


async def test_a_previously_lost_job_is_claimed_alone(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "bad", "b")
    first = await claim_jobs(shard, 2)
    await release(shard, [first[0]], now=NOW)
    await reap(shard, now=NOW)
    assert [job.job_id for job in await reap(shard, now=LEASE_EXPIRED)] == ["bad"]
    assert await queued_ids(shard) == ["bad", "a", "b"]
    assert [job.id for job in await claim_jobs(shard, 10, "default", "other")] == ["bad"]
    assert await queued_ids(shard) == ["a", "b"]


async def test_a_claim_stops_before_a_previously_lost_job(shard: Shard) -> None:
    await enqueue_jobs(shard, "bad")
    await claim_jobs(shard)
    await reap(shard, now=NOW)
    await reap(shard, now=LEASE_EXPIRED)
    await enqueue_jobs(shard, "a", at_front=True)
    await enqueue_jobs(shard, "b")
    assert [job.id for job in await claim_jobs(shard, 10)] == ["a"]
    assert await queued_ids(shard) == ["bad", "b"]
    assert [job.id for job in await claim_jobs(shard, 10)] == ["bad"]
    assert [job.id for job in await claim_jobs(shard, 10)] == ["b"]


async def test_expired_cancelled_and_started_jobs_are_skipped(shard: Shard) -> None:
    await enqueue_jobs(shard, "expired", "cancelled", "a", "b")
    await cancel(shard, ["cancelled"], now=NOW)
    await shard.execute(
        ("DEL", f"{shard.prefix}:job:expired"),
        ("RPUSH", f"{shard.prefix}:queue:default", "cancelled", "a"),
    )
    assert [job.id for job in await claim_jobs(shard, 10)] == ["a", "b"]
    assert await queued_ids(shard) == []
    assert await job_status(shard, "cancelled") == "canceled"
    assert await job_status(shard, "expired") is None


async def test_claiming_an_rq_job_removes_its_queue_ttl(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    key = f"{shard.prefix}:job:a"
    await shard.execute(("HDEL", key, "wm_feed"), ("HSET", key, "ttl", 60), ("EXPIRE", key, 60))
    await claim_jobs(shard)
    assert await key_ttl(shard, "job:a") == -1


async def test_a_suspended_queue_keeps_its_jobs(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await shard.execute(("SET", f"{shard.prefix}:suspended", 1))
    assert await claim_jobs(shard) == []
    assert await queued_ids(shard) == ["a"]
    await shard.execute(("DEL", f"{shard.prefix}:suspended"))
    assert len(await claim_jobs(shard)) == 1


@pytest.mark.parametrize("attempts", [1, 2, 3])
async def test_attempts_count_runs_but_not_releases(shard: Shard, attempts: int) -> None:
    await enqueue_jobs(shard, "a", retries=5)
    for _ in range(attempts - 1):
        (job,) = await claim_jobs(shard)
        await finish(shard, "w1", [failed_outcome(job)], now=NOW)
    for _ in range(3):
        (job,) = await claim_jobs(shard)
        assert job.attempt == attempts
        assert await release(shard, [job], now=NOW) == 1
    (job,) = await claim_jobs(shard)
    assert job.attempt == attempts


async def test_released_jobs_return_to_the_head_of_the_queue_in_order(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", "c", "d")
    jobs = await claim_jobs(shard, 3)
    assert await release(shard, jobs, now=NOW) == 3
    assert await queued_ids(shard) == ["a", "b", "c", "d"]
    fields = await job_fields(shard, "a")
    assert fields["status"] == "queued"
    assert not {"worker_name", "started_at", "wm_losses"} & fields.keys()
    assert await sorted_set(shard, "wm:leases") == await sorted_set(shard, "wip:default") == {}


async def test_a_release_without_a_lease_changes_nothing(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b")
    stale = await claim_jobs(shard, 1)
    await release(shard, stale, now=NOW)
    await claim_jobs(shard, 1, worker="w2")
    before = await dump_shard(shard)
    assert await release(shard, stale, now=NOW) == 0
    assert await dump_shard(shard) == before


async def test_a_job_cancelled_while_leased_does_not_run_after_its_release(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    jobs = await claim_jobs(shard)
    await cancel(shard, ["a"], now=NOW)
    await release(shard, jobs, now=NOW)
    assert await job_status(shard, "a") == "canceled"
    assert await queued_ids(shard) == []
    assert await sorted_set(shard, "canceled:default") == {"a": NOW}
    assert await claim_jobs(shard) == []


async def test_finished_jobs_are_not_claimed_again(shard: Shard) -> None:
    await complete_jobs(shard, "a", "b")
    assert await claim_jobs(shard, 10) == []
