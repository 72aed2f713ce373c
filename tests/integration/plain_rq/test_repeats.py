"""`Repeat` of plain RQ clients: a job runs again after each success, at RQ's intervals."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue, Repeat
from rq.job import Job, JobStatus
from rq.rate_limit import RateLimit, RateLimitRegistry

from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.control import cancel
from jobqueue.lifecycle.dependents import enqueue_dependents
from jobqueue.lifecycle.finish import finish
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.maintenance.sweep import sweep
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import failed_outcome, nearly, success_outcome
from tests.integration.plain_rq import job_functions
from tests.integration.plain_rq.conftest import StartProcess
from tests.waiting import until


@pytest.fixture
def shard(shards: Shards) -> Shard:
    return shards.all[0]


async def succeed_next(shard: Shard, now: float | None = None) -> None:
    (job,) = await claim(shard, "w1", ["default"], 1, now=now)
    await finish(shard, "w1", [success_outcome(job, "value")], now=now)


def repeating(queue: Queue, times: int, interval: int | list[int] = 0, **options: object) -> Job:
    return queue.enqueue(job_functions.add, 1, 1, repeat=Repeat(times, interval), **options)


async def test_a_job_is_repeated_at_its_intervals_the_last_one_again_and_again(
    shard: Shard, queue: Queue, connection: Redis
) -> None:
    now = time.time()
    job = repeating(queue, 4, [0, 5, 70], result_ttl=77)
    await succeed_next(shard, now)
    assert queue.job_ids == [job.id]
    for seconds in (5, 70, 70):
        assert job.get_status() == JobStatus.QUEUED
        await succeed_next(shard, now)
        job.refresh()
        assert (job.get_status(), queue.job_ids) == (JobStatus.SCHEDULED, [])
        due_at = queue.scheduled_job_registry.get_scheduled_time(job).timestamp()
        assert now + seconds <= due_at <= now + seconds + 1
        # What it has returned can be read, and its record stays until it has run for the last time.
        assert job.return_value(refresh=True) == "value"
        assert job.id in queue.finished_job_registry
        assert connection.ttl(job.key) == -1
        await sweep(shard, "default", part=0, now=now)
        now = due_at + 1
        assert await enqueue_due(shard, "default", "me", now=now) == 1
    await succeed_next(shard, now)
    job.refresh()
    assert (job.get_status(), job.repeats_left, job.repeat_intervals) == (JobStatus.FINISHED, 0, [70])
    assert connection.ttl(job.key) in nearly(77)
    assert queue.scheduled_job_registry.count == queue.count == 0


async def test_a_job_that_keeps_no_result_goes_after_its_last_run(
    shard: Shard, queue: Queue, connection: Redis
) -> None:
    job = repeating(queue, 1, result_ttl=0)
    await succeed_next(shard)
    assert job.get_status() == JobStatus.QUEUED
    await succeed_next(shard)
    assert not connection.exists(job.key)


async def test_a_failure_ends_the_repetition(shard: Shard, queue: Queue) -> None:
    job = repeating(queue, 3)
    await succeed_next(shard)
    (claimed,) = await claim(shard, "w1", ["default"], 1)
    await finish(shard, "w1", [failed_outcome(claimed)])
    assert (job.get_status(), queue.count) == (JobStatus.FAILED, 0)


async def test_a_job_can_be_canceled_between_two_runs(shard: Shard, queue: Queue) -> None:
    job = repeating(queue, 3, 60)
    await succeed_next(shard)
    await cancel(shard, [job.id])
    assert await enqueue_due(shard, "default", "me", now=time.time() + 100) == 0
    assert job.get_status() == JobStatus.CANCELED


async def test_dependents_run_after_the_first_success(shard: Shard, queue: Queue) -> None:
    job = repeating(queue, 3, 60)
    child = queue.enqueue(job_functions.add, 2, 2, depends_on=job)
    await succeed_next(shard)
    await enqueue_dependents(shard)
    assert (job.get_status(), child.get_status()) == (JobStatus.SCHEDULED, JobStatus.QUEUED)


@pytest.mark.parametrize(("interval", "holder"), [(0, "a"), (60, "b")])
async def test_a_place_of_a_rate_limit_is_kept_only_if_the_job_is_queued_again_at_once(
    shard: Shard, queue: Queue, connection: Redis, interval: int, holder: str
) -> None:
    limit = RateLimit("key", 1)
    repeating(queue, 3, interval, rate_limit=limit, job_id="a")
    queue.enqueue(job_functions.add, 1, 1, rate_limit=limit, job_id="b")
    await succeed_next(shard)
    assert RateLimitRegistry("key", connection).get_allowed_job_ids() == [holder]
    assert queue.job_ids == [holder]


@pytest.mark.usefixtures("maintenance")
def test_our_worker_rqs_worker_and_either_scheduler_repeat_one_job(
    queue: Queue, our_worker: StartProcess, rq_worker: StartProcess, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    job = queue.enqueue_in(timedelta(seconds=-1), job_functions.note, str(notes), "run", repeat=Repeat(5, [0, 1, 0]))
    our_worker()
    rq_worker()
    until(lambda: notes.exists() and len(notes.read_text().split()) == 6)
    until(lambda: job.get_status() == JobStatus.FINISHED)
    job.refresh()
    assert job.repeats_left == 0
