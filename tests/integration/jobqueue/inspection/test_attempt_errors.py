"""Why each attempt of a job failed."""

import json

import pytest
from redis import Redis
from rq.job import Job

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.attempt_errors import AttemptError, read_attempt_errors
from jobqueue.inspection.job_views import view_jobs
from jobqueue.lifecycle.control import cancel, requeue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap
from jobqueue.model import FailureReason
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import iso
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    job_fields,
    shard_keys,
    success_outcome,
)

FUNCTIONS = FunctionRegistry.discover([])


async def _errors(shard: Shard, job_id: str = "a") -> list[AttemptError]:
    (view,) = await view_jobs(shard, [job_id], FUNCTIONS)
    assert view is not None
    return await read_attempt_errors(shard, view)


async def _fail(shard: Shard, text: str, now: float = NOW) -> None:
    (job,) = await claim_jobs(shard, now=now)
    await finish(shard, "w1", [failed_outcome(job, traceback=text)], now=now)


async def test_each_attempts_error_is_shown_in_order(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=2)
    for number in range(3):
        await _fail(shard, f"ValueError: {number}\nmore", NOW + number)
    errors = await _errors(shard)
    assert [(error.reason, error.message, error.ended_at, error.worker) for error in errors] == [
        ("exception", f"ValueError: {number}\nmore", iso(NOW + number), "w1") for number in range(3)
    ]
    assert errors[0].traceback == "ValueError: 0\nmore"


async def test_an_error_is_shown_while_the_job_waits_for_its_next_attempt(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=1, retry_intervals=(60,))
    assert await _errors(shard) == []
    await _fail(shard, "ValueError: first")
    assert [error.message for error in await _errors(shard)] == ["ValueError: first"]


async def test_errors_of_earlier_attempts_stay_when_a_job_finishes(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=1)
    await _fail(shard, "ValueError: first")
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [success_outcome(job)], now=NOW)
    assert [error.message for error in await _errors(shard)] == ["ValueError: first"]


async def test_the_errors_of_a_job_stay_when_it_is_requeued(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=1)
    await _fail(shard, "ValueError: first", NOW)
    (job,) = await claim_jobs(shard, now=NOW + 1)
    await finish(shard, "w2", [failed_outcome(job, FailureReason.TIMEOUT, "too long")], now=NOW + 1)
    expected = [("exception", "ValueError: first", iso(NOW)), ("timeout", "too long", iso(NOW + 1))]
    for number in range(2):
        await requeue(shard, ["a"], now=NOW + 2)
        # While it waits, and once it has failed again.
        assert [(error.reason, error.message, error.ended_at) for error in await _errors(shard)] == expected
        await _fail(shard, f"ValueError: again {number}", NOW + 3 + number)
        expected.append(("exception", f"ValueError: again {number}", iso(NOW + 3 + number)))
        assert [(error.reason, error.message, error.ended_at) for error in await _errors(shard)] == expected


async def test_requeueing_a_job_that_did_not_fail_adds_no_error(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await cancel(shard, ["a"], now=NOW)
    await requeue(shard, ["a"], now=NOW)
    assert await _errors(shard) == []
    await _fail(shard, "ValueError: only")
    assert [error.message for error in await _errors(shard)] == ["ValueError: only"]


async def test_a_lost_worker_is_an_error_of_its_attempt(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await claim_jobs(shard)
    await reap(shard, now=NOW)
    await reap(shard, now=LEASE_EXPIRED)
    assert [(error.reason, error.message) for error in await _errors(shard)] == [
        ("worker_lost", "the worker was lost while it ran the job")
    ]


async def test_a_job_that_failed_at_once_has_one_error_and_costs_no_read(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(job, FailureReason.TIMEOUT, "too long")], now=NOW)
    (view,) = await view_jobs(shard, ["a"], FUNCTIONS)
    assert view is not None
    monkeypatch.setattr(Shard, "execute", None)
    assert [(error.reason, error.message) for error in await read_attempt_errors(shard, view)] == [
        ("timeout", "too long")
    ]
    assert "wm_errors" not in (await _fields_without_execute(shard, monkeypatch))


async def _fields_without_execute(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.undo()
    return await job_fields(shard, "a")


async def test_the_errors_that_are_kept_are_bounded(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=30)
    for number in range(20):
        await _fail(shard, f"ValueError: {number}", NOW + number)
    assert [error.message for error in await _errors(shard)] == [f"ValueError: {number}" for number in range(11, 20)]
    for number in range(6):
        await _fail(shard, "".join(chr(33 + (number + n * n * 7919) % 90) for n in range(30_000)), NOW + 20 + number)
    fields = await job_fields(shard, "a")
    assert len(fields["wm_errors"]) <= 65536
    assert len(await _errors(shard)) >= 1


async def test_a_plain_rq_client_sees_no_result_before_the_last_attempt(plain_shard: Shard, redis_url: str) -> None:
    await enqueue_jobs(plain_shard, "a", retries=1)
    await _fail(plain_shard, "ValueError: first")
    assert "results:a" not in await shard_keys(plain_shard)
    with Redis.from_url(redis_url) as connection:
        job = Job.fetch("a", connection=connection, serializer="json")
        assert (job.latest_result(), job.get_status()) == (None, "queued")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff",
        b"[]",
        b"[" * 100_000,
        b"x" * 1_000_000,
        json.dumps({"reason": 5, "trace": [], "ended_at": {}}).encode(),
        json.dumps({"trace": "no base64"}).encode(),
        json.dumps({"trace": "AAAA"}).encode(),
    ],
)
async def test_errors_that_another_program_wrote_do_not_hide_the_job(shard: Shard, garbage: bytes) -> None:
    await enqueue_jobs(shard, "a", retries=1)
    await _fail(shard, "ValueError: first")
    await shard.execute(("HSET", f"{shard.prefix}:job:a", "wm_errors", garbage))
    for error in await _errors(shard):
        assert isinstance(error.message, str)
    await _fail(shard, "ValueError: second")
    assert (await _errors(shard))[-1].message == "ValueError: second"
