"""A plain RQ client saves a job that it fetched before the job ended, or was put elsewhere: maintenance restores it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.control import cancel
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.lifecycle.leases import reap, rescue
from jobqueue.lifecycle.pull import pull
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.maintenance.sweep import sweep
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    job_fields,
    job_status,
    key_ttl,
    queued_ids,
    results_kept_at,
    shard_keys,
    sorted_set,
    stopped_outcome,
    success_outcome,
)

LATER = NOW + 3600
OLD_STATUSES = [JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.DEFERRED, JobStatus.CREATED]
ENDS: dict[str, Callable[[ClaimedJob], Outcome]] = {
    "finished": success_outcome,
    "failed": failed_outcome,
    "stopped": stopped_outcome,
}
REGISTRIES = {"finished": "finished", "failed": "failed", "stopped": "failed", "canceled": "canceled"}


async def _sweep(shard: Shard) -> None:
    assert await sweep(shard, "default", part=0, now=LATER) == 0


async def _rescue(shard: Shard) -> None:
    assert await rescue(shard, 0, now=LATER) == (0, [])


MENDERS: list[Callable[[Shard], Awaitable[None]]] = [_sweep, _rescue]


@pytest.fixture
def queue(redis_url: str) -> Queue:
    return Queue(connection=Redis.from_url(redis_url), serializer="json")


def _fetch(queue: Queue) -> Job:
    return Job.fetch("a", connection=queue.connection, serializer="json")


def _save(fetched: Job, status: JobStatus) -> None:
    fetched._status = status
    fetched.meta["note"] = 1
    fetched.save()


async def _end(shard: Shard, queue: Queue, end: str, **fields: object) -> tuple[Job, Job]:
    """Run a job to its end; return it as an RQ client fetched it while it waited, and while it ran."""
    await reap(shard, now=NOW - 100)
    await enqueue_jobs(shard, "a", **fields)
    waiting = _fetch(queue)
    (job,) = await claim_jobs(shard)
    running = _fetch(queue)
    await finish(shard, "w1", [ENDS[end](job)], now=NOW)
    return waiting, running


async def _ended_as(shard: Shard, end: str) -> None:
    assert (await job_status(shard, "a"), await queued_ids(shard)) == (end, [])
    assert list(await sorted_set(shard, f"{REGISTRIES[end]}:default")) == ["a"]
    assert await claim_jobs(shard, now=LATER) == []


@pytest.mark.parametrize("mend", MENDERS)
@pytest.mark.parametrize("status", [*OLD_STATUSES, JobStatus.STARTED])
@pytest.mark.parametrize("end", ENDS)
async def test_an_ended_job_keeps_its_end(
    plain_shard: Shard, queue: Queue, end: str, status: JobStatus, mend: Callable[[Shard], Awaitable[None]]
) -> None:
    waiting, running = await _end(plain_shard, queue, end)
    ttl = await key_ttl(plain_shard, "job:a")
    _save(running if status is JobStatus.STARTED else waiting, status)
    assert await job_status(plain_shard, "a") == status
    for _ in range(2):
        await mend(plain_shard)
        await _ended_as(plain_shard, end)
    fields = await job_fields(plain_shard, "a")
    assert (fields["worker_name"], fields["meta"]) == ("w1", '{"note": 1}')
    assert await key_ttl(plain_shard, "job:a") in (ttl, ttl - 1)
    last = _fetch(queue).latest_result()
    assert last is not None
    assert fields["ended_at"] == last.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert [result.value for result in await pull(plain_shard, 10)] == ([b'"done"'] if end == "finished" else [])


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.SCHEDULED])
async def test_a_cancelled_job_stays_cancelled(plain_shard: Shard, queue: Queue, status: JobStatus) -> None:
    await enqueue_jobs(plain_shard, "a")
    fetched = _fetch(queue)
    await cancel(plain_shard, ["a"], now=NOW)
    _save(fetched, status)
    await _sweep(plain_shard)
    await _ended_as(plain_shard, "canceled")
    assert (await job_fields(plain_shard, "a"))["ended_at"] == "2030-03-17T17:46:40.000000Z"


@pytest.mark.parametrize("instant", [0, 951_782_399, 951_782_400, 1_709_251_199, 1_709_251_200, 4_107_542_400])
async def test_the_time_of_an_end_is_restored_on_any_day(plain_shard: Shard, queue: Queue, instant: int) -> None:
    await enqueue_jobs(plain_shard, "a")
    fetched = _fetch(queue)
    await cancel(plain_shard, ["a"], now=instant)
    _save(fetched, JobStatus.QUEUED)
    await _sweep(plain_shard)
    assert datetime.fromisoformat((await job_fields(plain_shard, "a"))["ended_at"]).timestamp() == instant


async def test_a_result_expires_whatever_old_status_its_job_has(plain_shard: Shard, queue: Queue) -> None:
    waiting, _ = await _end(plain_shard, queue, "finished", result_ttl_seconds=60)
    _save(waiting, JobStatus.QUEUED)
    assert await results_kept_at(plain_shard, NOW + 59) == {"a"}
    assert await results_kept_at(plain_shard, NOW + 61) == set()
    assert not {"job:a", "results:a"} & await shard_keys(plain_shard)


@pytest.mark.parametrize("mend", MENDERS)
@pytest.mark.parametrize("stale", [True, False])
async def test_a_job_that_was_enqueued_again_after_its_end_runs(
    plain_shard: Shard, queue: Queue, stale: bool, mend: Callable[[Shard], Awaitable[None]]
) -> None:
    waiting, _ = await _end(plain_shard, queue, "finished")
    queue.enqueue_job(waiting if stale else _fetch(queue))
    await mend(plain_shard)
    assert (await job_status(plain_shard, "a"), await queued_ids(plain_shard)) == ("queued", ["a"])
    # A plain RQ worker moves it there before it starts it.
    queue.connection.lmove("rq:queue:default", "rq:queue:default:intermediate", "LEFT", "RIGHT")
    await mend(plain_shard)
    assert await job_status(plain_shard, "a") == "queued"
    queue.connection.lmove("rq:queue:default:intermediate", "rq:queue:default", "LEFT", "RIGHT")
    (job,) = await claim_jobs(plain_shard, now=NOW + 1)
    await mend(plain_shard)
    assert await job_status(plain_shard, "a") == "started"
    await finish(plain_shard, "w1", [success_outcome(job, "again")], now=NOW + 2)
    assert [result.value for result in await pull(plain_shard, 10)] == [b'"again"']


@pytest.mark.parametrize("swept", [True, False])
@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.STARTED, JobStatus.CREATED])
async def test_a_retry_that_is_due_is_not_forgotten(
    plain_shard: Shard, queue: Queue, status: JobStatus, swept: bool
) -> None:
    waiting, running = await _end(plain_shard, queue, "failed", retries=1, retry_intervals=(60,))
    _save(running if status is JobStatus.STARTED else waiting, status)
    if swept:
        await _sweep(plain_shard)
        assert await job_status(plain_shard, "a") == "scheduled"
    assert await enqueue_due(plain_shard, "default", "me", now=NOW + 61) == 1
    assert (await job_status(plain_shard, "a"), await queued_ids(plain_shard)) == ("queued", ["a"])


@pytest.mark.parametrize("status", [JobStatus.SCHEDULED, JobStatus.DEFERRED])
async def test_a_queued_job_that_is_said_to_wait_elsewhere_runs(
    plain_shard: Shard, queue: Queue, status: JobStatus
) -> None:
    await enqueue_jobs(plain_shard, "a")
    _save(_fetch(queue), status)
    (job,) = await claim_jobs(plain_shard)
    assert (job.id, await job_status(plain_shard, "a")) == ("a", "started")
