"""Rate limits of plain RQ clients: whatever ends a job here gives its place to the next one that waits."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue, Retry
from rq.job import Job
from rq.rate_limit import RateLimit, RateLimitRegistry
from rq.registry import ReadyJobRegistry

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.counters import read_counts
from jobqueue.inspection.listing import JobPage, list_jobs
from jobqueue.lifecycle.claim import claim, release
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap, reap_rq_executions
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.maintenance.sweep import sweep
from jobqueue.model import LEASE_SECONDS, Status
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import failed_outcome, stopped_outcome, success_outcome
from tests.integration.plain_rq import job_functions
from tests.integration.plain_rq.conftest import StartProcess
from tests.waiting import until

KEY = "key"


@pytest.fixture
def shard(shards: Shards) -> Shard:
    return shards.all[0]


@pytest.fixture
def registry(connection: Redis) -> RateLimitRegistry:
    return RateLimitRegistry(KEY, connection)


def enqueue_limited(queue: Queue, count: int = 1, concurrency: int = 1) -> list[Job]:
    limit = RateLimit(KEY, concurrency)
    # RQ's order within a second is that of the ids.
    ids = [f"limited-{n}" for n in range(count)]
    return [queue.enqueue(job_functions.add, 1, 1, rate_limit=limit, job_id=job_id) for job_id in ids]


def status_of(job: Job) -> str:
    return str(job.get_status().value)


async def fail(shard: Shard, job_id: str) -> None:
    (job,) = await claim(shard, "w1", ["default"], 1)
    assert (job.id, job.rq_features) == (job_id, "l")
    await finish(shard, "w1", [failed_outcome(job)])


async def succeed(shard: Shard, job_id: str) -> None:
    (job,) = await claim(shard, "w1", ["default"], 1)
    await finish(shard, "w1", [success_outcome(job)])


async def stop(shard: Shard, job_id: str) -> None:
    (job,) = await claim(shard, "w1", ["default"], 1)
    await cancel(shard, [job_id])
    await finish(shard, "w1", [stopped_outcome(job)])


async def cancel_before_it_begins(shard: Shard, job_id: str) -> None:
    (job,) = await claim(shard, "w1", ["default"], 1)
    await cancel(shard, [job_id])
    await release(shard, [job])


async def cancel_in_queue(shard: Shard, job_id: str) -> None:
    await cancel(shard, [job_id])


async def delete_in_queue(shard: Shard, job_id: str) -> None:
    assert await delete(shard, [job_id]) == ["deleted"]


async def lose_too_often(shard: Shard, job_id: str) -> None:
    await claim(shard, "w1", ["default"], 1)
    await reap(shard)
    await reap(shard, max_losses=1, now=time.time() + LEASE_SECONDS + 1)


async def abandon_on_rq_worker(shard: Shard, job_id: str) -> None:
    await shard.execute(
        ("LREM", "rq:queue:default", 1, job_id),
        ("HSET", f"rq:job:{job_id}", "status", "started"),
        ("ZADD", "rq:wip:default", 1, f"{job_id}:token"),
    )
    assert await reap_rq_executions(shard, "default") == [(job_id, "failed")]


async def expire_in_queue(shard: Shard, job_id: str) -> None:
    await shard.execute(("DEL", f"rq:job:{job_id}"))
    await sweep(shard, "default", part=0)


ENDS: tuple[Callable[[Shard, str], Awaitable[None]], ...] = (
    fail,
    succeed,
    stop,
    cancel_before_it_begins,
    cancel_in_queue,
    delete_in_queue,
    lose_too_often,
    abandon_on_rq_worker,
    expire_in_queue,
)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_an_ended_job_gives_its_place_to_the_next(
    shard: Shard, queue: Queue, registry: RateLimitRegistry, end: Callable[[Shard, str], Awaitable[None]]
) -> None:
    first, second, third = enqueue_limited(queue, 3)
    assert [status_of(job) for job in (first, second, third)] == ["queued", "rate_limited", "rate_limited"]
    await end(shard, first.id)
    assert [status_of(second), status_of(third)] == ["queued", "rate_limited"]
    assert queue.job_ids == [second.id]
    assert registry.get_allowed_job_ids() == [second.id]
    assert registry.get_rate_limited_job_ids() == [third.id]


def test_a_rate_limit_holds_over_our_worker_and_rqs(
    queue: Queue, our_worker: StartProcess, rq_worker: StartProcess, tmp_path: Path
) -> None:
    jobs = [
        queue.enqueue(job_functions.sleep_noting, str(tmp_path / "notes"), 0.05, rate_limit=RateLimit(KEY, 1))
        for _ in range(12)
    ]
    our_worker("--slots", "2")
    rq_worker()
    until(lambda: all(job.get_status().value == "finished" for job in jobs))
    assert (tmp_path / "notes").read_text().split() == ["started", "ended"] * 12


@pytest.mark.parametrize("leave", [cancel, delete], ids=["cancel", "delete"])
async def test_a_job_that_leaves_while_it_waits_is_not_queued_later(
    shard: Shard, queue: Queue, registry: RateLimitRegistry, leave: Callable[..., Awaitable[object]]
) -> None:
    first, second, third = enqueue_limited(queue, 3)
    await leave(shard, [second.id])
    assert registry.get_allowed_job_ids() == [first.id]
    await fail(shard, first.id)
    assert queue.job_ids == [third.id]


async def test_a_lost_job_keeps_its_place_while_it_will_run_again(
    shard: Shard, queue: Queue, registry: RateLimitRegistry
) -> None:
    first, second = enqueue_limited(queue, 2)
    await claim(shard, "w1", ["default"], 1)
    await reap(shard)
    await reap(shard, now=time.time() + LEASE_SECONDS + 1)
    assert (status_of(first), status_of(second)) == ("queued", "rate_limited")
    assert registry.get_allowed_job_ids() == [first.id]


async def test_a_requeued_job_waits_for_a_place(shard: Shard, queue: Queue, registry: RateLimitRegistry) -> None:
    first, second = enqueue_limited(queue, 2)
    await fail(shard, first.id)
    assert await requeue(shard, [first.id]) == ["queued"]
    assert (status_of(first), status_of(second)) == ("rate_limited", "queued")
    await fail(shard, second.id)
    assert status_of(first) == "queued"
    assert registry.get_allowed_job_ids() == [first.id]


async def test_a_due_job_waits_for_a_place(shard: Shard, queue: Queue, registry: RateLimitRegistry) -> None:
    later = queue.enqueue_in(timedelta(seconds=-5), job_functions.add, 1, 1, rate_limit=RateLimit(KEY, 1))
    (first,) = enqueue_limited(queue)
    assert await enqueue_due(shard, "default", "me") == 1
    assert (status_of(first), status_of(later)) == ("queued", "rate_limited")
    await fail(shard, first.id)
    assert status_of(later) == "queued"
    assert queue.job_ids == registry.get_allowed_job_ids() == [later.id]


async def test_the_next_job_goes_to_its_own_queue_and_end(shard: Shard, queue: Queue, connection: Redis) -> None:
    other = Queue("other", connection=connection, serializer="json")
    (first,) = enqueue_limited(queue)
    other.enqueue(job_functions.add, 1, 1)
    urgent = other.enqueue(job_functions.add, 1, 1, rate_limit=RateLimit(KEY, 1), at_front=True)
    await fail(shard, first.id)
    assert other.job_ids[0] == urgent.id


async def test_entries_of_jobs_that_do_not_wait_any_more_are_skipped(
    shard: Shard, queue: Queue, connection: Redis, registry: RateLimitRegistry
) -> None:
    first, gone, other, fourth = enqueue_limited(queue, 4)
    connection.delete(gone.key)
    connection.hset(other.key, "status", "canceled")
    await fail(shard, first.id)
    assert registry.get_allowed_job_ids() == queue.job_ids == [fourth.id]


async def test_waiting_jobs_are_counted_and_listed(
    shards: Shards, shard: Shard, queue: Queue, connection: Redis, functions: FunctionRegistry
) -> None:
    waiting = enqueue_limited(queue, 4)[1:]
    other = Queue("other", connection=connection, serializer="json")
    waiting.append(other.enqueue(job_functions.add, 1, 1, rate_limit=RateLimit("another", 1)))
    waiting.append(other.enqueue(job_functions.add, 1, 1, rate_limit=RateLimit("another", 1)))
    del waiting[3]
    counts = await read_counts(shard)
    assert counts.rate_limited == 4
    listed, cursor = [], None
    while True:
        page = await list_jobs(shards, functions, status=Status.RATE_LIMITED, limit=1, cursor=cursor)
        listed += [job.id for job in page.jobs]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(listed) == sorted(job.id for job in waiting)
    page = await list_jobs(shards, functions, status=Status.RATE_LIMITED, queue="other")
    assert [job.id for job in page.jobs] == [waiting[-1].id]
    everything = await list_jobs(shards, functions)
    assert len(everything.jobs) == 6
    # A cursor would name the rate limit, which is not of one queue alone.
    bound = await list_jobs(shards, functions, status=Status.RATE_LIMITED, limit=1, shows=lambda name: name == "other")
    assert bound == JobPage((), None)


async def test_jobs_that_rq_is_about_to_enqueue_are_counted_and_listed(
    shards: Shards, shard: Shard, queue: Queue, connection: Redis, functions: FunctionRegistry
) -> None:
    parent = queue.enqueue(job_functions.add, 1, 1)
    child = queue.enqueue(job_functions.add, 1, 1, depends_on=parent)
    with connection.pipeline() as pipeline:
        ReadyJobRegistry(queue=queue).register_jobs([child], pipeline=pipeline)
        pipeline.execute()
    counts = (await read_counts(shard)).total
    assert (counts.ready_to_enqueue, counts.deferred) == (1, 0)
    page = await list_jobs(shards, functions, status=Status.READY_TO_ENQUEUE)
    assert [job.id for job in page.jobs] == [child.id]


async def test_a_rate_limit_that_nobody_uses_is_forgotten(
    shard: Shard, queue: Queue, connection: Redis, registry: RateLimitRegistry
) -> None:
    (first,) = enqueue_limited(queue)
    await sweep(shard, "default", part=0)
    assert registry.get_allowed_job_ids() == [first.id]
    await succeed(shard, first.id)
    await sweep(shard, "default", part=0)
    assert not list(connection.scan_iter("rq:rl*"))


async def test_a_delayed_retry_at_the_front_keeps_its_place_whoever_queues_it(
    shard: Shard, queue: Queue, connection: Redis
) -> None:
    limit = RateLimit(KEY, 1)
    again = Retry(max=1, interval=30, enqueue_at_front=True)
    retried = queue.enqueue(job_functions.add, 1, 1, rate_limit=limit, retry=again)
    (other,) = enqueue_limited(queue)
    await fail(shard, retried.id)
    other_job = queue.enqueue(job_functions.add, 1, 1)
    # As RQ's scheduler does.
    due = Job.fetch(retried.id, connection=connection, serializer="json")
    queue._enqueue_rate_limited_job(due, at_front=due.should_enqueue_at_front())
    assert (status_of(retried), queue.job_ids) == ("rate_limited", [other.id, other_job.id])
    await succeed(shard, other.id)
    assert queue.job_ids == [retried.id, other_job.id]
