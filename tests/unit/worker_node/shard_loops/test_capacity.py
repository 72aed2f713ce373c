"""Room is shared among the shards: for a moment one's claims come first, then whoever has waited longest."""

from __future__ import annotations

import asyncio

from worker_node.shard_loops.capacity import RESERVATION_TIMEOUT_SECONDS, SHARD_AFFINITY_SECONDS, Capacity


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
    capacity.release(second)
    capacity.release(second)
    assert (await third).jobs == 7


async def test_a_small_rest_beside_a_claim_waits_so_that_claims_stay_large() -> None:
    room = _Room(100)
    capacity = Capacity(room, max_batch=100)
    first = await capacity.reserve(0)
    room.jobs = 128
    second = asyncio.create_task(capacity.reserve(1))
    capacity.notify()
    await _turn()
    assert not second.done()
    capacity.release(first)
    assert (await second).jobs == 100


async def test_whoever_has_waited_longest_comes_first() -> None:
    room = _Room(0)
    capacity = Capacity(room, max_batch=8)
    waiting = [asyncio.create_task(capacity.reserve(index)) for index in range(3)]
    await _turn()
    room.jobs = 1
    for expected in range(3):
        capacity.notify()
        await _turn()
        assert [task.done() for task in waiting] == [place <= expected for place in range(3)]
        capacity.release(waiting[expected].result())


async def test_one_shards_claims_come_first_for_a_moment_and_then_those_that_have_waited_longest() -> None:
    """Its master is at work then; but no shard's jobs wait behind another's backlog for long."""
    now = 1000.0
    capacity = Capacity(_Room(1), max_batch=8, clock=lambda: now)
    first = await capacity.reserve(0)
    other = asyncio.create_task(capacity.reserve(1))
    await _turn()
    again = asyncio.create_task(capacity.reserve(0))
    await _turn()
    now += 0.9 * SHARD_AFFINITY_SECONDS
    capacity.release(first)
    second = await again
    assert not other.done()
    again = asyncio.create_task(capacity.reserve(0))
    await _turn()
    now += 0.2 * SHARD_AFFINITY_SECONDS
    capacity.release(second)
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
    capacity.notify()
    # This one is told of its room and cancelled before it can take it.
    granted.cancel()
    assert (await asyncio.wait_for(patient, RESERVATION_TIMEOUT_SECONDS / 2)).jobs == 1


async def test_a_claim_that_hangs_does_not_keep_the_others_waiting() -> None:
    capacity = Capacity(_Room(4), max_batch=8)
    hanging = await capacity.reserve(0)
    other = await asyncio.wait_for(capacity.reserve(1), 100 * RESERVATION_TIMEOUT_SECONDS)
    assert other.jobs == 4
    # That the first one is over frees nothing any more: its room is the other's.
    capacity.release(hanging)
    assert not capacity.has_room
