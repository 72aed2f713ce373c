"""How a claim loop shares capacity with other shards, and wake-ups with other workers."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress

import pytest

from jobqueue import keys
from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.model import NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.messages import WakeUp, wait_for_message
from tests.waiting import until_async
from worker_node.shard_loops.capacity import Capacity
from worker_node.shard_loops.claimer import Claimer


@pytest.mark.parametrize("free_slots", [0, 1])
async def test_a_wake_up_without_free_capacity_is_passed_to_another_worker(redis_url: str, free_slots: int) -> None:
    shards = await Shards.connect(redis_url)
    shard = shards.all[0]
    jobs_wanted = 1
    claimer = Claimer(
        shard,
        "filled",
        ["default"],
        lease_seconds=20.0,
        capacity=Capacity(lambda: jobs_wanted, 1),
        on_claimed=lambda jobs: None,
        on_command=lambda command: None,
        poll_seconds=30.0,
    )
    claiming = asyncio.create_task(claimer.run())
    # The claimer has found nothing and waits for a wake-up.
    await until_async(lambda: _blocked_clients(shard, 1))
    jobs_wanted = free_slots
    other = asyncio.create_task(
        wait_for_message(shard, "other", ["default"], for_work=True, seconds=5.0 if free_slots else 90.0)
    )
    await until_async(lambda: _blocked_clients(shard, 2))
    await enqueue(shard, [NewJob(id=shards.new_id(), function="noop", data=b"[]")])
    assert await other == (None if free_slots else WakeUp("default"))
    claiming.cancel()
    with suppress(asyncio.CancelledError):
        await claiming
    await shards.close()


async def test_capacity_taken_by_claimed_jobs_is_not_given_to_another_shard(redis_url: str) -> None:
    shards = await Shards.connect(redis_url)
    shard = shards.all[0]
    jobs_wanted = 4
    capacity = Capacity(lambda: jobs_wanted, 4)

    def assign(jobs: Sequence[ClaimedJob]) -> None:
        nonlocal jobs_wanted
        jobs_wanted -= len(jobs)

    await enqueue(shard, [NewJob(id=shards.new_id(), function="noop", data=b"[]") for _ in range(4)])
    claimer = Claimer(
        shard,
        "first",
        ["default"],
        lease_seconds=20.0,
        capacity=capacity,
        on_claimed=assign,
        on_command=lambda command: None,
    )
    claiming = asyncio.create_task(claimer.run())
    other = asyncio.create_task(capacity.reserve(shard.index + 1))
    await until_async(lambda: _is(jobs_wanted == 0), wanted="four assigned jobs")
    await _run_pending_callbacks()
    assert not other.done()
    for task in (claiming, other):
        task.cancel()
    await asyncio.gather(claiming, other, return_exceptions=True)
    await shards.close()


async def test_an_idle_claimer_polls_its_queues_and_finds_a_job_without_a_wake_up(redis_url: str) -> None:
    shards = await Shards.connect(redis_url)
    shard = shards.all[0]
    claimed: list[ClaimedJob] = []
    claimer = Claimer(
        shard,
        "idle",
        ["high", "default"],
        lease_seconds=20.0,
        capacity=Capacity(lambda: 1, 1),
        on_claimed=claimed.extend,
        on_command=lambda command: None,
        poll_seconds=0.1,
    )
    claiming = asyncio.create_task(claimer.run())
    await until_async(lambda: _is(claimer.empty_claims >= 2), wanted="an idle claimer")
    calls, polls = await _script_calls(shard), claimer.empty_claims
    await until_async(lambda: _is(claimer.empty_claims >= polls + 3), wanted="three polls")
    assert await _script_calls(shard) == calls
    # An RQ client enqueues like this, without a wake-up.
    await shard.execute(
        ("HSET", keys.job(shard.prefix, "a"), "status", "queued", "data", "[]", "origin", "default"),
        ("RPUSH", keys.queue(shard.prefix, "default"), "a"),
    )
    await until_async(lambda: _is(bool(claimed)), wanted="the job")
    claiming.cancel()
    with suppress(asyncio.CancelledError):
        await claiming
    await shards.close()


async def _script_calls(shard: Shard) -> str | None:
    (info,) = await shard.execute(("INFO", "commandstats"))
    found = re.search(r"cmdstat_evalsha:calls=(\d+)", info.decode())
    return found[1] if found else None


async def _is(condition: bool) -> bool:
    return condition


async def _run_pending_callbacks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def _blocked_clients(shard: Shard, number: int) -> bool:
    (info,) = await shard.execute(("INFO", "clients"))
    return f"blocked_clients:{number}".encode() in info
