"""Who asks at the same time shares a read; nobody gets what was read before they asked."""

import asyncio

import pytest

from manager.events.shared_read import SharedRead


class Source:
    """Answers with the number of the read, once it is told to."""

    def __init__(self) -> None:
        self.reads = 0
        self.has_begun, self.may_answer = asyncio.Event(), asyncio.Event()

    async def read(self) -> int:
        self.reads += 1
        number = self.reads
        self.has_begun.set()
        await self.may_answer.wait()
        return number


async def test_a_thousand_ask_and_two_are_read() -> None:
    source = Source()
    shared = SharedRead(source.read)
    first = [asyncio.create_task(shared.get()) for _ in range(500)]
    await source.has_begun.wait()
    # These ask while a read is under way: what it has read so far may be too old for them.
    later = [asyncio.create_task(shared.get()) for _ in range(500)]
    await asyncio.sleep(0)
    source.may_answer.set()
    assert set(await asyncio.gather(*first)) == {1}
    assert set(await asyncio.gather(*later)) == {2}
    assert await shared.get() == 3


async def test_a_failure_is_told_to_all_and_not_kept() -> None:
    outcomes = iter([ValueError("away"), 1])

    async def read() -> int:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    shared = SharedRead(read)
    failed = await asyncio.gather(shared.get(), shared.get(), return_exceptions=True)
    assert [type(each) for each in failed] == [ValueError, ValueError]
    assert await shared.get() == 1


async def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    source = Source()
    shared = SharedRead(source.read)
    leaving, staying = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    leaving.cancel()
    source.may_answer.set()
    assert await staying == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving
