"""Reaping jobs whose plain RQ worker died, by RQ's own rules and deadlines only."""

from jobqueue.lifecycle.leases import extend, reap_rq_executions
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    dump_shard,
    enqueue_jobs,
    job_fields,
    job_status,
    queued_ids,
    sorted_set,
)

STUCK_SECONDS = 60
"""Time in RQ's intermediate queue after which a job is queued again."""


async def _start_on_rq_worker(shard: Shard, job_id: str, deadline: float) -> None:
    """Write what RQ's worker writes when it starts a job."""
    prefix = shard.prefix
    await shard.execute(
        ("LREM", f"{prefix}:queue:default", 1, job_id),
        ("HSET", f"{prefix}:job:{job_id}", "status", "started", "worker_name", "rq-worker", "started_at", "x"),
        ("ZADD", f"{prefix}:wip:default", deadline, f"{job_id}:exec"),
        ("HSET", f"{prefix}:execution:{job_id}:exec", "id", "exec"),
        ("ZADD", f"{prefix}:executions:{job_id}", deadline, "exec"),
    )


async def test_an_rq_job_is_left_alone_until_rqs_deadline(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=1)
    await _start_on_rq_worker(shard, "a", NOW + 60)
    before = await dump_shard(shard)
    assert await reap_rq_executions(shard, "default", now=NOW + 59) == []
    assert await dump_shard(shard) == before


async def test_after_rqs_deadline_the_job_is_retried_and_then_failed(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=1)
    for outcome in ("queued", "failed"):
        await _start_on_rq_worker(shard, "a", NOW)
        assert await reap_rq_executions(shard, "default", now=NOW + 1) == [("a", outcome)]
        assert await job_status(shard, "a") == outcome
    assert (await job_fields(shard, "a"))["wm_reason"] == "worker_lost"
    assert await sorted_set(shard, "wip:default") == await sorted_set(shard, "executions:a") == {}


async def test_jobs_leased_by_our_workers_are_never_reaped(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", timeout_seconds=1)
    (job,) = await claim_jobs(shard)
    await extend(shard, "w1", [], now=NOW)
    before = await dump_shard(shard)
    assert await reap_rq_executions(shard, "default", now=NOW + 100_000) == []
    assert await dump_shard(shard) == before
    assert job.id == "a"


async def test_a_job_stuck_in_the_intermediate_queue_is_requeued_after_a_minute(shard: Shard) -> None:
    await enqueue_jobs(shard, "stuck", "b")
    source, target = f"{shard.prefix}:queue:default", f"{shard.prefix}:queue:default:intermediate"
    await shard.execute(("LMOVE", source, target, "LEFT", "RIGHT"))
    assert await reap_rq_executions(shard, "default", now=NOW) == []
    assert await reap_rq_executions(shard, "default", now=NOW + STUCK_SECONDS) == []
    assert await reap_rq_executions(shard, "default", now=NOW + STUCK_SECONDS + 1) == [("stuck", "queued")]
    assert await queued_ids(shard) == ["stuck", "b"]
    assert await reap_rq_executions(shard, "default", now=NOW + 200) == []
