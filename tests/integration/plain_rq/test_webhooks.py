"""Webhooks of plain RQ clients: managers send what RQ would, and repeat it until it is taken."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
import pytest
from redis import Redis
from rq import Queue, Repeat, Retry
from rq.job import Job
from rq.webhook import Webhook

from jobqueue.callbacks.outbox import claim_callbacks
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.control import cancel
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.callbacks.sender import CallbackSender
from outgoing.guard import Guard
from tests.acceptance.manager.callback_receiver import Received, Receiver, Reply
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    failed_outcome,
    retried_outcome,
    stopped_outcome,
    success_outcome,
)
from tests.integration.plain_rq import job_functions
from tests.waiting import until_async


@pytest.fixture
def shard(shards: Shards) -> Shard:
    return shards.all[0]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture
async def sender(shards: Shards) -> AsyncIterator[CallbackSender]:
    guard = Guard.from_setting("WORKMANAGER_CALLBACK_ALLOW", "127.0.0.1")
    started = CallbackSender(shards, guard, [b"k" * 24], retry_intervals=[0.1, 0.1], timeout_seconds=5)
    started.start()
    yield started
    await started.stop()


async def end_next(shard: Shard, outcome: Any) -> None:
    (job,) = await claim(shard, "w1", ["default"], 1)
    await finish(shard, "w1", [outcome(job)])


async def received(receiver: Receiver, count: int) -> list[Received]:
    await until_async(lambda: asyncio.to_thread(lambda: len(receiver.requests) >= count))
    return receiver.requests[:count]


async def waiting(shard: Shard) -> list[str]:
    return [entry.event for entry in await claim_callbacks(shard, "token", 100, 100)]


def comparable(request: Received) -> tuple[Any, ...]:
    """Return what a receiver gets, without what the libraries differ in and what we add."""
    added = ("webhook-id", "webhook-timestamp", "webhook-signature")
    by_library = ("user-agent", "accept-encoding", "accept", "connection", "host", "content-length")
    headers = {name: value for name, value in request.headers.items() if name not in (*added, *by_library)}
    return request.method, request.path, headers, orjson.loads(request.body) if request.body else None


@pytest.mark.parametrize("serializer", ["json", "pickle"])
@pytest.mark.parametrize("status", ["finished", "failed"])
async def test_a_webhook_is_what_rq_sends(
    shard: Shard, connection: Redis, sender: CallbackSender, receiver: Receiver, status: Any, serializer: str
) -> None:
    queue = Queue(connection=connection, serializer=serializer)
    webhooks = [
        Webhook(f"{receiver.url}?a=1", status),
        Webhook(receiver.url, status, method="POST", headers={"X-Token": "secret", "content-type": "text/plain"}),
        Webhook(receiver.url, status, method="POST", timeout=3),
        Webhook(receiver.url, "failed" if status == "finished" else "finished", method="POST"),
    ]
    job = queue.enqueue(job_functions.add, 1, 1, webhooks=webhooks)
    await end_next(shard, success_outcome if status == "finished" else failed_outcome)
    ours = await received(receiver, 3)
    assert {request.headers["webhook-id"].rpartition("_")[2] for request in ours} == {status}
    assert len({request.headers["webhook-id"] for request in ours}) == 3
    receiver.requests.clear()
    fetched = Job.fetch(job.id, connection=connection, serializer=serializer)
    trace = fetched.latest_result().exc_string if status == "failed" else None
    await asyncio.to_thread(fetched.send_webhooks, status, exc_string=trace)
    assert sorted(map(comparable, ours), key=str) == sorted(map(comparable, await received(receiver, 3)), key=str)


async def test_a_webhook_is_sent_again_until_it_is_taken_and_follows_no_redirect(
    shard: Shard, queue: Queue, sender: CallbackSender, receiver: Receiver
) -> None:
    replies = iter([Reply(503), Reply(302, {"Location": "/elsewhere"}), Reply(200)])
    receiver.answer = lambda _: next(replies)
    queue.enqueue(job_functions.add, 1, 1, webhooks=[Webhook(receiver.url, "finished")])
    await end_next(shard, success_outcome)
    requests = await received(receiver, 3)
    assert {(request.method, request.path) for request in requests} == {("GET", "/in")}
    assert len({request.id for request in requests}) == 1


async def test_webhooks_tell_of_each_success_and_of_the_last_failure_alone(shard: Shard, queue: Queue) -> None:
    both = [Webhook("http://127.0.0.1:9/", "finished"), Webhook("http://127.0.0.1:9/", "failed")]
    queue.enqueue(job_functions.add, 1, 1, webhooks=both, repeat=Repeat(1))
    await end_next(shard, success_outcome)
    await end_next(shard, success_outcome)
    assert await waiting(shard) == ["finished", "finished"]
    queue.enqueue(job_functions.add, 1, 1, webhooks=both, retry=Retry(1))
    await end_next(shard, failed_outcome)
    assert await waiting(shard) == []
    await end_next(shard, failed_outcome)
    assert await waiting(shard) == ["failed"]
    queue.enqueue(job_functions.add, 1, 1, webhooks=both)
    await end_next(shard, lambda job: retried_outcome(job, 0))
    assert await waiting(shard) == ["failed"]
    queue.enqueue(job_functions.add, 1, 1, webhooks=both)
    await end_next(shard, stopped_outcome)
    await cancel(shard, [queue.enqueue(job_functions.add, 1, 1, webhooks=both).id])
    assert await waiting(shard) == []
    queue.enqueue(job_functions.add, 1, 1, webhooks=both)
    await claim(shard, "w1", ["default"], 1, now=NOW)
    await reap(shard, now=NOW)
    await reap(shard, max_losses=1, now=LEASE_EXPIRED)
    assert await waiting(shard) == ["failed"]


async def test_webhooks_that_cannot_be_read_cost_the_job_nothing(shard: Shard, queue: Queue, connection: Redis) -> None:
    for number, text in enumerate(
        ("{", "3", '["x"]', '[{"url": 3}]', '[{"url": "ftp://x", "job_status": "finished"}]')
    ):
        job = queue.enqueue(job_functions.add, 1, 1, job_id=f"job-{number}")
        connection.hset(job.key, "webhooks", text)
        await end_next(shard, success_outcome)
        assert job.get_status() == "finished"
    assert await waiting(shard) == []
