"""Concurrent requests share calls, and each gets its own answers."""

import asyncio
from collections.abc import Sequence

import pytest

from manager.queue.group_commit import GroupCommit


class Recorder:
    """A call that waits for `gate` and answers each item with its double."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.gate = asyncio.Event()
        self.started = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.calls.append(list(items))
        self.started.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return [item * 2 for item in items]


def group_commit(recorder: Recorder, max_weight: int = 100) -> GroupCommit[int, int]:
    return GroupCommit(recorder, weigh=lambda _: 1, max_weight=max_weight)


async def test_requests_during_a_call_share_the_next_one() -> None:
    recorder = Recorder()
    commits = group_commit(recorder)
    first = asyncio.create_task(commits.submit(1))
    await recorder.started.wait()
    others = [asyncio.create_task(commits.submit(item)) for item in (2, 3, 4)]
    await asyncio.sleep(0)
    recorder.gate.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert recorder.calls == [[1], [2, 3, 4]]


async def test_a_call_takes_no_more_than_its_weight() -> None:
    recorder = Recorder()
    recorder.gate.set()
    commits = group_commit(recorder, max_weight=4)
    assert await commits.submit_all(range(10)) == [item * 2 for item in range(10)]
    assert recorder.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_an_item_heavier_than_a_call_is_sent_alone() -> None:
    recorder = Recorder()
    recorder.gate.set()
    commits = GroupCommit[int, int](recorder, weigh=lambda item: item, max_weight=4)
    assert await commits.submit_all([1, 9, 2, 2]) == [2, 18, 4, 4]
    assert recorder.calls == [[1], [9], [2, 2]]


async def test_a_failure_reaches_all_requests_of_its_call_and_no_others() -> None:
    recorder = Recorder()
    commits = group_commit(recorder)
    recorder.failure = OSError("unavailable")
    first, second = (asyncio.create_task(commits.submit(item)) for item in (1, 2))
    recorder.gate.set()
    for task in (first, second):
        with pytest.raises(OSError, match="unavailable"):
            await task
    recorder.failure = None
    assert await commits.submit(3) == 6


async def test_a_request_cancelled_before_the_call_is_not_sent() -> None:
    recorder = Recorder()
    commits = group_commit(recorder)
    first = asyncio.create_task(commits.submit(1))
    await recorder.started.wait()
    second, third = (asyncio.create_task(commits.submit(item)) for item in (2, 3))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    assert [await first, await third] == [2, 6]
    assert recorder.calls == [[1], [3]]


async def test_a_request_cancelled_during_the_call_affects_no_other() -> None:
    recorder = Recorder()
    commits = group_commit(recorder)
    first, second = (asyncio.create_task(commits.submit(item)) for item in (1, 2))
    await recorder.started.wait()
    first.cancel()
    await asyncio.sleep(0)
    recorder.gate.set()
    assert await second == 4
