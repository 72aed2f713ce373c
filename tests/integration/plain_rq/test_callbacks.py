"""Callbacks of plain RQ clients: our worker calls them as RQ's own does. Both run the same jobs, and are compared."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue, Retry
from rq.job import Job, JobStatus
from rq.registry import StartedJobRegistry

from jobqueue.lifecycle.claim import claim, release
from jobqueue.lifecycle.control import cancel, requeue
from jobqueue.lifecycle.finish import Failed, finish
from jobqueue.lifecycle.leases import MAX_LOSSES, reap
from jobqueue.model import DAY_SECONDS, LEASE_SECONDS, FailureReason
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.plain_rq import job_functions as functions
from tests.integration.plain_rq.conftest import StartProcess
from tests.waiting import until, until_async

ENDED = (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED)
SUCCESS, FAILURE = Callback(functions.tell_success), Callback(functions.tell_failure)
BOTH: dict[str, Any] = {"on_success": SUCCESS, "on_failure": FAILURE}

JOBS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "success": (functions.sleep_or_say, (0,), BOTH),
    "success-of-a-coroutine": (functions.say_later, ("said",), BOTH),
    "failure": (functions.fail_noting, (), BOTH),
    "failure-of-each-attempt": (functions.fail_noting, (), BOTH | {"retry": Retry(max=2)}),
    "a-returned-retry": (functions.retry_until, (2,), BOTH),
    "failing-on-success": (functions.sleep_or_say, (0,), BOTH | {"on_success": Callback(functions.fail_callback)}),
    "failing-on-failure": (functions.fail_noting, (), {"on_failure": Callback(functions.fail_callback)}),
    "timeout": (functions.sleep_or_say, (30,), BOTH | {"job_timeout": 1}),
    "timeout-of-on-success": (
        functions.sleep_or_say,
        (0,),
        BOTH | {"on_success": Callback(functions.slow_callback, timeout=1)},
    ),
    "timeout-of-on-failure": (
        functions.fail_noting,
        (),
        {"on_failure": Callback(functions.slow_callback, timeout=1)},
    ),
    "coroutine-callback": (functions.sleep_or_say, (0,), BOTH | {"on_success": Callback(functions.async_callback)}),
    "meta": (functions.sleep_or_say, (0,), {"on_success": Callback(functions.save_meta_callback)}),
}


def enqueue_all(queue: Queue, directory: Path) -> dict[str, Job]:
    return {
        name: queue.enqueue(function, str(directory / name), *args, **options)
        for name, (function, args, options) in JOBS.items()
    }


def told(job: Job, notes: Path) -> tuple[Any, ...]:
    """Return what can be known of a job that has ended: its notes, status, value and error, and `meta`."""
    job.refresh()
    lines = notes.read_text().splitlines() if notes.exists() else []
    result = job.latest_result()
    error = (result.exc_string or "").rstrip().rpartition("\n")[2] if result else None
    return lines, job.get_status().value, job.return_value(), error, job.meta


@pytest.mark.usefixtures("maintenance")
def test_callbacks_are_called_as_by_rqs_worker(
    connection: Redis, our_worker: StartProcess, rq_worker: StartProcess, tmp_path: Path
) -> None:
    queues = {name: Queue(name, connection=connection, serializer="json") for name in ("ours", "theirs")}
    jobs = {}
    for name, queue in queues.items():
        (tmp_path / name).mkdir()
        jobs[name] = enqueue_all(queue, tmp_path / name)
    our_worker("--queues", "ours", "--slots", "2")
    rq_worker("theirs")
    everything = [job for some in jobs.values() for job in some.values()]
    until(lambda: all(job.get_status() in ENDED for job in everything))
    ours, theirs = (
        {name: told(job, tmp_path / queue / name) for name, job in some.items()} for queue, some in jobs.items()
    )
    assert ours == theirs
    assert ours["failing-on-success"][0][1].startswith("failure LookupError")
    assert ours["timeout"][0] == [
        "interrupted by JobTimeoutException",
        "failure JobTimeoutException Task exceeded maximum timeout value (1 seconds) True failed",
    ]
    reasons = {name: connection.hget(job.key, "wm_reason") for name, job in jobs["ours"].items()}
    assert {name for name, reason in reasons.items() if reason == b"timeout"} == {"timeout", "timeout-of-on-success"}


@pytest.mark.usefixtures("maintenance")
async def test_the_callback_of_a_stopped_job_is_called_before_its_end_is_recorded(
    queue: Queue, our_worker: StartProcess, shards: Shards, tmp_path: Path
) -> None:
    jobs = {
        name: queue.enqueue(functions.sleep_or_say, str(tmp_path / name), 60, on_stopped=Callback(function, timeout=1))
        for name, function in (
            ("told", functions.tell_stopped),
            ("failing", functions.fail_callback),
            ("slow", functions.slow_callback),
        )
    }
    our_worker("--slots", "3")
    await until_async(lambda: asyncio.to_thread(lambda: all(job.is_started for job in jobs.values())))
    await cancel(shards.all[0], [job.id for job in jobs.values()])
    await until_async(lambda: asyncio.to_thread(lambda: all(job.is_stopped for job in jobs.values())))
    lines = {name: (tmp_path / name).read_text().splitlines() for name in jobs}
    assert lines == {
        "told": [f"stopped {jobs['told'].id}"],
        "failing": ["failing callback"],
        "slow": ["slow callback"],
    }


async def lose_too_often(shard: Shard) -> None:
    """Claim all jobs as a worker that dies, as often as they may be lost."""
    for number in range(MAX_LOSSES):
        now = time.time() + number * 2 * LEASE_SECONDS
        while await claim(shard, "dead", ("default",), 1, now=now):
            pass
        assert {each.outcome for each in await reap(shard, now=now + LEASE_SECONDS + 1)} == {"queued"}


async def test_on_failure_of_a_job_whose_worker_is_lost_is_called_as_by_rqs_maintenance(
    queue: Queue,
    connection: Redis,
    our_worker: StartProcess,
    rq_worker: StartProcess,
    shards: Shards,
    tmp_path: Path,
) -> None:
    theirs = Queue("theirs", connection=connection, serializer="json")
    abandoned = theirs.enqueue(functions.sleep_or_say, str(tmp_path / "theirs"), 60, **BOTH)
    worker = rq_worker("theirs")
    await until_async(lambda: asyncio.to_thread(lambda: abandoned.is_started))
    os.killpg(worker.pid, signal.SIGKILL)
    StartedJobRegistry(queue=theirs).cleanup(timestamp=time.time() + DAY_SECONDS)

    told_of, failing = (
        queue.enqueue(functions.sleep_or_say, str(tmp_path / name), 0, on_failure=Callback(function), retry=Retry(5))
        for name, function in (("ours", functions.tell_failure), ("failing", functions.fail_callback))
    )
    await lose_too_often(shards.all[0])
    our_worker()
    await until_async(lambda: asyncio.to_thread(lambda: told_of.is_failed and failing.is_failed))
    assert (tmp_path / "ours").read_text() == (tmp_path / "theirs").read_text()
    assert (tmp_path / "failing").read_text().splitlines() == ["failing callback"]
    for job in (told_of, failing):
        assert connection.hmget(job.key, "wm_reason", "wm_attempts") == [b"worker_lost", b"%d" % MAX_LOSSES]
    assert "Its on_failure callback failed" in failing.latest_result().exc_string

    assert await requeue(shards.all[0], [told_of.id]) == ["queued"]
    await until_async(lambda: asyncio.to_thread(lambda: told_of.is_finished))


async def test_a_job_that_is_lost_while_its_on_failure_is_called_ends(queue: Queue, shards: Shards) -> None:
    job = queue.enqueue(functions.add, 1, 1, on_failure=FAILURE)
    await lose_too_often(shards.all[0])
    now = time.time() + DAY_SECONDS
    (claimed,) = await claim(shards.all[0], "dead", ("default",), 1, now=now)
    assert claimed.is_abandoned
    assert [each.outcome for each in await reap(shards.all[0], now=now + LEASE_SECONDS + 1)] == ["failed"]
    assert job.is_failed


async def test_a_job_that_was_lost_too_often_runs_again_if_rq_requeues_it(queue: Queue, shards: Shards) -> None:
    (shard,) = shards.all
    job = queue.enqueue(functions.add, 1, 1, on_failure=FAILURE)
    await lose_too_often(shard)
    (claimed,) = await claim(shard, "w1", ("default",), 1)
    assert await release(shard, [claimed]) == 1
    (claimed,) = await claim(shard, "w1", ("default",), 1)
    assert (claimed.is_abandoned, claimed.attempt) == (True, MAX_LOSSES)
    await finish(shard, "w1", [Failed(claimed, "add", 0.0, FailureReason.WORKER_LOST, "", final=True)])

    job.requeue()
    (claimed,) = await claim(shard, "w1", ("default",), 1)
    assert not claimed.is_abandoned
    assert [each.outcome for each in await reap(shard, now=time.time() + LEASE_SECONDS + 1)] == ["queued"]
    (claimed,) = await claim(shard, "w1", ("default",), 1)
    assert claimed.is_abandoned, "it was lost too often again"


@pytest.mark.usefixtures("maintenance")
def test_what_callbacks_cannot_do_is_said(
    queue: Queue, connection: Redis, our_worker: StartProcess, tmp_path: Path
) -> None:
    unknown = queue.enqueue(functions.note, str(tmp_path / "unknown"), "ran", on_stopped=Callback("os.getcwd"))
    redis = queue.enqueue(functions.add, 1, 1, on_success=Callback(functions.use_connection))
    pickled = Queue(connection=connection).enqueue(functions.note, str(tmp_path / "pickled"), "ran", on_success=SUCCESS)
    large = queue.enqueue(functions.large_result, str(tmp_path / "large"), on_failure=FAILURE)
    our_worker()
    until(lambda: all(job.get_status() == JobStatus.FAILED for job in (unknown, redis, pickled, large)))
    errors = {name: job.latest_result().exc_string for name, job in (("unknown", unknown), ("redis", redis))}
    assert errors["unknown"] == (
        "its on_stopped callback cannot be called: the function 'os.getcwd' is not registered on this worker: name its "
        "module in WORKMANAGER_FUNCTIONS, on managers and workers"
    )
    assert connection.hget(unknown.key, "wm_reason") == b"rejected"
    assert "open a connection of your own instead" in errors["redis"]
    assert {path.name for path in tmp_path.iterdir()} == {"large"}
    assert (tmp_path / "large").read_text().startswith("failure ResultError the result has ")


@pytest.mark.usefixtures("maintenance")
def test_callbacks_of_pickled_jobs_are_called_where_such_jobs_run(
    connection: Redis, our_worker: StartProcess, tmp_path: Path
) -> None:
    queue = Queue(connection=connection)
    job = queue.enqueue(functions.sleep_or_say, str(tmp_path / "notes"), 0, on_success=SUCCESS)
    our_worker(ALLOW_PICKLE="1", ISOLATION="job")
    until(lambda: job.get_status() == JobStatus.FINISHED)
    assert (tmp_path / "notes").read_text() == "success slept finished started\n"
