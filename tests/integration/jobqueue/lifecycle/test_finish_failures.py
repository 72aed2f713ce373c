"""Recording failures: retries by RQ's schedule, returned retries, and the final status."""

from dataclasses import replace

import pytest
from redis import Redis
from rq import Queue, Retry
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.results import Result

from jobqueue.inspection.counters import read_counts
from jobqueue.lifecycle.control import cancel
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.lifecycle.pull import pull
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.model import DAY_SECONDS, FailureReason
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    job_fields,
    job_status,
    key_ttl,
    nearly,
    queued_ids,
    results_kept_at,
    retried_outcome,
    sorted_set,
    stopped_outcome,
    success_outcome,
)


async def test_rq_reads_the_failure(plain_shard: Shard, redis_url: str) -> None:
    await enqueue_jobs(plain_shard, "a")
    (job,) = await claim_jobs(plain_shard)
    await finish(plain_shard, "w1", [failed_outcome(job, traceback="Traceback\nValueError: ü")])
    with Redis.from_url(redis_url) as connection:
        read = Job.fetch("a", connection=connection, serializer="json")
        result = read.latest_result()
        assert read.get_status() == "failed"
        assert result is not None
        assert result.exc_string == "Traceback\nValueError: ü"
        assert result.type.name == "FAILED"
        assert FailedJobRegistry(queue=Queue("default", connection=connection)).get_job_ids() == ["a"]


async def test_a_failure_is_kept_for_thirty_days_and_never_pulled(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(job, FailureReason.TIMEOUT)], now=NOW)
    fields = await job_fields(shard, "a")
    assert (fields["status"], fields["wm_reason"]) == ("failed", "timeout")
    assert await key_ttl(shard, "job:a") in nearly(30 * DAY_SECONDS)
    assert await key_ttl(shard, "results:a") in nearly(30 * DAY_SECONDS)
    assert await sorted_set(shard, "failed:default") == {"a": NOW + 30 * DAY_SECONDS}
    assert await sorted_set(shard, "wm:leases") == await sorted_set(shard, "wip:default") == {}
    assert await pull(shard, 5, now=NOW) == []
    assert (await read_counts(shard)).functions.failed == {"noop": 1}


@pytest.mark.parametrize(
    ("retries", "intervals"), [(1, ()), (2, (5,)), (3, (5, 10, 20)), (4, (5, 10)), (2, (7, 8, 9)), (3, (0, 5, 0))]
)
async def test_retries_follow_rqs_schedule(plain_shard: Shard, retries: int, intervals: tuple[int, ...]) -> None:
    shard, now, waits = plain_shard, NOW, list[int]()
    await enqueue_jobs(shard, "a", retries=retries, retry_intervals=intervals)
    for attempt in range(1, retries + 1):
        (job,) = await claim_jobs(shard, now=now)
        assert job.attempt == attempt
        assert (await finish(shard, "w1", [failed_outcome(job)], now=now)).retried == ("a",)
        due = (await sorted_set(shard, "scheduled:default")).get("a")
        waits.append(int(due - now) if due else 0)
        if due:
            assert (await job_status(shard, "a"), await queued_ids(shard)) == ("scheduled", [])
            now = due
            await enqueue_due(shard, "default", "me", now=now)
        assert (await job_status(shard, "a"), await queued_ids(shard)) == ("queued", ["a"])
    (job,) = await claim_jobs(shard, now=now)
    assert (await finish(shard, "w1", [failed_outcome(job)], now=now)).retried == ()
    assert await job_status(shard, "a") == "failed"
    assert waits == _rqs_schedule(retries, intervals)


def _rqs_schedule(retries: int, intervals: tuple[int, ...]) -> list[int]:
    """Return the seconds that RQ itself would wait before each retry."""
    with Redis() as unused:
        job = Job.create(
            "worker_node.functions.noop", connection=unused, retry=Retry(retries, interval=list(intervals or (0,)))
        )
        waits = []
        while job.retries_left:
            waits.append(job.get_retry_interval())
            job.retries_left -= 1
    return waits


async def test_a_retry_goes_to_the_tail_or_if_requested_to_the_head(shard: Shard) -> None:
    await enqueue_jobs(shard, "front", "back", "other", retries=3)
    await shard.execute(("HSET", f"{shard.prefix}:job:front", "enqueue_at_front_on_retry", 1))
    front, back = await claim_jobs(shard, 2)
    await finish(shard, "w1", [failed_outcome(back), failed_outcome(front)], now=NOW)
    assert await queued_ids(shard) == ["front", "other", "back"]


async def test_a_scheduled_retry_at_front_is_next_in_line_when_due(shard: Shard) -> None:
    await enqueue_jobs(shard, "front", retries=1, retry_intervals=(5,))
    await shard.execute(("HSET", f"{shard.prefix}:job:front", "enqueue_at_front_on_retry", 1))
    (front,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(front)], now=NOW)
    await enqueue_jobs(shard, "other")
    await enqueue_due(shard, "default", "me", now=NOW + 5)
    assert await queued_ids(shard) == ["front", "other"]


async def test_rejected_and_final_failures_are_neverretried_outcome(shard: Shard) -> None:
    await enqueue_jobs(shard, "rejected", "final", retries=3)
    rejected, final = await claim_jobs(shard, 2)
    outcomes = [
        failed_outcome(rejected, FailureReason.REJECTED),
        replace(failed_outcome(final), final=True),
    ]
    await finish(shard, "w1", outcomes, now=NOW)
    assert [await job_status(shard, id_) for id_ in ("rejected", "final")] == ["failed", "failed"]
    assert (await job_fields(shard, "rejected"))["wm_reason"] == "rejected"


async def test_a_returned_retry_runs_again_until_its_maximum(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    for wait in (5, 9, 9):
        (job,) = await claim_jobs(shard)
        assert (await finish(shard, "w1", [retried_outcome(job, 3, (5, 9))], now=NOW)).retried == ("a",)
        assert await sorted_set(shard, "scheduled:default") == {"a": NOW + wait}
        await enqueue_due(shard, "default", "me", now=NOW + wait)
    (job,) = await claim_jobs(shard)
    assert job.attempt == 4
    assert (await finish(shard, "w1", [retried_outcome(job, 3, (5, 9))], now=NOW)).retried == ()
    assert await job_status(shard, "a") == "failed"
    assert await _result_types(shard, "a") == ["RETRIED", "RETRIED", "RETRIED", "MAX_RETRIES_EXCEEDED"]


async def test_a_returned_retry_goes_to_the_tail_or_if_requested_to_the_head(shard: Shard) -> None:
    await enqueue_jobs(shard, "front", "back", "other")
    front, back = await claim_jobs(shard, 2)
    await finish(shard, "w1", [retried_outcome(back, 1), retried_outcome(front, 1, at_front=True)], now=NOW)
    assert await queued_ids(shard) == ["front", "other", "back"]


async def test_a_job_that_succeeds_after_retries_is_finished(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=1)
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [retried_outcome(job, 5)], now=NOW)
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(job)], now=NOW)
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [success_outcome(job, 42)], now=NOW)
    assert await job_status(shard, "a") == "finished"
    assert await results_kept_at(shard, NOW + 7 * DAY_SECONDS - 1) == {"a"}
    assert [result.value for result in await pull(shard, 5, now=NOW)] == [b"42"]


@pytest.mark.parametrize("outcome", ["stopped", "failed", "retry"])
async def test_a_cancelled_job_that_does_not_succeed_is_stopped(shard: Shard, outcome: str) -> None:
    await enqueue_jobs(shard, "a", retries=3)
    (job,) = await claim_jobs(shard)
    await cancel(shard, ["a"], now=NOW)
    outcomes: dict[str, Outcome] = {
        "stopped": stopped_outcome(job),
        "failed": failed_outcome(job),
        "retry": retried_outcome(job, 3),
    }
    report = await finish(shard, "w1", [outcomes[outcome]], now=NOW)
    assert (report.retried, await job_status(shard, "a")) == ((), "stopped")
    # RQ keeps stopped jobs in the registry of failed jobs.
    assert await sorted_set(shard, "failed:default") == {"a": NOW + 30 * DAY_SECONDS}
    assert (await read_counts(shard)).functions.stopped == {"noop": 1}
    assert await queued_ids(shard) == []


async def test_a_batch_may_mix_every_kind_of_outcome(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", "c", "d", retries=1)
    a, b, c, d = await claim_jobs(shard, 4)
    await shard.execute(("SADD", f"{shard.prefix}:job:c:dependents", "x"))
    outcomes: list[Outcome] = [
        failed_outcome(a),
        success_outcome(b),
        failed_outcome(c, FailureReason.REJECTED),
        stopped_outcome(d),
    ]
    report = await finish(shard, "w1", outcomes, now=NOW)
    assert (report.lost, report.retried, report.parents) == ((), ("a",), ("c",))
    assert [await job_status(shard, id_) for id_ in "abcd"] == ["queued", "finished", "failed", "stopped"]


async def _result_types(shard: Shard, job_id: str) -> list[str]:
    (entries,) = await shard.execute(("XRANGE", f"{shard.prefix}:results:{job_id}", "-", "+"))
    types = [dict(zip(words[::2], words[1::2], strict=True))[b"type"] for _, words in entries]
    return [Result.Type(int(type_)).name for type_ in types]
