"""Samples are taken anew for whoever looks, but not of a large system for each page."""

import math
from collections.abc import AsyncIterator, Mapping
from typing import cast

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.inspection.counters import QueueCounts, ShardCounts
from jobqueue.workers.registry import WorkerView
from manager.dashboard.sampler import MANY, Sample, Sampler
from manager.queue.connection import QueueConnection
from manager.queue.watched_servers import WatchedServers
from manager.siblings.group import ProcessGroup
from tests.unconnected_queue import unconnected_queue


class Counted(Sampler):
    """A sampler of a queue of so many queues."""

    def __init__(self, queues: int) -> None:
        queue = unconnected_queue()
        self.group = ProcessGroup()
        super().__init__(queue, WatchedServers(queue, None, self.group))
        self.counts = ShardCounts({f"q{number}": QueueCounts() for number in range(queues)})
        self.is_away = False

    async def _read(self, number: int, now: float) -> Sample:
        if self.is_away:
            raise ShardUnavailable("no shard answers")
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


async def test_what_was_read_before_an_outage_is_shown_only_with_the_reason(large: Counted) -> None:
    await large.current()
    assert large.last_of_many() is not None
    large.is_away = True
    sample = await large.current(changed=True)
    assert (len(sample.counts.queues), sample.error) == (MANY, "no shard answers")
    assert large.last_of_many() is None


async def test_a_main_process_that_hangs_is_noticed_during_an_outage_too(large: Counted) -> None:
    assert (await large.current()).servers is not None
    large.is_away = True
    large.group.is_sibling = True  # Nobody answers this one.
    assert (await large.current(changed=True)).servers is None


class TwoShards:
    """Stands for the connection to a queue of two shards, `unavailable` of which do not answer."""

    service = overview = monitor = property(lambda self: self)
    unavailable = 0
    unsound_files: Mapping[str, str] = {}

    async def counts(self) -> tuple[ShardCounts, int]:
        if self.unavailable == 2:
            raise ShardUnavailable("no shard answers")
        return ShardCounts(), self.unavailable

    async def workers(self) -> list[WorkerView]:
        return []

    async def unserved(self, _: object) -> Mapping[str, str]:
        return {}


@pytest.mark.parametrize("unavailable", [1, 2])
async def test_counts_of_some_shards_are_not_compared_with_those_of_all(unavailable: int) -> None:
    queue = TwoShards()
    connection = cast(QueueConnection, queue)
    sampler = Sampler(connection, WatchedServers(connection, None, ProcessGroup()))
    sampler._scaler_read_at = math.inf  # It is not read.
    await sampler.current()
    assert (await sampler.current()).before is not None
    queue.unavailable = unavailable
    assert (await sampler.current()).before is None
    queue.unavailable = 0
    assert (await sampler.current()).before is not None
    await sampler.stop()
