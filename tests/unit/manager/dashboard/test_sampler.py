"""Samples are taken anew for whoever looks, but not of a large system for each page."""

from collections.abc import AsyncIterator

import pytest

from jobqueue.inspection.counters import QueueCounts, ShardCounts
from manager.dashboard.sampler import MANY, Sample, Sampler
from manager.queue.connection import QueueConnection


class Counted(Sampler):
    """A sampler of a queue of so many queues."""

    def __init__(self, queues: int) -> None:
        async def ignore(_: object) -> None: ...

        super().__init__(
            QueueConnection(
                "redis://127.0.0.1:1",
                1.0,
                on_connected=ignore,
                on_jobs_waiting=lambda: None,
                on_fatal_error=lambda _, __: None,
            )
        )
        self.counts = ShardCounts({f"q{number}": QueueCounts() for number in range(queues)})

    async def _read(self, number: int, now: float) -> Sample:
        return Sample(number, now, now, self.counts)


@pytest.fixture
async def large() -> AsyncIterator[Counted]:
    sampler = Counted(MANY)
    yield sampler
    await sampler.stop()


async def test_a_page_of_a_small_system_shows_the_moment_in_which_it_is_opened() -> None:
    sampler = Counted(MANY - 1)
    first = await sampler.current()
    assert (await sampler.current()).number > first.number
    await sampler.stop()


async def test_a_page_of_a_large_system_shows_the_last_sample_unless_somebody_has_changed_something(
    large: Counted,
) -> None:
    first = await large.current()
    assert await large.current() is first
    changed = await large.current(changed=True)
    assert changed.number > first.number
    assert await large.current() is changed


async def test_the_first_look_after_a_while_is_at_a_new_sample(large: Counted) -> None:
    first = await large.current()
    await large.stop()
    assert (await large.current()).number > first.number
