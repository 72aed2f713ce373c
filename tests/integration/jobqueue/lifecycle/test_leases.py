"""Extending leases, and reaping jobs whose worker died."""

import asyncio

import pytest
from redis import Redis
from rq.executions import Execution
from rq.job import Job

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import view_jobs
from jobqueue.lifecycle.control import cancel
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import LeaseUpdate, Reaped, extend, reap
from jobqueue.model import LEASE_SECONDS, MAX_LOSSES
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.messages import WorkerCommand, wait_for_message
from jobqueue.workers.registry import register
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    dump_shard,
    enqueue_jobs,
    job_fields,
    job_status,
    queued_ids,
    shard_keys,
    sorted_set,
    success_outcome,
    worker_record,
)


@pytest.fixture
async def leased(shard: Shard) -> Shard:
    """A shard whose master has been recorded, so that expired leases are reaped at once."""
    await reap(shard, now=NOW - 100)
    return shard


async def test_extend_renews_a_lease_from_now(leased: Shard) -> None:
    await enqueue_jobs(leased, "a", "b")
    a, b = await claim_jobs(leased, 2, token="t")
    extended_at = NOW + 15
    extension = await extend(leased, "w1", [LeaseUpdate(a)], now=extended_at)
    assert (extension.lost, extension.cancelled) == ((), frozenset())
    assert await sorted_set(leased, "wm:leases") == {"a:t": extended_at + LEASE_SECONDS, "b:t": NOW + LEASE_SECONDS}
    assert [job.job_id for job in await reap(leased, now=extended_at + LEASE_SECONDS - 1)] == [b.id]


async def test_no_execution_record_is_written_for_a_short_job(leased: Shard) -> None:
    await enqueue_jobs(leased, "a")
    (job,) = await claim_jobs(leased)
    await extend(leased, "w1", [LeaseUpdate(job)], now=NOW)
    assert not [key for key in await shard_keys(leased) if "execution" in key]


async def test_rq_reads_the_execution_of_a_long_job(plain_shard: Shard, redis_url: str) -> None:
    await enqueue_jobs(plain_shard, "a")
    (job,) = await claim_jobs(plain_shard)
    await extend(plain_shard, "w1", [LeaseUpdate(job, begun_at=NOW - 5)], now=NOW)
    with Redis.from_url(redis_url) as connection:
        execution = Execution.fetch(job.token, "a", connection)
        assert (execution.worker_name, execution.created_at.timestamp()) == ("w1", NOW - 5)
        assert execution.last_heartbeat.timestamp() == NOW
        (listed,) = Job.fetch("a", connection=connection, serializer="json").get_executions()
        assert listed == execution


async def test_a_cancellation_is_sent_to_the_worker_and_reported_by_extend(leased: Shard) -> None:
    await register(leased, worker_record("w1"))
    await enqueue_jobs(leased, "a", "b")
    a, b = await claim_jobs(leased, 2)
    (result,) = await cancel(leased, ["a"], now=NOW)
    assert (result.outcome, await job_status(leased, "a")) == ("stopping", "started")
    command = await wait_for_message(leased, "w1", (), for_work=False, seconds=5)
    assert command == WorkerCommand("cancel", "a")
    extension = await extend(leased, "w1", [LeaseUpdate(a), LeaseUpdate(b)], now=NOW)
    assert (extension.lost, extension.cancelled) == ((), frozenset({"a"}))


async def test_a_lost_job_returns_to_the_head_and_its_loss_is_counted(leased: Shard) -> None:
    await enqueue_jobs(leased, "a", "b")
    await claim_jobs(leased)
    assert await reap(leased, now=NOW + LEASE_SECONDS - 0.1) == []
    assert await reap(leased, now=NOW + LEASE_SECONDS) == [Reaped("a", "w1", "queued")]
    assert await queued_ids(leased) == ["a", "b"]
    assert (await job_fields(leased, "a"))["wm_losses"] == "1"
    assert await sorted_set(leased, "wm:leases") == await sorted_set(leased, "wip:default") == {}
    (job,) = await claim_jobs(leased, now=LEASE_EXPIRED)
    assert (job.id, job.attempt) == ("a", 2)


async def test_a_job_fails_at_its_third_loss(leased: Shard, functions: FunctionRegistry) -> None:
    await enqueue_jobs(leased, "a", retries=5)
    outcomes = []
    for number in range(MAX_LOSSES):
        claimed_at = NOW + 100 * number
        await claim_jobs(leased, worker=f"w{number}", now=claimed_at)
        outcomes += [job.outcome for job in await reap(leased, now=claimed_at + LEASE_SECONDS)]
    assert outcomes == ["queued", "queued", "failed"]
    fields = await job_fields(leased, "a")
    assert (fields["status"], fields["wm_reason"], fields["wm_losses"]) == ("failed", "worker_lost", "3")
    assert await queued_ids(leased) == []
    assert "a" in await sorted_set(leased, "failed:default")
    (view,) = await view_jobs(leased, ["a"], functions)
    assert view is not None
    assert view.error is not None
    assert (view.error.reason, view.attempts) == ("worker_lost", 3)


async def test_a_cancelled_job_whose_worker_died_does_not_run_again(leased: Shard) -> None:
    await enqueue_jobs(leased, "a")
    await claim_jobs(leased)
    await cancel(leased, ["a"], now=NOW)
    assert await reap(leased, now=LEASE_EXPIRED) == [Reaped("a", "w1", "stopped")]
    assert (await job_status(leased, "a"), await queued_ids(leased)) == ("stopped", [])


async def test_reaping_a_job_deletes_its_execution_record(leased: Shard) -> None:
    await enqueue_jobs(leased, "a")
    (job,) = await claim_jobs(leased)
    await extend(leased, "w1", [LeaseUpdate(job, NOW)], now=NOW)
    await reap(leased, now=LEASE_EXPIRED)
    assert not [key for key in await shard_keys(leased) if "execution" in key]


async def test_a_job_finished_before_its_lease_expires_is_not_reaped(leased: Shard) -> None:
    await enqueue_jobs(leased, "a")
    (job,) = await claim_jobs(leased)
    await finish(leased, "w1", [success_outcome(job)], now=NOW)
    before = await dump_shard(leased)
    assert await reap(leased, now=LEASE_EXPIRED) == []
    assert await dump_shard(leased) == before


async def test_nothing_is_reaped_for_one_lease_time_after_a_failover(leased: Shard) -> None:
    await enqueue_jobs(leased, "a")
    await claim_jobs(leased)
    # A promoted replica finds the record of another server.
    await leased.execute(("HSET", f"{leased.prefix}:wm:master", "run_id", "of-another-server"))
    noticed_at = NOW + 100
    assert await reap(leased, now=noticed_at) == []
    assert await reap(leased, now=noticed_at + LEASE_SECONDS - 1) == []
    assert await queued_ids(leased) == []
    assert len(await reap(leased, now=noticed_at + LEASE_SECONDS)) == 1


async def test_concurrent_reapers_reap_each_job_once(any_shards: Shards, shard: Shard) -> None:
    await reap(shard, now=NOW)
    ids = [f"job-{number}" for number in range(500)]
    await enqueue_jobs(shard, *ids)
    await claim_jobs(shard, 500)
    reaped = await asyncio.gather(*(reap(shard, now=LEASE_EXPIRED) for _ in range(6)))
    assert sorted(job.job_id for jobs in reaped for job in jobs) == sorted(ids)
    assert sorted(await queued_ids(shard)) == sorted(ids)
    assert {(await job_fields(shard, id_))["wm_losses"] for id_ in ids[:20]} == {"1"}
