"""An id is used again after an RQ client deleted its job, while that run goes on: its end is not the new job's."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus

from jobqueue.claimed_job import ClaimedJob
from jobqueue.inspection.counters import read_counts
from jobqueue.lifecycle.claim import claim, release
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.enqueue import EnqueueOutcome, enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap, reap_rq_executions
from jobqueue.lifecycle.pull import pull
from jobqueue.lifecycle.running_job import save_meta
from jobqueue.model import LEASE_SECONDS, NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import failed_outcome, retried_outcome, stopped_outcome, success_outcome
from tests.integration.plain_rq import job_functions
from tests.integration.plain_rq.conftest import FUNCTIONS, StartProcess
from tests.waiting import until

ID = "chosen-id"
ADD = f"{FUNCTIONS}.add"


@pytest.fixture
def shard(shards: Shards) -> Shard:
    return shards.all[0]


# --- How the id is used the first time and again ----------------------------------------------------------------------


async def put_over_http(shard: Shard, queue: Queue, number: int) -> None:
    data = f'["{ADD}",null,[{number},0],{{}}]'.encode()
    assert await enqueue(shard, [NewJob(ID, ADD, data, retries=2)]) == [EnqueueOutcome.WRITTEN]


async def put_without_result(shard: Shard, queue: Queue, number: int) -> None:
    data = f'["{ADD}",null,[{number},0],{{}}]'.encode()
    assert await enqueue(shard, [NewJob(ID, ADD, data, result_ttl_seconds=0)]) == [EnqueueOutcome.WRITTEN]


async def enqueue_with_rq(shard: Shard, queue: Queue, number: int) -> None:
    queue.enqueue_job(queue.create_job(job_functions.add, (number, 0), job_id=ID))


# --- How the first job is deleted while it runs -----------------------------------------------------------------------


async def delete_with_rq(shard: Shard, queue: Queue) -> None:
    Job.fetch(ID, connection=queue.connection, serializer="json").delete()


async def cancel_with_rq_and_delete_over_http(shard: Shard, queue: Queue) -> None:
    Job.fetch(ID, connection=queue.connection, serializer="json").cancel()
    assert await delete(shard, [ID]) == ["deleted"]


async def let_it_expire(shard: Shard, queue: Queue) -> None:
    queue.connection.pexpire(f"rq:job:{ID}", 0)


# --- How its run ends -------------------------------------------------------------------------------------------------


async def succeed(shard: Shard, job: ClaimedJob) -> None:
    assert (await finish(shard, "w1", [success_outcome(job, "old", has_execution_record=True)])).lost == (ID,)


async def fail(shard: Shard, job: ClaimedJob) -> None:
    report = await finish(shard, "w1", [failed_outcome(job)])
    assert (report.lost, report.failed) == ((ID,), ())


async def ask_for_a_retry(shard: Shard, job: ClaimedJob) -> None:
    assert (await finish(shard, "w1", [retried_outcome(job, 5)])).lost == (ID,)


async def be_stopped(shard: Shard, job: ClaimedJob) -> None:
    assert (await finish(shard, "w1", [stopped_outcome(job)])).lost == (ID,)


async def give_back(shard: Shard, job: ClaimedJob) -> None:
    assert await release(shard, [job]) == 0


async def renew(shard: Shard, job: ClaimedJob) -> None:
    await save_meta(shard, job, b'{"from": "old"}')
    assert (await extend(shard, "w1", [LeaseUpdate(job, begun_at=time.time())])).lost == (job,)


async def lose_worker(shard: Shard, job: ClaimedJob) -> None:
    # The new run's lease, if there is one, is renewed by another worker.
    await shard.execute(("ZADD", f"{shard.prefix}:wm:leases", "XX", 1, f"{job.id}:{job.token}"))
    assert await reap(shard) == []


ENDS: tuple[Callable[[Shard, ClaimedJob], Awaitable[None]], ...] = (
    succeed,
    fail,
    ask_for_a_retry,
    be_stopped,
    give_back,
    renew,
    lose_worker,
)


async def start_first_run(shard: Shard, queue: Queue, put: Any) -> ClaimedJob:
    await reap(shard)
    await put(shard, queue, 1)
    (job,) = await claim(shard, "w1", ["default"], 10)
    await extend(shard, "w1", [LeaseUpdate(job, begun_at=time.time())])
    return job


def kept(connection: Redis) -> dict[bytes, object]:
    """Return all that is kept about the job: its record, results and entries, and what has been counted."""
    of_the_queue = (b"rq:queue:", b"rq:wip:", b"rq:finished:", b"rq:failed:", b"rq:scheduled:", b"rq:canceled:")
    return {
        key: connection.dump(key)
        for key in connection.keys("*")
        if ID.encode() in key or key.startswith((*of_the_queue, b"rq:wm:f", b"rq:wm:s", b"rq:wm:leases"))
    }


async def check_that_the_old_run_changes_nothing(
    shard: Shard, queue: Queue, put: Any, delete_it: Any, put_again: Any, moment: str, end: Any
) -> None:
    connection = queue.connection
    old = await start_first_run(shard, queue, put)
    await delete_it(shard, queue)
    await put_again(shard, queue, 2)
    new = None
    if moment != "queued":
        (new,) = await claim(shard, "w2", ["default"], 10)
    if moment == "finished":
        assert new is not None
        await finish(shard, "w2", [success_outcome(new, "new")])

    # What is left of the old run itself goes with its end.
    leases = {key: connection.zrange(key, 0, -1, withscores=True) for key in ("rq:wm:leases", "rq:wip:default")}
    for key in leases:
        connection.zrem(key, f"{ID}:{old.token}")
    connection.delete(f"rq:execution:{ID}:{old.token}", f"rq:executions:{ID}")
    before = kept(connection)
    for key, entries in leases.items():
        if entries:
            connection.zadd(key, dict(entries))
    await end(shard, old)
    assert kept(connection) == before

    if moment == "queued":
        (new,) = await claim(shard, "w2", ["default"], 10)
    assert new is not None
    assert new.attempt == 1
    if moment != "finished":
        assert (await extend(shard, "w2", [LeaseUpdate(new)])).lost == ()
        assert (await finish(shard, "w2", [success_outcome(new, "new")])).lost == ()
    assert await claim(shard, "w3", ["default"], 10) == []
    results = [(result.job_id, result.value) for result in await pull(shard, 10)]
    assert results == ([(ID, b'"new"')] if put_again is put_over_http else [])
    counts = (await read_counts(shard)).total
    assert (counts.queued, counts.started, counts.finished, counts.failed) == (0, 0, 1, 0)


@pytest.mark.parametrize("moment", ["queued", "started", "finished"])
@pytest.mark.parametrize("put_again", [put_over_http, enqueue_with_rq], ids=lambda each: each.__name__)
@pytest.mark.parametrize("put", [put_over_http, put_without_result, enqueue_with_rq], ids=lambda each: each.__name__)
async def test_the_end_of_the_old_run_changes_nothing_of_the_new_job(
    shard: Shard, queue: Queue, connection: Redis, put: Any, put_again: Any, moment: str
) -> None:
    for end in ENDS:
        connection.flushall()
        await check_that_the_old_run_changes_nothing(shard, queue, put, delete_with_rq, put_again, moment, end)


@pytest.mark.parametrize("end", ENDS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("delete_it", [cancel_with_rq_and_delete_over_http, let_it_expire])
async def test_it_does_not_matter_how_the_record_went(
    shard: Shard, queue: Queue, connection: Redis, delete_it: Any, end: Any
) -> None:
    await check_that_the_old_run_changes_nothing(shard, queue, put_over_http, delete_it, put_over_http, "queued", end)


async def test_a_repeated_claim_does_not_return_the_new_job_under_the_old_lease(shard: Shard, queue: Queue) -> None:
    await put_over_http(shard, queue, 1)
    await claim(shard, "w1", ["default"], 10, token="t1")
    await delete_with_rq(shard, queue)
    await put_over_http(shard, queue, 2)
    assert await claim(shard, "w1", ["default"], 10, token="t1") == []
    (new,) = await claim(shard, "w1", ["default"], 10, token="t2")
    assert b"[2,0]" in new.data


async def test_cancelling_and_requeueing_the_new_job_is_not_undone_by_the_old_run(
    shard: Shard, queue: Queue, connection: Redis
) -> None:
    old = await start_first_run(shard, queue, put_over_http)
    await delete_with_rq(shard, queue)
    await put_over_http(shard, queue, 2)
    await cancel(shard, [ID])
    await finish(shard, "w1", [success_outcome(old, "old")])
    assert connection.hget(f"rq:job:{ID}", "status") == b"canceled"
    assert not connection.exists(f"rq:results:{ID}", "rq:wm:feed")
    assert await requeue(shard, [ID]) == ["queued"]
    (new,) = await claim(shard, "w2", ["default"], 10)
    await finish(shard, "w2", [success_outcome(new, "new")])
    assert [result.value for result in await pull(shard, 10)] == [b'"new"']


async def test_a_job_that_is_requeued_after_an_rq_client_has_cancelled_its_run_runs_once_more(
    shard: Shard, queue: Queue, connection: Redis
) -> None:
    old = await start_first_run(shard, queue, put_over_http)
    Job.fetch(ID, connection=connection, serializer="json").cancel()
    assert await requeue(shard, [ID]) == ["queued"]
    assert (await finish(shard, "w1", [success_outcome(old, "old")])).lost == (ID,)
    assert await pull(shard, 10) == []
    (new,) = await claim(shard, "w2", ["default"], 10)
    await finish(shard, "w2", [success_outcome(new, "new")])
    assert [result.value for result in await pull(shard, 10)] == [b'"new"']
    assert await claim(shard, "w3", ["default"], 10) == []


async def test_of_two_runs_of_a_job_that_an_rq_client_has_enqueued_again_the_second_counts(
    shard: Shard, queue: Queue, connection: Redis
) -> None:
    first = await start_first_run(shard, queue, put_over_http)
    queue.enqueue_job(Job.fetch(ID, connection=connection, serializer="json"))
    (second,) = await claim(shard, "w2", ["default"], 10)
    assert (await extend(shard, "w1", [LeaseUpdate(first)])).lost == (first,)
    assert (await finish(shard, "w1", [success_outcome(first, "first")])).lost == (ID,)
    assert (await finish(shard, "w2", [success_outcome(second, "second")])).lost == ()
    assert [result.value for result in await pull(shard, 10)] == [b'"second"']


def test_a_worker_that_holds_both_runs_stops_the_old_one_alone(
    queue: Queue, connection: Redis, our_worker: StartProcess, tmp_path: Path
) -> None:
    our_worker("--slots", "2")
    old_notes, new_notes = tmp_path / "old", tmp_path / "new"
    old = queue.enqueue(job_functions.sleep_noting, str(old_notes), 300, job_id=ID, job_timeout=600)
    until(old_notes.exists)
    old.delete()
    # Both leases are renewed when this one has run for a second.
    new = queue.enqueue(job_functions.sleep_noting, str(new_notes), 2.5, job_id=ID)
    until(lambda: new.get_status() == JobStatus.FINISHED)
    assert (old_notes.read_text(), new_notes.read_text()) == ("started\n", "started\nended\n")
    until(lambda: connection.zcard("rq:wm:leases") + connection.zcard("rq:wip:default") == 0)
    assert connection.hgetall("rq:wm:finished") == {f"{FUNCTIONS}.sleep_noting".encode(): b"1"}
    assert connection.xlen(f"rq:results:{ID}") == 1


async def test_an_execution_that_a_plain_rq_worker_abandoned_costs_the_new_job_nothing(
    shard: Shard, queue: Queue, connection: Redis
) -> None:
    connection.zadd("rq:wip:default", {f"{ID}:of-an-rq-worker": time.time() - 60})
    await put_over_http(shard, queue, 2)
    (new,) = await claim(shard, "w2", ["default"], 10)
    assert await reap_rq_executions(shard, "default") == []
    assert connection.zrange("rq:wip:default", 0, -1) == [f"{ID}:{new.token}".encode()]
    assert connection.hget(f"rq:job:{ID}", "status") == b"started"


async def test_the_job_of_a_lost_worker_of_an_earlier_version_runs_again(
    shard: Shard, queue: Queue, connection: Redis
) -> None:
    await start_first_run(shard, queue, put_over_http)
    connection.hdel(f"rq:job:{ID}", "wm_lease")
    reaped = await reap(shard, now=time.time() + LEASE_SECONDS + 1)
    assert [(job.job_id, job.outcome) for job in reaped] == [(ID, "queued")]
    assert queue.job_ids == [ID]
