"""A plain RQ client saves a job that it fetched before the start: the old status must not cost the job its end."""

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    job_status,
    queued_ids,
    sorted_set,
    success_outcome,
)

OLD_STATUSES = [JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.DEFERRED, JobStatus.CREATED]


async def _claim_and_save(shard: Shard, redis_url: str, status: JobStatus, **fields: object) -> ClaimedJob:
    await reap(shard, now=NOW - 100)
    await enqueue_jobs(shard, "a", **fields)
    with Redis.from_url(redis_url) as connection:
        fetched = Job.fetch("a", connection=connection, serializer="json")
        (job,) = await claim_jobs(shard)
        fetched._status = status
        fetched.meta["note"] = 1
        fetched.save()
    assert await job_status(shard, "a") == status
    return job


@pytest.mark.parametrize("status", OLD_STATUSES)
async def test_a_failure_is_recorded(plain_shard: Shard, redis_url: str, status: JobStatus) -> None:
    job = await _claim_and_save(plain_shard, redis_url, status)
    await finish(plain_shard, "w1", [failed_outcome(job)], now=NOW)
    assert await job_status(plain_shard, "a") == "failed"
    assert list(await sorted_set(plain_shard, "failed:default")) == ["a"]


async def test_a_retry_is_taken(plain_shard: Shard, redis_url: str) -> None:
    job = await _claim_and_save(plain_shard, redis_url, JobStatus.QUEUED, retries=1)
    await finish(plain_shard, "w1", [failed_outcome(job)], now=NOW)
    assert (await job_status(plain_shard, "a"), await queued_ids(plain_shard)) == ("queued", ["a"])


async def test_a_success_is_recorded(plain_shard: Shard, redis_url: str) -> None:
    job = await _claim_and_save(plain_shard, redis_url, JobStatus.QUEUED)
    await finish(plain_shard, "w1", [success_outcome(job)], now=NOW)
    assert (await job_status(plain_shard, "a"), await queued_ids(plain_shard)) == ("finished", [])


@pytest.mark.parametrize("status", OLD_STATUSES)
async def test_the_job_of_a_lost_worker_runs_again(plain_shard: Shard, redis_url: str, status: JobStatus) -> None:
    await _claim_and_save(plain_shard, redis_url, status)
    assert [each.outcome for each in await reap(plain_shard, now=LEASE_EXPIRED)] == ["queued"]
    assert (await job_status(plain_shard, "a"), await queued_ids(plain_shard)) == ("queued", ["a"])


@pytest.mark.parametrize("status", OLD_STATUSES)
async def test_a_released_job_runs_again(plain_shard: Shard, redis_url: str, status: JobStatus) -> None:
    job = await _claim_and_save(plain_shard, redis_url, status)
    assert await release(plain_shard, [job], now=NOW) == 1
    assert (await job_status(plain_shard, "a"), await queued_ids(plain_shard)) == ("queued", ["a"])


async def test_a_job_that_was_really_enqueued_again_stands_in_the_queue_once(
    plain_shard: Shard, redis_url: str
) -> None:
    await reap(plain_shard, now=NOW - 100)
    await enqueue_jobs(plain_shard, "a")
    (job,) = await claim_jobs(plain_shard)
    with Redis.from_url(redis_url) as connection:
        Queue("other", connection=connection).enqueue_job(Job.fetch("a", connection=connection, serializer="json"))
    await finish(plain_shard, "w1", [failed_outcome(job)], now=NOW)
    assert await job_status(plain_shard, "a") == "queued"
    assert (await queued_ids(plain_shard), await queued_ids(plain_shard, "other")) == ([], ["a"])
