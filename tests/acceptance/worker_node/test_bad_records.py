"""A real worker meets records that other programs have spoiled."""

import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from tests.acceptance.worker_node.conftest import Client, MakeWorker
from tests.acceptance.worker_node.slot_harness import JOBS


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    connection = redis.Redis.from_url(redis_url)
    yield connection
    connection.close()


async def test_a_timeout_in_words_fails_its_job_alone_and_no_job_runs_twice(
    redis_url: str, connection: Any, start_worker: MakeWorker, client: Client
) -> None:
    worker = start_worker(redis_url, "--slots", "2")
    long_job = await client.enqueue("sleep", 3)
    await client.wait_for_status(long_job, "started")
    queue = Queue(connection=connection, serializer=JSONSerializer)
    bad = queue.create_job(f"{JOBS}.noop")
    bad.timeout = "10m"
    bad.save()
    connection.hset(bad.key, mapping={"timeout": "10m", "status": "queued"})
    queue.push_job_id(bad.id)
    good = queue.enqueue(f"{JOBS}.noop")
    assert (await client.wait_until_ended(bad.id)).status == "failed"
    assert (await client.wait_until_ended(good.id)).status == "finished"
    ended = await client.wait_until_ended(long_job)
    assert (ended.status, ended.attempts) == ("finished", 1)
    assert worker.process.poll() is None


async def test_a_record_that_says_ten_minutes_in_words_is_rejected_with_the_reason(
    redis_url: str, connection: Any, start_worker: MakeWorker, client: Client
) -> None:
    queue = Queue(connection=connection, serializer=JSONSerializer)
    bad, good = queue.enqueue(f"{JOBS}.noop"), queue.enqueue(f"{JOBS}.noop")
    connection.hset(bad.key, "timeout", "10m")
    worker = start_worker(redis_url)
    ended = await client.wait_until_ended(bad.id)
    assert ended.error is not None
    assert (ended.status, ended.error.reason) == ("failed", "rejected")
    assert "timeout" in ended.error.message
    assert "10m" in ended.error.message
    assert (await client.wait_until_ended(good.id)).status == "finished"
    assert worker.process.poll() is None


async def test_a_call_that_unpacks_to_gigabytes_is_rejected_in_little_time(
    redis_url: str, connection: Any, start_worker: MakeWorker, client: Client
) -> None:
    queue = Queue(connection=connection, serializer=JSONSerializer)
    bad, good = queue.enqueue(f"{JOBS}.noop"), queue.enqueue(f"{JOBS}.noop")
    stream = zlib.compressobj(9)
    bomb = stream.compress(b'["')
    for _ in range(512):
        bomb += stream.compress(b" " * 1024 * 1024)
    connection.hset(bad.key, "data", bomb + stream.flush())
    start_worker(redis_url)
    started = time.monotonic()
    ended = await client.wait_until_ended(bad.id)
    assert ended.error is not None
    assert ended.error.reason == "rejected"
    assert (await client.wait_until_ended(good.id)).status == "finished"
    assert time.monotonic() - started < 30
