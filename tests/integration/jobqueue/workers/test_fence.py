"""Workers fenced off from the queue, and workers held before that, unless a job waits for them."""

import pytest

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from jobqueue.workers.fence import HOLD_SECONDS, fence_worker, hold_workers, release_workers
from jobqueue.workers.messages import WorkerCommand, wait_for_message
from jobqueue.workers.queue_service import pause_queue
from jobqueue.workers.registry import register, send_worker_heartbeat
from tests.integration.jobqueue.queue_helpers import (
    claim_jobs,
    enqueue_jobs,
    key_ttl,
    worker_heartbeat,
    worker_record,
)

RECORD = worker_record("w1")
TOKEN = "token"


async def test_a_fenced_worker_claims_no_more_jobs_and_is_told_to_drain(shard: Shard) -> None:
    await register(shard, RECORD)
    await enqueue_jobs(shard, "a", "b")
    (before,) = await claim_jobs(shard, token="t")
    await fence_worker(shard, "w1")
    assert await claim_jobs(shard) == []
    assert await claim_jobs(shard, token="t") == [before], "a repeated claim whose reply was lost is no new work"
    assert await wait_for_message(shard, "w1", (), for_work=False, seconds=1) == WorkerCommand("drain")
    assert [job.id for job in await claim_jobs(shard, worker="w2")] == ["b"]
    await send_worker_heartbeat(shard, "w1", worker_heartbeat("idle"))
    assert await claim_jobs(shard) == []


async def test_a_held_worker_claims_no_job_until_it_is_released(shard: Shard) -> None:
    await register(shard, RECORD)
    assert await hold_workers(shard, ["w1", "w2"], TOKEN) == {"w1", "w2"}
    assert 0 < await key_ttl(shard, "wm:closed:w1") <= HOLD_SECONDS
    await enqueue_jobs(shard, "a")
    assert await claim_jobs(shard) == []
    await release_workers(shard, ["w1"], "another token")
    assert await claim_jobs(shard) == []
    await release_workers(shard, ["w1"], TOKEN)
    assert [job.id for job in await claim_jobs(shard)] == ["a"]


async def test_a_worker_is_not_held_while_a_job_waits_that_it_could_run(shard: Shard) -> None:
    await register(shard, worker_record("all", queues=("*",)))
    await register(shard, worker_record("high", queues=("high",)))
    workers = ["all", "high", "unlisted"]
    await enqueue_jobs(shard, "a", queue="low")
    assert await hold_workers(shard, workers, TOKEN) == {"high"}
    await enqueue_jobs(shard, "b", queue="high")
    await release_workers(shard, ["high"], TOKEN)
    assert await hold_workers(shard, workers, TOKEN) == set()
    assert [job.id for job in await claim_jobs(shard, 1, "high", worker="high")] == ["b"]


async def test_jobs_that_nobody_could_run_now_keep_no_worker_from_being_held(shard: Shard) -> None:
    """Their queue is paused, or all workers are suspended."""
    await register(shard, RECORD)
    await enqueue_jobs(shard, "a")
    await pause_queue(shard, "default")
    assert await hold_workers(shard, ["w1"], TOKEN) == {"w1"}
    await release_workers(shard, ["w1"], TOKEN)
    await enqueue_jobs(shard, "b", queue="other")
    await register(shard, worker_record("w1", queues=("*",)))
    assert await hold_workers(shard, ["w1"], TOKEN) == set()
    await shard.execute(("SET", keys.suspended(shard.prefix), "1"))
    assert await hold_workers(shard, ["w1"], TOKEN) == {"w1"}


async def test_a_hold_yields_to_a_fence_and_to_another_managers_hold(shard: Shard) -> None:
    await register(shard, RECORD)
    assert await hold_workers(shard, ["w1"], TOKEN) == {"w1"}
    assert await hold_workers(shard, ["w1"], TOKEN) == {"w1"}, "a repeat whose first answer was lost"
    assert await hold_workers(shard, ["w1"], "another token") == set()
    await fence_worker(shard, "w1")
    await release_workers(shard, ["w1"], TOKEN)
    await enqueue_jobs(shard, "a")
    assert await hold_workers(shard, ["w1"], TOKEN) == {"w1"}
    assert await claim_jobs(shard) == []


@pytest.mark.parametrize(
    "damage", [("SET", "text"), ("SADD", "member"), ("HSET", "field", "value")], ids=lambda d: d[0]
)
async def test_what_is_no_queue_keeps_no_worker_from_being_held(shard: Shard, damage: tuple[str, ...]) -> None:
    command, *content = damage
    await register(shard, RECORD)
    await enqueue_jobs(shard, "a", queue="broken")
    await shard.execute(
        ("DEL", keys.queue(shard.prefix, "broken")),
        (command, keys.queue(shard.prefix, "broken"), *content),
        ("SADD", keys.queues(shard.prefix), "no queue"),
    )
    assert await hold_workers(shard, ["w1"], TOKEN) == {"w1"}
