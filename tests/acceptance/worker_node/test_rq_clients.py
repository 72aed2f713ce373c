"""Jobs of RQ clients, and what RQ's tools see of our worker."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Queue, Retry
from rq.job import Job
from rq.results import Result
from rq.serializers import JSONSerializer

from tests.acceptance.worker_node.conftest import Client, MakeWorker
from tests.acceptance.worker_node.job_functions import Greeter
from tests.acceptance.worker_node.slot_harness import JOBS
from tests.integration.jobqueue.queue_helpers import nearly
from tests.waiting import until


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    connection = redis.Redis.from_url(redis_url)
    yield connection
    connection.close()


def _ended(job: Job) -> Job:
    until(lambda: job.get_status().value in ("finished", "failed", "stopped"), wanted="the job's end")
    job.refresh()
    return job


def test_a_job_of_an_rq_client_runs_and_shows_in_rq(redis_url: str, connection: Any, start_worker: MakeWorker) -> None:
    start_worker(redis_url)
    queue = Queue(connection=connection, serializer=JSONSerializer)
    job = _ended(queue.enqueue(f"{JOBS}.coroutine", 42, result_ttl=77))
    assert (job.return_value(), job.get_status().value) == (42, "finished")
    assert connection.ttl(job.key) in nearly(77)
    failed = _ended(queue.enqueue(f"{JOBS}.fail", "the message"))
    latest = failed.latest_result()
    assert latest is not None
    assert latest.type is Result.Type.FAILED
    assert (latest.exc_string or "").endswith("ValueError: the message")
    placeholder = _ended(queue.enqueue(f"{JOBS}.unserialisable"))
    assert placeholder.return_value() == "Unserializable return value"


def test_a_returned_retry_runs_the_job_again_by_rqs_rule(
    redis_url: str, connection: Any, start_worker: MakeWorker
) -> None:
    start_worker(redis_url)
    job = _ended(Queue(connection=connection, serializer=JSONSerializer).enqueue(f"{JOBS}.retry_without_pause"))
    assert [result.type for result in job.results()] == [
        Result.Type.MAX_RETRIES_EXCEEDED,
        Result.Type.RETRIED,
        Result.Type.RETRIED,
    ]


def test_retries_of_a_plain_rq_job_are_honoured(redis_url: str, connection: Any, start_worker: MakeWorker) -> None:
    start_worker(redis_url)
    queue = Queue(connection=connection, serializer=JSONSerializer)
    job = _ended(queue.enqueue(f"{JOBS}.fail", "x", retry=Retry(max=2)))
    assert len(job.results()) >= 1
    assert connection.hget(job.key, "wm_attempts") == b"3"


def test_pickled_jobs_run_only_where_they_are_allowed(
    redis_url: str, connection: Any, start_worker: MakeWorker
) -> None:
    worker = start_worker(redis_url)
    queue = Queue(connection=connection)
    refused = _ended(queue.enqueue(f"{JOBS}.coroutine", 1))
    assert refused.get_status().value == "failed"
    assert "WORKMANAGER_ALLOW_PICKLE" in (refused.latest_result().exc_string or "")  # type: ignore[union-attr]
    assert worker.terminate() == 0
    start_worker(redis_url, ALLOW_PICKLE="true")
    allowed = _ended(queue.enqueue(f"{JOBS}.coroutine", 42))
    assert allowed.return_value() == 42
    assert _ended(queue.enqueue(Greeter("hello").greet, "you")).return_value() == "hello you"
    assert _ended(queue.enqueue(Greeter("hello"), "there")).return_value() == "hello there"


def test_a_function_that_is_not_registered_is_rejected_by_name(
    redis_url: str, connection: Any, start_worker: MakeWorker
) -> None:
    start_worker(redis_url)
    queue = Queue(connection=connection, serializer=JSONSerializer)
    refused = _ended(queue.enqueue("os.getcwd"))
    assert "'os.getcwd' is not registered" in (refused.latest_result().exc_string or "")  # type: ignore[union-attr]


async def test_rq_info_lists_the_worker_and_harms_no_running_job(
    client: Client, start_worker: MakeWorker, tmp_path: Path
) -> None:
    start_worker(client.url, "--name", "ours", LEASE_SECONDS="2")
    gate = tmp_path / "gate"
    job_id = await client.enqueue("progress", str(gate))
    await client.wait_for_status(job_id, "started")
    for _ in range(3):
        shown = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "rq.cli", "info", "--url", client.url],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert "ours" in shown.stdout
        assert (await client.view(job_id)).status == "started"
    gate.touch()
    assert (await client.wait_until_ended(job_id)).status == "finished"


def test_a_built_in_function_runs_under_rqs_own_worker(redis_url: str, connection: Any) -> None:
    queue = Queue(connection=connection, serializer=JSONSerializer)
    job = queue.enqueue("worker_node.functions.sha512", kwargs={"data": "YWJj", "iterations": 1})
    subprocess.run(
        [sys.executable, "-m", "rq.cli", "worker", "--burst", "--url", redis_url, "--serializer", "json"],
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert str(job.return_value(refresh=True)).startswith("ddaf35a193617aba")
