"""Cancel, requeue and delete a job in every status that it can have."""

import pytest

from jobqueue.lifecycle.control import CancelResult, cancel, delete, requeue, requeue_failed
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap
from jobqueue.lifecycle.pull import pull
from jobqueue.model import DAY_SECONDS, LEASE_SECONDS, MAX_LOSSES
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
    key_ttl,
    nearly,
    queued_ids,
    shard_keys,
    sorted_set,
    stopped_outcome,
    success_outcome,
)

WAITING = ["queued", "scheduled", "deferred", "created", "rate_limited", "ready_to_enqueue"]
ENDED = ["finished", "failed", "stopped", "canceled"]


async def _bring_to(shard: Shard, status: str) -> None:
    """Enqueue job `a` and bring it to `status`."""
    match status:
        case "scheduled":
            await enqueue_jobs(shard, "a", due_at=NOW + 5)
        case "canceled":
            await enqueue_jobs(shard, "a")
            await cancel(shard, ["a"], now=NOW)
        case "started" | "finished" | "failed" | "stopped":
            await enqueue_jobs(shard, "a")
            (job,) = await claim_jobs(shard)
            outcomes: dict[str, Outcome] = {
                "finished": success_outcome(job),
                "failed": failed_outcome(job),
                "stopped": stopped_outcome(job),
            }
            if status in outcomes:
                await finish(shard, "w1", [outcomes[status]], now=NOW)
        case _:
            await enqueue_jobs(shard, "a")
    if status in ("deferred", "created", "rate_limited", "ready_to_enqueue"):
        # RQ keeps jobs of these statuses outside the queue.
        await shard.execute(
            ("LREM", f"{shard.prefix}:queue:default", 1, "a"),
            ("HSET", f"{shard.prefix}:job:a", "status", status),
            ("ZADD", f"{shard.prefix}:deferred:default", NOW, "a"),
        )
    assert await job_status(shard, "a") == status


@pytest.mark.parametrize("status", WAITING)
async def test_a_waiting_job_is_cancelled_at_once(shard: Shard, status: str) -> None:
    await _bring_to(shard, status)
    assert await cancel(shard, ["a"], now=NOW) == [CancelResult("canceled")]
    assert (await job_status(shard, "a"), await queued_ids(shard)) == ("canceled", [])
    assert await sorted_set(shard, "scheduled:default") == await sorted_set(shard, "deferred:default") == {}
    assert await sorted_set(shard, "canceled:default") == {"a": NOW}
    assert await key_ttl(shard, "job:a") in nearly(30 * DAY_SECONDS)


@pytest.mark.parametrize("status", ENDED)
async def test_an_ended_job_cannot_be_cancelled(shard: Shard, status: str) -> None:
    await _bring_to(shard, status)
    before = await dump_shard(shard)
    assert await cancel(shard, ["a", "nobody"], now=NOW) == [CancelResult("ended", status), CancelResult("missing")]
    assert await dump_shard(shard) == before


async def test_cancelling_removes_one_job_from_the_middle_of_a_queue(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", "c")
    assert await cancel(shard, ["b"], now=NOW) == [CancelResult("canceled")]
    assert await queued_ids(shard) == ["a", "c"]


async def test_results_of_earlier_runs_expire_with_the_cancelled_job(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    await shard.execute(("XADD", f"{shard.prefix}:results:a", "*", "type", "4"))
    await shard.execute(("LPUSH", f"{shard.prefix}:queue:default", "a"))
    await shard.execute(("HSET", f"{shard.prefix}:job:a", "status", "queued"))
    await cancel(shard, [job.id], now=NOW)
    assert await key_ttl(shard, "results:a") in nearly(30 * DAY_SECONDS)


@pytest.mark.parametrize("status", ["failed", "stopped", "canceled"])
async def test_an_unsuccessful_job_is_requeued_with_reset_fields(shard: Shard, status: str) -> None:
    await _bring_to(shard, status)
    await enqueue_jobs(shard, "other")
    assert await requeue(shard, ["a"], now=NOW + 1) == ["queued"]
    assert await queued_ids(shard) == ["other", "a"]
    fields = await job_fields(shard, "a")
    assert fields["status"] == "queued"
    assert not {"wm_losses", "wm_cancel", "wm_reason", "ended_at"} & fields.keys()
    assert await key_ttl(shard, "job:a") == -1
    assert await sorted_set(shard, "failed:default") == await sorted_set(shard, "canceled:default") == {}
    await claim_jobs(shard)
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [success_outcome(job, 1)], now=NOW)
    assert [result.job_id for result in await pull(shard, 9, now=NOW)] == ["a"]


@pytest.mark.parametrize("status", [*WAITING, "started", "finished"])
async def test_waiting_started_and_finished_jobs_cannot_be_requeued(shard: Shard, status: str) -> None:
    await _bring_to(shard, status)
    before = await dump_shard(shard)
    assert await requeue(shard, ["a", "nobody"], now=NOW) == [status, "missing"]
    assert await dump_shard(shard) == before


async def test_a_requeue_resets_the_count_of_losses(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await reap(shard, now=NOW)
    for _ in range(2):
        for loss in range(1, MAX_LOSSES + 1):
            claimed_at = NOW + 100 * loss
            await claim_jobs(shard, now=claimed_at)
            (lost,) = await reap(shard, now=claimed_at + LEASE_SECONDS)
            assert lost.outcome == ("failed" if loss == MAX_LOSSES else "queued")
        assert await requeue(shard, ["a"], now=NOW) == ["queued"]


async def test_a_requeue_clears_a_cancellation(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=1)
    (job,) = await claim_jobs(shard)
    await cancel(shard, ["a"], now=NOW)
    await finish(shard, "w1", [failed_outcome(job)], now=NOW)
    assert await job_status(shard, "a") == "stopped"
    assert await requeue(shard, ["a"], now=NOW) == ["queued"]
    (job,) = await claim_jobs(shard)
    assert (await extend(shard, "w1", [LeaseUpdate(job)], now=NOW)).cancelled == frozenset()
    assert (await finish(shard, "w1", [failed_outcome(job)], now=NOW)).retried == ("a",)


async def test_requeue_failed_moves_only_failed_jobs_of_its_queue(shard: Shard) -> None:
    ids = [f"job-{number:04}" for number in range(1203)]
    await enqueue_jobs(shard, *ids)
    jobs = [job for _ in range(2) for job in await claim_jobs(shard, 1000)]
    stopped = {f"job-{number:04}" for number in range(0, 1203, 100)}
    outcomes = [stopped_outcome(job) if job.id in stopped else failed_outcome(job) for job in jobs]
    await finish(shard, "w1", outcomes, now=NOW)
    await enqueue_jobs(shard, "elsewhere", queue="high")
    (job,) = await claim_jobs(shard, 1, "high")
    await finish(shard, "w1", [failed_outcome(job)], now=NOW)
    await shard.execute(("DEL", f"{shard.prefix}:job:job-0001"))
    failed = set(ids) - stopped - {"job-0001"}
    assert await requeue_failed(shard, "default", now=NOW) == len(failed)
    assert set(await queued_ids(shard)) == failed
    assert set(await sorted_set(shard, "failed:default")) == {*stopped, "job-0001"}
    assert await queued_ids(shard, "high") == []


@pytest.mark.parametrize("status", [*WAITING, *ENDED])
async def test_a_deleted_job_leaves_nothing_behind(shard: Shard, status: str) -> None:
    await _bring_to(shard, status)
    assert await delete(shard, ["a", "nobody"]) == ["deleted", "missing"]
    kept = {"queues", "wm:enqueued", "wm:finished", "wm:seconds", "wm:failed", "wm:stopped", "wm:feed:sequence"}
    assert await shard_keys(shard) <= {*kept, "wm:claim:w1", "wm:wake:default", "wm:wake:*", "wm:turns", "wm:feed:bell"}


async def test_a_running_job_cannot_be_deleted(shard: Shard) -> None:
    await _bring_to(shard, "started")
    before = await dump_shard(shard)
    assert await delete(shard, ["a"]) == ["started"]
    assert await dump_shard(shard) == before


async def test_a_deleted_result_is_not_pulled_again(shard: Shard) -> None:
    await complete_jobs(shard, "a", "b")
    assert len(await pull(shard, 1, lease_seconds=5, now=NOW)) == 1
    assert await delete(shard, ["a", "b"]) == ["deleted", "deleted"]
    assert await pull(shard, 9, now=NOW) == []
    assert await sorted_set(shard, "wm:feed:leases") == {}


@pytest.mark.parametrize("status", [*WAITING, *ENDED, "started"])
async def test_a_job_that_is_in_another_queue_than_it_must_be_is_missing(shard: Shard, status: str) -> None:
    await _bring_to(shard, status)
    before = await dump_shard(shard)
    assert await cancel(shard, ["a", "b"], ["other", "default"], now=NOW) == [CancelResult("missing")] * 2
    assert await requeue(shard, ["a"], ["other"], now=NOW) == ["missing"]
    assert await delete(shard, ["a"], ["other"], now=NOW) == ["missing"]
    assert await dump_shard(shard) == before
    assert await delete(shard, ["b", "a"], [None, "default"], now=NOW) == [
        *("missing", "started" if status == "started" else "deleted")
    ]


async def test_failed_jobs_of_another_queue_are_not_requeued_with_those_of_a_queue(shard: Shard) -> None:
    await _bring_to(shard, "failed")
    # As an id that has been used again in another queue may leave it.
    await shard.execute(("HSET", f"{shard.prefix}:job:a", "origin", "other"))
    assert await requeue_failed(shard, "default", now=NOW) == 0
    assert await job_status(shard, "a") == "failed"
