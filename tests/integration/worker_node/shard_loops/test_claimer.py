"""How a feeder shares the slots' room, and a shard's wake tokens, with others."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress

import pytest

from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.model import ClaimedJob, NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.messages import WakeUp, wait_for_message
from tests.waiting import until_async
from worker_node.shard_loops.capacity import Capacity
from worker_node.shard_loops.claimer import Claimer


@pytest.mark.parametrize("room_left", [0, 1])
async def test_a_wake_up_without_free_capacity_is_passed_to_another_worker(redis_url: str, room_left: int) -> None:
    shards = await Shards.connect(redis_url)
    shard = shards.all[0]
    room = 1
    feeder = Claimer(
        shard,
        "filled",
        ["default"],
        lease_seconds=20.0,
        capacity=Capacity(lambda: room, 1),
        on_claimed=lambda jobs: None,
        on_command=lambda command: None,
        poll_seconds=30.0,
    )
    feeding = asyncio.create_task(feeder.run())
    # It has found nothing, and listens.
    await until_async(lambda: _blocked_clients(shard, 1))
    room = room_left
    other = asyncio.create_task(
        wait_for_message(shard, "other", ["default"], for_work=True, seconds=5.0 if room_left else 90.0)
    )
    await until_async(lambda: _blocked_clients(shard, 2))
    await enqueue(shard, [NewJob(id=shards.new_id(), function="noop", data=b"[]")])
    assert await other == (None if room_left else WakeUp("default"))
    feeding.cancel()
    with suppress(asyncio.CancelledError):
        await feeding
    await shards.close()


async def test_capacity_taken_by_claimed_jobs_is_not_given_to_another_shard(redis_url: str) -> None:
    shards = await Shards.connect(redis_url)
    shard = shards.all[0]
    room = 4
    capacity = Capacity(lambda: room, 4)

    def hand_over(jobs: Sequence[ClaimedJob]) -> None:
        nonlocal room
        room -= len(jobs)

    await enqueue(shard, [NewJob(id=shards.new_id(), function="noop", data=b"[]") for _ in range(4)])
    feeder = Claimer(
        shard,
        "first",
        ["default"],
        lease_seconds=20.0,
        capacity=capacity,
        on_claimed=hand_over,
        on_command=lambda command: None,
    )
    feeding = asyncio.create_task(feeder.run())
    other = asyncio.create_task(capacity.reserve(shard.index + 1))
    await until_async(lambda: _is(room == 0), wanted="four jobs handed over")
    await _turn()
    assert not other.done()
    for task in (feeding, other):
        task.cancel()
    await asyncio.gather(feeding, other, return_exceptions=True)
    await shards.close()


async def test_an_idle_claimer_polls_its_queues_and_finds_a_job_without_a_wake_up(
    redis_url: str,
) -> None:
    shards = await Shards.connect(redis_url)
    shard = shards.all[0]
    claimed: list[ClaimedJob] = []
    feeder = Claimer(
        shard,
        "idle",
        ["high", "default"],
        lease_seconds=20.0,
        capacity=Capacity(lambda: 1, 1),
        on_claimed=claimed.extend,
        on_command=lambda command: None,
        poll_seconds=0.1,
    )
    feeding = asyncio.create_task(feeder.run())
    await until_async(lambda: _is(feeder.empty_claims >= 2), wanted="an idle feeder")
    calls, looks = await _script_calls(shard), feeder.empty_claims
    await until_async(lambda: _is(feeder.empty_claims >= looks + 3), wanted="looks at the queues")
    assert await _script_calls(shard) == calls
    # As a stock client does it, without a token.
    await shard.execute(
        ("HSET", f"{shard.prefix}:job:a", "status", "queued", "data", "[]", "origin", "default"),
        ("RPUSH", f"{shard.prefix}:queue:default", "a"),
    )
    await until_async(lambda: _is(bool(claimed)), wanted="the job")
    feeding.cancel()
    with suppress(asyncio.CancelledError):
        await feeding
    await shards.close()


async def _script_calls(shard: Shard) -> str | None:
    (info,) = await shard.execute(("INFO", "commandstats"))
    found = re.search(r"cmdstat_evalsha:calls=(\d+)", info.decode())
    return found[1] if found else None


async def _is(condition: bool) -> bool:
    return condition


async def _turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def _blocked_clients(shard: Shard, number: int) -> bool:
    (info,) = await shard.execute(("INFO", "clients"))
    return f"blocked_clients:{number}".encode() in info
