"""Our programs and plain RQ's on one Redis: neither disturbs the other's jobs."""

import asyncio
import json
import os
import signal
import statistics
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue, Retry
from rq.job import Job, JobStatus
from rq.registry import StartedJobRegistry, clean_registries

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import view_jobs
from jobqueue.job_view import JobView
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.control import requeue
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.leases import reap_rq_executions
from jobqueue.lifecycle.pull import pull
from jobqueue.model import RESULT_TTL_SECONDS, NewJob
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import nearly
from tests.integration.plain_rq import job_functions
from tests.integration.plain_rq.conftest import FUNCTIONS, ROOT, RunTool, StartProcess
from tests.processes import children_of
from tests.waiting import until_async

pytestmark = pytest.mark.usefixtures("maintenance")

STUCK_SECONDS = 60
"""Time in RQ's intermediate queue after which a job is queued again."""


def http_job(shards: Shards, function: str, *args: object) -> NewJob:
    """Build a job as a manager does for a request over HTTP."""
    data = json.dumps([f"{FUNCTIONS}.{function}", None, args, {}]).encode()
    return NewJob(id=shards.new_id(), function=f"{FUNCTIONS}.{function}", data=data)


async def until_status(job: Job, status: JobStatus) -> None:
    await until_async(lambda: asyncio.to_thread(lambda: job.get_status() == status))


async def finished_view(shards: Shards, job_id: str, functions: FunctionRegistry) -> JobView | None:
    """Return the view of a job that has finished; None until then."""
    (view,) = await view_jobs(shards.of(job_id), [job_id], functions)
    return view if view is not None and view.status == "finished" else None


def lines(path: Path) -> list[str]:
    """Return the lines of a file; none if it does not exist yet."""
    return path.read_text().splitlines() if path.exists() else []


async def test_an_rq_worker_runs_jobs_enqueued_over_http(
    shards: Shards, rq_worker: StartProcess, functions: FunctionRegistry, connection: Redis
) -> None:
    job = http_job(shards, "add", 20, 22)
    await enqueue(shards.all[0], [job])
    rq_worker("--burst")
    view = await until_async(lambda: finished_view(shards, job.id, functions))
    assert view.result == b"42"
    assert connection.ttl(f"rq:job:{job.id}") in nearly(RESULT_TTL_SECONDS)
    assert await pull(shards.all[0], 10) == []


async def test_an_rq_worker_with_rqs_defaults_fails_jobs_from_http_as_documented(
    shards: Shards, rq_worker: StartProcess, functions: FunctionRegistry
) -> None:
    page = (ROOT / "docs" / "rq.md").read_text()
    assert "`-S json` | jobs from HTTP end as `failed`; the error is `DeserializationError`" in page
    job = http_job(shards, "add", 20, 22)
    await enqueue(shards.all[0], [job])
    rq_worker("--burst", serializer=None).wait(timeout=60)
    (view,) = await view_jobs(shards.all[0], [job.id], functions)
    assert view is not None
    assert view.status == "failed"
    assert view.error is not None
    assert "DeserializationError" in view.error.message
    # The remedy of the page.
    assert await requeue(shards.all[0], [job.id]) == ["queued"]
    rq_worker("--burst").wait(timeout=60)
    assert (await finished_view(shards, job.id, functions) or view).result == b"42"


async def test_an_rq_worker_runs_the_built_in_sha512(
    shards: Shards, rq_worker: StartProcess, functions: FunctionRegistry
) -> None:
    call = ["worker_node.functions.sha512", None, [], {"data": "YWJj", "iterations": 1}]
    job = NewJob(id=shards.new_id(), function="sha512", data=json.dumps(call).encode())
    await enqueue(shards.all[0], [job])
    rq_worker("--burst")
    view = await until_async(lambda: finished_view(shards, job.id, functions))
    assert json.loads(view.result).startswith("ddaf35a193617aba")


async def test_jobs_of_rq_clients_do_not_enter_the_feed(queue: Queue, shards: Shards, our_worker: StartProcess) -> None:
    over_http = http_job(shards, "add", 1, 1)
    over_rq = queue.enqueue(job_functions.add, 1, 1)
    await enqueue(shards.all[0], [over_http])
    our_worker("--burst").wait(timeout=60)
    assert over_rq.get_status() == JobStatus.FINISHED
    assert [result.job_id for result in await pull(shards.all[0], 10)] == [over_http.id]


async def test_rqs_registry_cleanup_does_not_fail_our_running_jobs(
    queue: Queue, connection: Redis, shards: Shards, rq_info: RunTool
) -> None:
    job = queue.enqueue(job_functions.add, 1, 1, job_timeout=1)
    (claimed,) = await claim(shards.all[0], "worker", ["default"], 1)
    registry = StartedJobRegistry(connection=connection, serializer="json")
    # Long after the lease and the timeout, but before the expiry of our entry in the registry.
    registry.cleanup(timestamp=time.time() + 1800)
    rq_info()
    clean_registries(queue)
    assert job.get_status() == JobStatus.STARTED
    assert claimed.id == job.id


async def test_rq_never_expires_our_jobs_without_a_timeout(queue: Queue, connection: Redis, shards: Shards) -> None:
    job = queue.enqueue(job_functions.add, 1, 1, job_timeout=-1)
    await claim(shards.all[0], "worker", ["default"], 1)
    StartedJobRegistry(connection=connection, serializer="json").cleanup(timestamp=time.time() + 10**8)
    assert job.get_status() == JobStatus.STARTED


async def test_jobs_running_on_an_rq_worker_are_not_reaped(
    queue: Queue, shards: Shards, rq_worker: StartProcess, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    job = queue.enqueue(job_functions.sleep_noting, str(notes), 2)
    rq_worker("--burst")
    await until_async(lambda: asyncio.to_thread(notes.exists))
    assert await reap_rq_executions(shards.all[0], "default") == []
    await until_status(job, JobStatus.FINISHED)
    assert notes.read_text().split() == ["started", "ended"]


@pytest.mark.parametrize(("retry", "outcome"), [(None, JobStatus.FAILED), (Retry(max=1), JobStatus.QUEUED)])
async def test_jobs_of_a_dead_rq_worker_are_reaped_after_rqs_deadline(
    queue: Queue, shards: Shards, rq_worker: StartProcess, tmp_path: Path, retry: Retry | None, outcome: JobStatus
) -> None:
    notes = tmp_path / "notes"
    job = queue.enqueue(job_functions.sleep_noting, str(notes), 60, retry=retry)
    process = rq_worker()
    await until_async(lambda: asyncio.to_thread(notes.exists))
    # RQ runs the job in a child with its own process group, which would write its result during later tests.
    (job_process,) = children_of(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    os.kill(job_process, signal.SIGKILL)
    assert await reap_rq_executions(shards.all[0], "default", now=time.time() + 30) == []
    assert job.get_status() == JobStatus.STARTED
    assert await reap_rq_executions(shards.all[0], "default", now=time.time() + 120) == [(job.id, outcome.value)]
    assert job.get_status() == outcome


async def test_a_job_stuck_on_its_way_to_an_rq_worker_is_requeued_after_a_minute(
    queue: Queue, connection: Redis, shards: Shards
) -> None:
    job = queue.enqueue(job_functions.add, 1, 1)
    before = time.time()
    connection.lmove(queue.key, queue.intermediate_queue_key)
    assert await reap_rq_executions(shards.all[0], "default") == []
    # The job was first noticed there between `before` and `after`, by the maintenance or by this call.
    after = time.time()
    assert await reap_rq_executions(shards.all[0], "default", now=before + STUCK_SECONDS - 1) == []
    assert await reap_rq_executions(shards.all[0], "default", now=after + STUCK_SECONDS + 1) == [(job.id, "queued")]
    assert queue.job_ids == [job.id]


async def test_rqs_scheduler_and_ours_together_queue_each_due_job_once(
    queue: Queue, our_worker: StartProcess, rq_worker: StartProcess, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    for number in range(40):
        queue.enqueue_in(timedelta(seconds=1 + number % 3), job_functions.note, str(notes), str(number))
    rq_worker("--with-scheduler")
    our_worker()
    await until_async(lambda: asyncio.to_thread(lambda: len(lines(notes)) >= 40))
    assert queue.scheduled_job_registry.count == 0
    assert Counter(lines(notes)) == Counter(str(number) for number in range(40))


async def test_due_jobs_are_left_to_the_holder_of_rqs_scheduler_lock(queue: Queue, connection: Redis) -> None:
    connection.set("rq:scheduler-lock:default", "another scheduler", ex=600)
    job = queue.enqueue_in(timedelta(seconds=-5), job_functions.add, 1, 1)
    other = Queue("other", connection=connection, serializer="json")
    moved = other.enqueue_in(timedelta(seconds=-5), job_functions.add, 1, 1)
    await until_status(moved, JobStatus.QUEUED)
    assert job.get_status() == JobStatus.SCHEDULED


async def test_dependents_of_a_job_run_by_us_are_queued(
    queue: Queue, our_worker: StartProcess, connection: Redis
) -> None:
    parent = queue.enqueue(job_functions.add, 1, 1)
    only_rq = Queue("only-rq", connection=connection, serializer="json")
    child = only_rq.enqueue(job_functions.add, 2, 2, depends_on=parent)
    assert child.get_status() == JobStatus.DEFERRED
    our_worker("--queues", "default")
    await until_status(child, JobStatus.QUEUED)
    assert only_rq.job_ids == [child.id]


async def test_our_worker_and_rqs_share_a_queue_and_run_each_job_once(
    queue: Queue, shards: Shards, our_worker: StartProcess, rq_worker: StartProcess, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    for number in range(60):
        if number % 2:
            queue.enqueue(job_functions.note, str(notes), str(number))
        else:
            await enqueue(shards.all[0], [http_job(shards, "note", str(notes), str(number))])
    rq_worker()
    our_worker()
    await until_async(lambda: asyncio.to_thread(lambda: len(lines(notes)) >= 60))
    assert Counter(lines(notes)) == Counter(str(number) for number in range(60))


async def test_rq_info_lists_our_worker(our_worker: StartProcess, rq_info: RunTool) -> None:
    our_worker("--name", "ours")
    await until_async(lambda: asyncio.to_thread(lambda: "worker ours" in rq_info()))


async def test_rq_finds_the_execution_of_a_long_job_run_by_us(
    queue: Queue, connection: Redis, our_worker: StartProcess, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = queue.enqueue(job_functions.report_progress, str(gate))
    our_worker("--name", "ours")
    executions = await until_async(lambda: asyncio.to_thread(job.get_executions))
    assert executions[0].worker_name == "ours"
    gate.touch()
    await until_status(job, JobStatus.FINISHED)
    assert job.get_executions() == []
    assert not list(connection.scan_iter("rq:execution*"))


async def test_meta_is_visible_in_our_job_view_while_the_job_runs(
    queue: Queue, shards: Shards, our_worker: StartProcess, functions: FunctionRegistry, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = queue.enqueue(job_functions.report_progress, str(gate))
    our_worker()

    async def shows_progress() -> bool:
        (view,) = await view_jobs(shards.all[0], [job.id], functions)
        return view is not None and view.meta == {"progress": 50} and view.status == "started"

    await until_async(shows_progress)
    gate.touch()


async def test_an_idle_worker_starts_a_job_of_an_rq_client_at_once(queue: Queue, our_worker: StartProcess) -> None:
    our_worker()
    first = queue.enqueue(job_functions.add, 1, 1)
    await until_status(first, JobStatus.FINISHED)
    seconds = []
    for _ in range(10):
        started = time.monotonic()
        job = queue.enqueue(job_functions.add, 1, 1)
        await until_status(job, JobStatus.FINISHED)
        seconds.append(time.monotonic() - started)
    # Without the wake-up for RQ jobs, the worker would find each job after up to 5 s.
    assert statistics.median(seconds) < 2, seconds
