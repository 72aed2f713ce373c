"""Capacity is shared among the shards: one has priority for a moment, then the one that has waited longest."""

import asyncio

from worker_node.shard_loops.capacity import RESERVATION_TIMEOUT_SECONDS, SHARD_AFFINITY_SECONDS, Capacity


class FreeSlots:
    """A number of wanted jobs that a test sets."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def __call__(self) -> int:
        return self.jobs


async def _run_pending_callbacks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_capacity_is_reserved_once_and_free_again_after_the_claim() -> None:
    capacity = Capacity(FreeSlots(14), max_batch=7)
    first, second = await capacity.reserve(0), await capacity.reserve(1)
    assert (first.jobs, second.jobs) == (7, 7)
    third = asyncio.create_task(capacity.reserve(2))
    await _run_pending_callbacks()
    assert not third.done()
    capacity.release(second)
    capacity.release(second)
    assert (await third).jobs == 7


async def test_little_capacity_beside_a_claim_is_held_back_for_a_larger_claim() -> None:
    free = FreeSlots(100)
    capacity = Capacity(free, max_batch=100)
    first = await capacity.reserve(0)
    free.jobs = 128
    second = asyncio.create_task(capacity.reserve(1))
    capacity.notify()
    await _run_pending_callbacks()
    assert not second.done()
    capacity.release(first)
    assert (await second).jobs == 100


async def test_the_shard_that_has_waited_longest_comes_first() -> None:
    free = FreeSlots(0)
    capacity = Capacity(free, max_batch=8)
    waiting = [asyncio.create_task(capacity.reserve(index)) for index in range(3)]
    await _run_pending_callbacks()
    free.jobs = 1
    for expected in range(3):
        capacity.notify()
        await _run_pending_callbacks()
        assert [task.done() for task in waiting] == [place <= expected for place in range(3)]
        capacity.release(waiting[expected].result())


async def test_one_shard_has_priority_for_a_moment_then_the_longest_waiting_one() -> None:
    now = 1000.0
    capacity = Capacity(FreeSlots(1), max_batch=8, clock=lambda: now)
    first = await capacity.reserve(0)
    other = asyncio.create_task(capacity.reserve(1))
    await _run_pending_callbacks()
    again = asyncio.create_task(capacity.reserve(0))
    await _run_pending_callbacks()
    now += 0.9 * SHARD_AFFINITY_SECONDS
    capacity.release(first)
    second = await again
    assert not other.done()
    again = asyncio.create_task(capacity.reserve(0))
    await _run_pending_callbacks()
    now += 0.2 * SHARD_AFFINITY_SECONDS
    capacity.release(second)
    await _run_pending_callbacks()
    assert other.done()
    assert not again.done()
    again.cancel()


async def test_a_cancelled_reservation_leaves_its_capacity_to_others() -> None:
    free = FreeSlots(0)
    capacity = Capacity(free, max_batch=8)
    gone, granted, patient = (asyncio.create_task(capacity.reserve(index)) for index in range(3))
    await _run_pending_callbacks()
    gone.cancel()
    free.jobs = 1
    capacity.notify()
    # This one gets its reservation and is cancelled before it can take it.
    granted.cancel()
    assert (await asyncio.wait_for(patient, RESERVATION_TIMEOUT_SECONDS / 2)).jobs == 1


async def test_a_hanging_claim_does_not_block_other_shards() -> None:
    capacity = Capacity(FreeSlots(4), max_batch=8)
    hanging = await capacity.reserve(0)
    other = await asyncio.wait_for(capacity.reserve(1), 100 * RESERVATION_TIMEOUT_SECONDS)
    assert other.jobs == 4
    # The end of the first claim frees nothing: its capacity belongs to the other one now.
    capacity.release(hanging)
    assert not capacity.has_unreserved
