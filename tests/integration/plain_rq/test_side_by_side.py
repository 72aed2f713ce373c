"""Our parties and RQ's on one Redis: neither disturbs the other's jobs."""

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
from rq.job import JobStatus
from rq.registry import StartedJobRegistry, clean_registries

from jobqueue.inspection.job_views import view_jobs
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.leases import reap_rq_executions
from jobqueue.lifecycle.pull import pull
from jobqueue.model import NewJob
from jobqueue.sharding.shards import Shards
from tests.integration.plain_rq import job_functions
from tests.integration.plain_rq.conftest import FUNCTIONS
from tests.processes import children_of
from tests.waiting import until_async

pytestmark = pytest.mark.usefixtures("maintenance")


@pytest.fixture
def queue(connection: Redis) -> Queue:
    return Queue(connection=connection, serializer="json")


def http_job(shards: Shards, function: str, *args: object, **options: object) -> NewJob:
    data = json.dumps([f"{FUNCTIONS}.{function}", None, args, {}]).encode()
    return NewJob(id=shards.new_id(), function=f"{FUNCTIONS}.{function}", data=data, **options)


async def test_an_rq_worker_runs_jobs_enqueued_over_http(shards, rq_worker, functions, connection):
    job = http_job(shards, "add", 20, 22)
    await enqueue(shards.all[0], [job])
    rq_worker("--burst")
    shown = await until_async(lambda: finished_view(shards, job.id, functions))
    assert shown.result == b"42"
    assert 604_000 < connection.ttl(f"rq:job:{job.id}") <= 604_800
    assert await pull(shards.all[0], 10) == []


async def test_an_rq_worker_runs_the_built_in_sha512(shards, rq_worker, functions):
    call = ["worker_node.functions.sha512", None, [], {"data": "YWJj", "iterations": 1}]
    job = NewJob(id=shards.new_id(), function="sha512", data=json.dumps(call).encode())
    await enqueue(shards.all[0], [job])
    rq_worker("--burst")
    shown = await until_async(lambda: finished_view(shards, job.id, functions))
    assert json.loads(shown.result).startswith("ddaf35a193617aba")


async def test_jobs_of_rq_clients_do_not_enter_the_feed(queue, shards, our_worker):
    ours = http_job(shards, "add", 1, 1)
    stock = queue.enqueue(job_functions.add, 1, 1)
    await enqueue(shards.all[0], [ours])
    our_worker("--burst").wait(timeout=60)
    assert stock.get_status() == JobStatus.FINISHED
    assert [result.job_id for result in await pull(shards.all[0], 10)] == [ours.id]


async def test_rqs_registry_cleanup_does_not_fail_our_running_jobs(queue, connection, shards, rq_info):
    job = queue.enqueue(job_functions.add, 1, 1, job_timeout=1)
    (held,) = await claim(shards.all[0], "worker", ["default"], 1)
    registry = StartedJobRegistry(connection=connection, serializer="json")
    # Long past the lease and the timeout, but not past the margin that our entry has.
    registry.cleanup(timestamp=time.time() + 1800)
    rq_info()
    clean_registries(queue)
    assert job.get_status() == JobStatus.STARTED
    assert held.id == job.id


async def test_rq_never_expires_our_jobs_without_a_timeout(queue, connection, shards):
    job = queue.enqueue(job_functions.add, 1, 1, job_timeout=-1)
    await claim(shards.all[0], "worker", ["default"], 1)
    StartedJobRegistry(connection=connection, serializer="json").cleanup(timestamp=time.time() + 10**8)
    assert job.get_status() == JobStatus.STARTED


async def test_jobs_running_on_an_rq_worker_are_not_reaped(queue, shards, rq_worker, tmp_path: Path):
    notes = tmp_path / "notes"
    job = queue.enqueue(job_functions.sleep_noting, str(notes), 2)
    rq_worker("--burst")
    await until_async(lambda: asyncio.to_thread(notes.exists))
    assert await reap_rq_executions(shards.all[0], "default") == []
    await until_async(lambda: asyncio.to_thread(lambda: job.get_status() == JobStatus.FINISHED))
    assert notes.read_text().split() == ["begun", "ended"]


@pytest.mark.parametrize(("retry", "outcome"), [(None, JobStatus.FAILED), (Retry(max=1), JobStatus.QUEUED)])
async def test_jobs_of_a_dead_rq_worker_are_reaped_after_rqs_deadline(
    queue, shards, rq_worker, tmp_path: Path, retry, outcome
):
    notes = tmp_path / "notes"
    job = queue.enqueue(job_functions.sleep_noting, str(notes), 60, retry=retry)
    process = rq_worker()
    await until_async(lambda: asyncio.to_thread(notes.exists))
    # What runs the job is in a process group of its own: it would write its result into the tests that follow.
    (horse,) = children_of(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    os.kill(horse, signal.SIGKILL)
    assert await reap_rq_executions(shards.all[0], "default", now=time.time() + 30) == []
    assert job.get_status() == JobStatus.STARTED
    assert await reap_rq_executions(shards.all[0], "default", now=time.time() + 120) == [(job.id, outcome.value)]
    assert job.get_status() == outcome


async def test_a_job_stuck_on_its_way_to_an_rq_worker_is_requeued_after_a_minute(queue, connection, shards):
    job = queue.enqueue(job_functions.add, 1, 1)
    before = time.time()
    connection.lmove(queue.key, queue.intermediate_queue_key)
    assert await reap_rq_executions(shards.all[0], "default") == []
    # Seen there for the first time between these two moments, by the maintenance or just now.
    seen = time.time()
    assert await reap_rq_executions(shards.all[0], "default", now=before + 59) == []
    assert await reap_rq_executions(shards.all[0], "default", now=seen + 61) == [(job.id, "queued")]
    assert queue.job_ids == [job.id]


async def test_rqs_scheduler_and_ours_together_queue_each_due_job_once(queue, our_worker, rq_worker, tmp_path: Path):
    notes = tmp_path / "notes"
    for number in range(40):
        queue.enqueue_in(timedelta(seconds=1 + number % 3), job_functions.note, str(notes), str(number))
    rq_worker("--with-scheduler")
    our_worker()
    await until_async(lambda: asyncio.to_thread(lambda: len(lines(notes)) >= 40))
    assert queue.scheduled_job_registry.count == 0
    assert Counter(lines(notes)) == Counter(str(number) for number in range(40))


async def test_due_jobs_are_left_to_the_holder_of_rqs_scheduler_lock(queue, connection):
    connection.set("rq:scheduler-lock:default", "another scheduler", ex=600)
    job = queue.enqueue_in(timedelta(seconds=-5), job_functions.add, 1, 1)
    other = Queue("other", connection=connection, serializer="json")
    moved = other.enqueue_in(timedelta(seconds=-5), job_functions.add, 1, 1)
    await until_async(lambda: asyncio.to_thread(lambda: moved.get_status() == JobStatus.QUEUED))
    assert job.get_status() == JobStatus.SCHEDULED


async def test_dependents_of_a_job_run_by_us_are_queued_by_rqs_own_code(queue, our_worker, connection):
    parent = queue.enqueue(job_functions.add, 1, 1)
    waiting = Queue("stock-only", connection=connection, serializer="json")
    child = waiting.enqueue(job_functions.add, 2, 2, depends_on=parent)
    assert child.get_status() == JobStatus.DEFERRED
    our_worker()
    await until_async(lambda: asyncio.to_thread(lambda: child.get_status() == JobStatus.QUEUED))
    assert waiting.job_ids == [child.id]


async def test_our_worker_and_rqs_share_a_queue_and_run_each_job_once(queue, shards, our_worker, rq_worker, tmp_path):
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


async def test_rq_info_lists_our_worker(our_worker, rq_info):
    our_worker("--name", "ours")
    await until_async(lambda: asyncio.to_thread(lambda: "worker ours" in rq_info()))


async def test_rq_finds_the_execution_of_a_long_job_run_by_us(queue, connection, our_worker, tmp_path: Path):
    gate = tmp_path / "gate"
    job = queue.enqueue(job_functions.report_progress, str(gate))
    our_worker("--name", "ours")
    executions = await until_async(lambda: asyncio.to_thread(job.get_executions))
    assert executions[0].worker_name == "ours"
    gate.touch()
    await until_async(lambda: asyncio.to_thread(lambda: job.get_status() == JobStatus.FINISHED))
    assert job.get_executions() == []
    assert not list(connection.scan_iter("rq:execution*"))


async def test_meta_is_visible_in_our_job_view_while_the_job_runs(queue, shards, our_worker, functions, tmp_path: Path):
    gate = tmp_path / "gate"
    job = queue.enqueue(job_functions.report_progress, str(gate))
    our_worker()

    async def progress() -> bool:
        (shown,) = await view_jobs(shards.all[0], [job.id], functions)
        return shown.meta == {"progress": 50} and shown.status == "started"

    await until_async(progress)
    gate.touch()


async def finished_view(shards, job_id, functions):
    (shown,) = await view_jobs(shards.of(job_id), [job_id], functions)
    return shown if shown.status == "finished" else None


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def test_an_idle_worker_starts_a_job_of_an_rq_client_at_once(queue, our_worker):
    our_worker()
    first = queue.enqueue(job_functions.add, 1, 1)
    await until_async(lambda: asyncio.to_thread(lambda: first.get_status() == JobStatus.FINISHED))
    seconds = []
    for _ in range(10):
        begun = time.monotonic()
        job = queue.enqueue(job_functions.add, 1, 1)
        await until_async(lambda job=job: asyncio.to_thread(lambda: job.get_status() == JobStatus.FINISHED))
        seconds.append(time.monotonic() - begun)
    # By itself the worker looks every 5 s, which it begins to wait for with each job.
    assert statistics.median(seconds) < 2, seconds
