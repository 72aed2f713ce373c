"""How a feeder shares the slots' room, and a shard's wake tokens, with others."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from jobqueue.enqueue import enqueue
from jobqueue.model import ClaimedJob, NewJob
from jobqueue.shards import Shard, Shards
from jobqueue.workers import Woken, wait
from tests.waiting import until_async
from worker_node.capacity import Capacity
from worker_node.feeder import Feeder


@pytest.mark.parametrize("room_left", [0, 1])
async def test_a_token_that_finds_no_room_wakes_another_worker(redis_url: str, room_left: int) -> None:
    shards = await Shards.connect(redis_url)
    shard = shards.all[0]
    room = 1
    feeder = Feeder(
        shard,
        "filled",
        ["default"],
        lease_seconds=20.0,
        capacity=Capacity(lambda: room, 1),
        hand_over=lambda jobs: None,
        on_command=lambda command: None,
        listen_seconds=30.0,
    )
    feeding = asyncio.create_task(feeder.run())
    # It has found nothing, and listens.
    await until_async(lambda: _blocked_clients(shard, 1))
    room = room_left
    other = asyncio.create_task(wait(shard, "other", ["default"], for_work=True, seconds=1.0 if room_left else 30.0))
    await until_async(lambda: _blocked_clients(shard, 2))
    await enqueue(shard, [NewJob(id=shards.new_id(), function="noop", data=b"[]")])
    assert await other == (None if room_left else Woken("default"))
    feeding.cancel()
    with suppress(asyncio.CancelledError):
        await feeding
    await shards.close()


async def test_room_that_claimed_jobs_take_is_not_given_to_another_shard(redis_url: str) -> None:
    shards = await Shards.connect(redis_url)
    shard = shards.all[0]
    room = 4
    capacity = Capacity(lambda: room, 4)

    def hand_over(jobs: Sequence[ClaimedJob]) -> None:
        nonlocal room
        room -= len(jobs)

    await enqueue(shard, [NewJob(id=shards.new_id(), function="noop", data=b"[]") for _ in range(4)])
    feeder = Feeder(
        shard,
        "first",
        ["default"],
        lease_seconds=20.0,
        capacity=capacity,
        hand_over=hand_over,
        on_command=lambda command: None,
    )
    feeding = asyncio.create_task(feeder.run())
    other = asyncio.create_task(capacity.reserve())
    await until_async(lambda: _is(room == 0), wanted="four jobs handed over")
    await _turn()
    assert not other.done()
    for task in (feeding, other):
        task.cancel()
    await asyncio.gather(feeding, other, return_exceptions=True)
    await shards.close()


async def _is(condition: bool) -> bool:
    return condition


async def _turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def _blocked_clients(shard: Shard, number: int) -> bool:
    (info,) = await shard.execute(("INFO", "clients"))
    return f"blocked_clients:{number}".encode() in info
