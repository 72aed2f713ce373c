"""Plain RQ clients change jobs at any moment: counters and registries agree with what is left."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.exceptions import InvalidJobOperation
from rq.job import Job
from rq.registry import CanceledJobRegistry, FailedJobRegistry, FinishedJobRegistry
from rq.scheduler import RQScheduler

from jobqueue.claimed_job import ClaimedJob
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.counters import read_counts
from jobqueue.inspection.listing import LISTABLE_STATUSES, list_jobs
from jobqueue.lifecycle.claim import claim, release
from jobqueue.lifecycle.control import cancel, requeue
from jobqueue.lifecycle.enqueue import EnqueueOutcome, enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap, rescue
from jobqueue.lifecycle.pull import pull
from jobqueue.maintenance.expiry import expire_results, prune
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.maintenance.sweep import sweep
from jobqueue.model import FAILURE_TTL_SECONDS, LEASE_SECONDS, NewJob
from jobqueue.rq_call import decode_call
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import failed_outcome, stopped_outcome, success_outcome
from tests.integration.plain_rq import job_functions
from tests.integration.plain_rq.conftest import FUNCTIONS

STATUS_OF_REGISTRY = {
    "scheduled": {"scheduled"},
    "deferred": {"deferred"},
    "ready": {"ready_to_enqueue"},
    "finished": {"finished"},
    "failed": {"failed", "stopped"},
    "canceled": {"canceled"},
}


@pytest.fixture
def shard(shards: Shards) -> Shard:
    return shards.all[0]


# --- A job's moments -------------------------------------------------------------------------------------------------


async def enqueue_over_http(shard: Shard, queue: Queue, due_at: float | None = None) -> str:
    data = f'["{FUNCTIONS}.add",null,[1,1],{{}}]'.encode()
    job = NewJob(id=f"http-{time.monotonic_ns()}", function=f"{FUNCTIONS}.add", data=data, due_at=due_at)
    await enqueue(shard, [job])
    return job.id


async def enqueue_with_rq(shard: Shard, queue: Queue, due_at: float | None = None) -> str:
    job = queue.create_job(job_functions.add, (1, 1), timeout=-1)
    if due_at is None:
        queue.enqueue_job(job)
    else:
        queue.schedule_job(job, datetime.fromtimestamp(due_at, UTC))
    return str(job.id)


SUBMIT = {"http": enqueue_over_http, "rq": enqueue_with_rq}


async def reach(moment: str, origin: str, shard: Shard, queue: Queue) -> tuple[str, ClaimedJob | None]:
    """Bring a new job to a moment of its life; return its id, and its lease if a worker holds one."""
    job_id = await SUBMIT[origin](shard, queue, time.time() + 1000 if moment == "scheduled" else None)
    if moment in ("queued", "scheduled"):
        return job_id, None
    if moment == "canceled":
        await cancel(shard, [job_id])
        return job_id, None
    (job,) = await claim(shard, "w1", ["default"], 1)
    if moment == "claimed":
        return job_id, job
    if moment == "running":
        await extend(shard, "w1", [LeaseUpdate(job, begun_at=time.time())])
        return job_id, job
    outcome: Any = {"finished": success_outcome, "failed": failed_outcome, "stopped": stopped_outcome}[moment](job)
    await finish(shard, "w1", [outcome])
    return job_id, None


MOMENTS = ("queued", "scheduled", "claimed", "running", "finished", "failed", "stopped", "canceled")


# --- What a plain RQ client does -------------------------------------------------------------------------------------


def delete_job(job: Job, queue: Queue) -> None:
    job.delete()


def cancel_job(job: Job, queue: Queue) -> None:
    job.cancel()


def expire_job(job: Job, queue: Queue) -> None:
    queue.connection.pexpire(job.key, 0)
    queue.connection.pexpire(f"rq:results:{job.id}", 0)


def requeue_job(job: Job, queue: Queue) -> None:
    for registry in (FailedJobRegistry, CanceledJobRegistry, FinishedJobRegistry):
        with suppress(InvalidJobOperation):
            registry(queue=queue).requeue(job)
            return


def cancel_and_requeue_job(job: Job, queue: Queue) -> None:
    job.cancel()
    CanceledJobRegistry(queue=queue).requeue(job)


def enqueue_again(job: Job, queue: Queue) -> None:
    queue.enqueue_job(job)


def push_id(job: Job, queue: Queue) -> None:
    queue.push_job_id(job.id)


ACTIONS: tuple[Callable[[Job, Queue], None], ...] = (
    delete_job,
    cancel_job,
    expire_job,
    requeue_job,
    cancel_and_requeue_job,
    enqueue_again,
    push_id,
)


# --- What becomes of a job that a worker holds --------------------------------------------------


async def succeed(shard: Shard, job: ClaimedJob) -> None:
    await finish(shard, "w1", [success_outcome(job)])


async def fail(shard: Shard, job: ClaimedJob) -> None:
    await finish(shard, "w1", [failed_outcome(job)])


async def give_back(shard: Shard, job: ClaimedJob) -> None:
    await release(shard, [job])


async def renew_and_succeed(shard: Shard, job: ClaimedJob) -> None:
    extension = await extend(shard, "w1", [LeaseUpdate(job)])
    if not extension.lost:
        await succeed(shard, job)


async def lose_worker(shard: Shard, job: ClaimedJob) -> None:
    await reap(shard, now=time.time() + LEASE_SECONDS + 1)


ENDS: tuple[Callable[[Shard, ClaimedJob], Awaitable[None]], ...] = (
    succeed,
    fail,
    give_back,
    renew_and_succeed,
    lose_worker,
)


async def maintain(shard: Shard, now: float | None = None) -> None:
    """Do what managers do periodically."""
    await enqueue_due(shard, "default", "me", now=now)
    await reap(shard, now=now)
    for part in range(3):
        await sweep(shard, "default", part=part, now=now)
    await prune(shard, now=now)
    await prune(shard, now=now)
    await expire_results(shard, now=now)


async def run_all(shard: Shard) -> None:
    """Let a worker run whatever is queued."""
    while jobs := await claim(shard, "w2", ["default"], 10):
        await finish(shard, "w2", [success_outcome(job) for job in jobs])


async def contradictions(shards: Shards, connection: Redis, functions: FunctionRegistry) -> list[str]:
    """Return where registries, counters and listings do not agree with the records that exist."""
    (shard,) = shards
    statuses = {
        key.decode().removeprefix("rq:job:"): (connection.hget(key, "status") or b"").decode()
        for key in connection.scan_iter("rq:job:*", _type="hash")
    }
    found = []
    for name, allowed in STATUS_OF_REGISTRY.items():
        for entry in connection.zrange(f"rq:{name}:default", 0, -1):
            if statuses.get(entry.decode()) not in allowed:
                found.append(f"{name} registry holds a job that is {statuses.get(entry.decode())}")
    for entry in connection.lrange("rq:queue:default", 0, -1):
        if statuses.get(entry.decode()) != "queued":
            found.append(f"the queue holds a job that is {statuses.get(entry.decode())}")
    leases = set(connection.zrange("rq:wm:leases", 0, -1))
    if leases != set(connection.zrange("rq:wip:default", 0, -1)):
        found.append("started jobs are not the leased ones")
    for entry in connection.zrange("rq:wm:feed", 0, -1):
        if not connection.exists(f"rq:results:{entry.decode()}"):
            found.append("the feed holds a result that is gone")
    there = Counter("failed" if status == "stopped" else status for status in statuses.values())
    counts = (await read_counts(shard)).total
    for status in ("queued", "scheduled", "deferred", "started", "finished", "failed", "canceled"):
        if getattr(counts, status) != there[status]:
            found.append(f"{getattr(counts, status)} jobs are counted as {status}, and {there[status]} are there")
    listed: Counter[str] = Counter()
    for status in LISTABLE_STATUSES:
        listed.update(job.status for job in (await list_jobs(shards, functions, status=status)).jobs)
    if listed != Counter(statuses.values()):
        found.append(f"listed are {dict(listed)}, and {dict(Counter(statuses.values()))} are there")
    return found


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_no_phantom_is_left_when_an_rq_client_changes_a_job(
    shards: Shards, shard: Shard, queue: Queue, connection: Redis, functions: FunctionRegistry, moment: str, action: Any
) -> None:
    problems = {}
    ends = ENDS if moment in ("claimed", "running") else (succeed,)
    for origin in SUBMIT:
        for end in ends:
            connection.flushall()
            job_id, held = await reach(moment, origin, shard, queue)
            with suppress(InvalidJobOperation):
                action(Job.fetch(job_id, connection=connection, serializer="json"), queue)
            if held is not None:
                await end(shard, held)
            await maintain(shard)
            await run_all(shard)
            await maintain(shard)
            found = await contradictions(shards, connection, functions)
            if found:
                problems[f"{origin}, then {end.__name__}"] = found
    assert problems == {}


@pytest.mark.parametrize("origin", SUBMIT)
async def test_a_job_deleted_in_its_first_second_is_gone_at_the_next_renewal(
    shard: Shard, queue: Queue, connection: Redis, origin: str
) -> None:
    job_id, held = await reach("claimed", origin, shard, queue)
    assert held is not None
    Job.fetch(job_id, connection=connection, serializer="json").delete()
    assert (await extend(shard, "w1", [LeaseUpdate(held)])).lost == (held,)
    assert connection.zcard("rq:wip:default") == connection.zcard("rq:wm:leases") == 0
    assert (await read_counts(shard)).total.started == 0


async def test_an_entry_left_behind_by_an_earlier_version_is_swept(
    shard: Shard, queue: Queue, connection: Redis
) -> None:
    running_id, _ = await reach("claimed", "rq", shard, queue)
    (running,) = connection.zrange("rq:wip:default", 0, -1)
    connection.zadd("rq:wip:default", {f"gone-{n}:token": float("inf") for n in range(300)})
    assert await sweep(shard, "default", part=0) + await sweep(shard, "default", part=0) == 300
    assert connection.zrange("rq:wip:default", 0, -1) == [running]
    assert running.decode().startswith(running_id)


async def test_executions_of_plain_rq_workers_are_not_swept(shard: Shard, queue: Queue, connection: Redis) -> None:
    job_id = await enqueue_with_rq(shard, queue)
    connection.zadd("rq:wip:default", {f"{job_id}:token": time.time() + 90})
    connection.hset(f"rq:execution:{job_id}:token", "id", "token")
    assert await sweep(shard, "default", part=0) == 0
    connection.delete(f"rq:execution:{job_id}:token")
    connection.hset(f"rq:job:{job_id}", "status", "started")
    assert await sweep(shard, "default", part=0) == 0


async def test_records_that_cannot_be_read_keep_their_entries(shard: Shard, connection: Redis) -> None:
    connection.set("rq:job:text", "no hash")
    connection.hset("rq:job:odd", "status", "nonsense")
    for registry in ("scheduled", "failed", "finished"):
        connection.zadd(f"rq:{registry}:default", {"text": 1, "odd": 2})
    assert await sweep(shard, "default", part=0) == 0


async def test_ids_of_expired_jobs_leave_the_queue_and_the_counters(
    shard: Shard, queue: Queue, connection: Redis
) -> None:
    for _ in range(3):
        expire_job(Job.fetch(await enqueue_with_rq(shard, queue), connection=connection, serializer="json"), queue)
    kept = await enqueue_with_rq(shard, queue)
    later, _ = await reach("scheduled", "rq", shard, queue)
    expire_job(Job.fetch(later, connection=connection, serializer="json"), queue)
    assert await sweep(shard, "default", part=0) == 4
    assert queue.job_ids == [kept]
    counts = (await read_counts(shard)).total
    assert (counts.queued, counts.scheduled) == (1, 0)


async def test_a_finished_job_cancelled_with_rq_is_deleted_in_the_end(
    shard: Shard, queue: Queue, connection: Redis
) -> None:
    job_id, _ = await reach("finished", "http", shard, queue)
    Job.fetch(job_id, connection=connection, serializer="json").cancel()
    await prune(shard, now=time.time() + FAILURE_TTL_SECONDS - 60)
    assert connection.exists(f"rq:job:{job_id}")
    await prune(shard, now=time.time() + FAILURE_TTL_SECONDS + 60)
    assert not list(connection.scan_iter(f"rq:*{job_id}*"))
    assert connection.zcard("rq:wm:feed") == connection.zcard("rq:canceled:default") == 0


async def test_rqs_scheduler_with_rqs_defaults_moves_jobs_from_http_unchanged(
    shard: Shard, queue: Queue, connection: Redis, functions: FunctionRegistry
) -> None:
    job_id = await enqueue_over_http(shard, queue, due_at=time.time() - 5)
    scheduler = RQScheduler(["default"], connection=connection)
    scheduler.acquire_locks()
    scheduler.enqueue_scheduled_jobs()
    (job,) = await claim(shard, "w1", ["default"], 10)
    assert (job.id, decode_call(job.data)) == (job_id, [f"{FUNCTIONS}.add", None, [1, 1], {}])
    assert (job.from_http, job.feed) == (True, True)


async def test_a_repeated_submission_of_a_job_that_an_rq_client_has_saved_is_the_same(
    shard: Shard, connection: Redis
) -> None:
    job = NewJob("a", f"{FUNCTIONS}.add", f'["{FUNCTIONS}.add",null,[1,1],{{}}]'.encode(), at_front=True)
    await enqueue(shard, [job])
    Job.fetch("a", connection=connection, serializer="json").save()
    assert connection.hget("rq:job:a", "data") != job.data
    other = job._replace(data=job.data.replace(b"1,1", b"1,2"))
    outcomes = await enqueue(shard, [other, job, job._replace(at_front=False)])
    assert outcomes == [EnqueueOutcome.CONFLICT, EnqueueOutcome.REPEATED, EnqueueOutcome.CONFLICT]


# --- An id that is enqueued again -------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", SUBMIT)
@pytest.mark.parametrize("end", [succeed, fail, lose_worker], ids=lambda end: end.__name__)
async def test_a_job_enqueued_again_while_it_runs_runs_again(
    shard: Shard, queue: Queue, connection: Redis, origin: str, end: Any
) -> None:
    job_id, held = await reach("claimed", origin, shard, queue)
    assert held is not None
    queue.enqueue_job(Job.fetch(job_id, connection=connection, serializer="json"))
    await end(shard, held)
    assert queue.job_ids == [job_id]
    (again,) = await claim(shard, "w2", ["default"], 10)
    assert again.id == job_id
    await finish(shard, "w2", [success_outcome(again, "second")])
    assert connection.hget(f"rq:job:{job_id}", "status") == b"finished"
    assert [result.value for result in await pull(shard, 10)] == ([b'"second"'] if origin == "http" else [])


@pytest.mark.parametrize("origin", SUBMIT)
@pytest.mark.parametrize("moment", ["finished", "failed", "stopped"])
async def test_an_ended_job_runs_again_when_its_id_is_pushed(
    shard: Shard, queue: Queue, connection: Redis, moment: str, origin: str
) -> None:
    job_id, _ = await reach(moment, origin, shard, queue)
    queue.push_job_id(job_id)
    (again,) = await claim(shard, "w1", ["default"], 10)
    assert (again.id, again.attempt) == (job_id, 2)
    assert connection.ttl(f"rq:job:{job_id}") == -1, "it must not expire while it runs"
    counts = (await read_counts(shard)).total
    assert (counts.started, counts.finished, counts.failed) == (1, 0, 0)
    await finish(shard, "w1", [success_outcome(again, "again")])
    assert Job.fetch(job_id, connection=connection, serializer="json").return_value() == "again"


@pytest.mark.parametrize("moment", ["scheduled", "claimed", "canceled"])
async def test_the_pushed_id_of_a_job_that_must_not_run_now_is_dropped(
    shard: Shard, queue: Queue, connection: Redis, moment: str
) -> None:
    job_id, _ = await reach(moment, "rq", shard, queue)
    before = connection.hgetall(f"rq:job:{job_id}")
    queue.push_job_id(job_id)
    assert await claim(shard, "w2", ["default"], 10) == []
    assert connection.hgetall(f"rq:job:{job_id}") == before


@pytest.mark.parametrize("enqueue_job", [enqueue_over_http, enqueue_with_rq])
async def test_a_job_removed_from_its_queue_stays_out_until_it_is_cancelled_and_requeued(
    enqueue_job: Callable[[Shard, Queue], Awaitable[str]], shard: Shard, queue: Queue, connection: Redis
) -> None:
    job_id = await enqueue_job(shard, queue)
    queue.remove(job_id)
    hours_later = time.time() + 7200
    await maintain(shard, hours_later)
    await rescue(shard, 0, now=hours_later)
    assert queue.job_ids == []
    assert connection.hget(f"rq:job:{job_id}", "status") == b"queued"
    (canceled,) = await cancel(shard, [job_id])
    assert canceled.outcome == "canceled"
    assert await requeue(shard, [job_id]) == ["queued"]
    assert queue.job_ids == [job_id]
