"""Room is shared among the shards: for a moment one's claims come first, then whoever has waited longest."""

from __future__ import annotations

import asyncio

from worker_node.shard_loops.capacity import LAPSE_SECONDS, STAY_SECONDS, Capacity


class _Room:
    """A number of free places that a test sets."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def __call__(self) -> int:
        return self.jobs


async def _turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_room_is_reserved_once_and_comes_back_when_the_claim_is_over() -> None:
    capacity = Capacity(_Room(14), max_batch=7)
    first, second = await capacity.reserve(0), await capacity.reserve(1)
    assert (first.jobs, second.jobs) == (7, 7)
    third = asyncio.create_task(capacity.reserve(2))
    await _turn()
    assert not third.done()
    capacity.settle(second)
    capacity.settle(second)
    assert (await third).jobs == 7


async def test_a_small_rest_beside_a_claim_waits_so_that_claims_stay_large() -> None:
    room = _Room(100)
    capacity = Capacity(room, max_batch=100)
    first = await capacity.reserve(0)
    room.jobs = 128
    second = asyncio.create_task(capacity.reserve(1))
    capacity.changed()
    await _turn()
    assert not second.done()
    capacity.settle(first)
    assert (await second).jobs == 100


async def test_whoever_has_waited_longest_comes_first() -> None:
    room = _Room(0)
    capacity = Capacity(room, max_batch=8)
    waiting = [asyncio.create_task(capacity.reserve(index)) for index in range(3)]
    await _turn()
    room.jobs = 1
    for expected in range(3):
        capacity.changed()
        await _turn()
        assert [task.done() for task in waiting] == [place <= expected for place in range(3)]
        capacity.settle(waiting[expected].result())


async def test_one_shards_claims_come_first_for_a_moment_and_then_those_that_have_waited_longest() -> None:
    """Its master is at work then; but no shard's jobs wait behind another's backlog for long."""
    now = 1000.0
    capacity = Capacity(_Room(1), max_batch=8, clock=lambda: now)
    first = await capacity.reserve(0)
    other = asyncio.create_task(capacity.reserve(1))
    await _turn()
    again = asyncio.create_task(capacity.reserve(0))
    await _turn()
    now += 0.9 * STAY_SECONDS
    capacity.settle(first)
    second = await again
    assert not other.done()
    again = asyncio.create_task(capacity.reserve(0))
    await _turn()
    now += 0.2 * STAY_SECONDS
    capacity.settle(second)
    await _turn()
    assert other.done()
    assert not again.done()
    again.cancel()


async def test_who_gives_up_waiting_leaves_the_room_to_others() -> None:
    room = _Room(0)
    capacity = Capacity(room, max_batch=8)
    gone, granted, patient = (asyncio.create_task(capacity.reserve(index)) for index in range(3))
    await _turn()
    gone.cancel()
    room.jobs = 1
    capacity.changed()
    # This one is told of its room and cancelled before it can take it.
    granted.cancel()
    assert (await asyncio.wait_for(patient, LAPSE_SECONDS / 2)).jobs == 1


async def test_a_claim_that_hangs_does_not_keep_the_others_waiting() -> None:
    capacity = Capacity(_Room(4), max_batch=8)
    hanging = await capacity.reserve(0)
    other = await asyncio.wait_for(capacity.reserve(1), 100 * LAPSE_SECONDS)
    assert other.jobs == 4
    # That the first one is over frees nothing any more: its room is the other's.
    capacity.settle(hanging)
    assert not capacity.has_room
