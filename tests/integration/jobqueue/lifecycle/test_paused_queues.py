"""Paused queues: workers of every kind skip them, others go on, and a resume wakes idle workers at once."""

import asyncio

import pytest

from jobqueue import keys
from jobqueue.inspection.counters import read_counts
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.maintenance.rq_wakeups import wake_workers
from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.shard import Shard
from jobqueue.workers.messages import WakeUp, wait_for_message
from jobqueue.workers.queue_service import pause_queue, resume_queue
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    new_job,
    queued_ids,
    shard_keys,
)

NAMED = ("reports", "other")
BOTH_KINDS = pytest.mark.parametrize("queues", [ALL_QUEUES, NAMED])


@BOTH_KINDS
async def test_claims_skip_a_paused_queue_and_take_from_others(shard: Shard, queues: tuple[str, ...]) -> None:
    await enqueue_jobs(shard, "a", "b", queue="reports")
    await enqueue_jobs(shard, "c", queue="other")
    await pause_queue(shard, "reports", now=NOW)
    assert [job.id for job in await claim_jobs(shard, 10, *queues)] == ["c"]
    assert await claim_jobs(shard, 10, *queues) == []
    assert await queued_ids(shard, "reports") == ["a", "b"]
    await resume_queue(shard, "reports")
    assert [job.id for job in await claim_jobs(shard, 10, *queues)] == ["a", "b"]
    assert "wm:paused" not in await shard_keys(shard)


@BOTH_KINDS
async def test_jobs_that_come_to_a_paused_queue_wait(shard: Shard, queues: tuple[str, ...]) -> None:
    await enqueue_jobs(shard, "running", queue="reports", retries=1)
    (running,) = await claim_jobs(shard, 1, *queues)
    await pause_queue(shard, "reports", now=NOW)
    await enqueue_jobs(shard, "new", queue="reports")
    await enqueue_jobs(shard, "due", queue="reports", due_at=NOW - 1)
    await enqueue_due(shard, "reports", "owner", now=NOW)
    # A job that runs goes on, and its retry waits.
    await finish(shard, "w1", [failed_outcome(running)], now=NOW)
    assert set(await queued_ids(shard, "reports")) == {"new", "due", "running"}
    assert await claim_jobs(shard, 10, *queues) == []
    await resume_queue(shard, "reports")
    assert {job.id for job in await claim_jobs(shard, 10, *queues)} == {"new", "due", "running"}


@BOTH_KINDS
async def test_a_resume_wakes_idle_workers_at_once(shard: Shard, queues: tuple[str, ...]) -> None:
    await enqueue_jobs(shard, "a", queue="reports")
    await pause_queue(shard, "reports", now=NOW)
    assert await claim_jobs(shard, 1, *queues) == []
    await shard.execute(("DEL", keys.wake(shard.prefix, "*"), keys.wake(shard.prefix, "reports")))
    waiter = asyncio.create_task(wait_for_message(shard, "w1", queues, for_work=True, seconds=120.0))
    await asyncio.sleep(0.1)
    await resume_queue(shard, "reports")
    assert isinstance(await asyncio.wait_for(waiter, 30.0), WakeUp)


async def test_jobs_that_come_to_a_paused_queue_wake_nobody(shard: Shard) -> None:
    await enqueue_jobs(shard, "running", queue="reports", retries=1)
    (running,) = await claim_jobs(shard, 1, "reports")
    await pause_queue(shard, "reports", now=NOW)
    await enqueue_jobs(shard, "first", queue="reports")
    await enqueue_jobs(shard, "second", queue="reports")
    await enqueue_jobs(shard, "due", queue="reports", due_at=NOW - 1)
    await enqueue_due(shard, "reports", "owner", now=NOW)
    await finish(shard, "w1", [failed_outcome(running)], now=NOW)
    assert [name for name in await shard_keys(shard) if name.startswith("wm:wake:")] == []
    # Those of another queue do, in the same call too.
    await enqueue(shard, [new_job("third", queue="reports"), new_job("fourth", queue="other")], now=NOW)
    assert {name for name in await shard_keys(shard) if name.startswith("wm:wake:")} == {"wm:wake:other", "wm:wake:*"}


async def test_managers_wake_nobody_for_a_paused_queue(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", queue="reports")
    await enqueue_jobs(shard, "b", queue="other")
    await pause_queue(shard, "reports", now=NOW)
    assert await wake_workers(shard, ["reports", "other", "empty"]) == ["other"]
    await resume_queue(shard, "reports")
    assert await wake_workers(shard, ["reports", "other", "empty"]) == ["reports", "other"]


async def test_a_second_pause_keeps_the_time_of_the_first(shard: Shard) -> None:
    await pause_queue(shard, "reports", now=NOW)
    first = (await read_counts(shard)).paused
    await pause_queue(shard, "reports", now=NOW + 60)
    assert (await read_counts(shard)).paused == first
    assert set(first) == {"reports"}
