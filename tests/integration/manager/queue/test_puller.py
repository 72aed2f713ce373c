"""Which shards of a cluster are asked for results: few where they have plenty, and none is left alone."""

import time
from collections.abc import AsyncIterator
from itertools import chain

import pytest

from jobqueue.lifecycle.pull import Result
from jobqueue.sharding.shard_rotation import TURN_SECONDS, Turns
from jobqueue.sharding.shards import Shards
from manager.queue import puller as manager_pulls
from manager.queue.circuit_breaker import Outages
from manager.queue.puller import LARGE_SHARE, Pulls
from tests.integration.jobqueue.queue_helpers import complete
from workmanager.local.valkey_cluster import ValkeyCluster

TOP = 100


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is slow for a moment is not taken for a shard that takes its time."""
    monkeypatch.setattr(manager_pulls, "PATIENCE_SECONDS", 60.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def shards(cluster: ValkeyCluster, clock: Clock) -> AsyncIterator[Shards]:
    connected = await Shards.connect(cluster.url)
    connected.turns = Turns(len(connected), clock)
    yield connected
    await connected.close()


async def test_a_backlog_is_pulled_in_large_shares(cluster: ValkeyCluster, clock: Clock, shards: Shards) -> None:
    ids = {shard.index: [f"{shard.index}-{number:03}" for number in range(10 * TOP)] for shard in shards}
    for shard in shards:
        await complete(shard, *ids[shard.index], now=time.time())
    pulls, taken = Pulls(shards, Outages()), list[str]()
    before = _script_calls(cluster)
    while results := await pulls.take(TOP, "latest", 0.0):
        taken += _ids(results)
        clock.now += TURN_SECONDS / 5
    assert sorted(taken) == sorted(chain.from_iterable(ids.values()))
    # One for each answer, and a few more where shards run dry.
    assert _script_calls(cluster) - before <= 1.5 * len(taken) / TOP


async def test_a_shard_that_gets_few_results_is_not_left_alone(clock: Clock, shards: Shards) -> None:
    first, second, *_ = shards
    pulls = Pulls(shards, Outages())
    await complete(first, *(f"many-{number:03}" for number in range(200)), now=time.time())
    for number in range(3):
        # The first shard has plenty all the time.
        assert len(await pulls.take(10, "latest", 0.0)) == 10
        await complete(second, f"few-{number}", now=time.time())
        clock.now += TURN_SECONDS * len(shards)
        seen = []
        for _ in range(len(shards)):
            seen += _ids(await pulls.take(10, "latest", 0.0))
            clock.now += TURN_SECONDS
        assert f"few-{number}" in seen


@pytest.mark.parametrize("top", [1, 2, TOP])
async def test_the_only_result_is_found_wherever_it_is(clock: Clock, shards: Shards, top: int) -> None:
    pulls = Pulls(shards, Outages())
    for shard in shards:
        await complete(shard, f"lone-{shard.index}", now=time.time())
        # At once, without the turn of its shard.
        assert _ids(await pulls.take(top, "latest", 0.0)) == [f"lone-{shard.index}"]


async def test_a_large_demand_is_shared_by_shards_with_plenty(cluster: ValkeyCluster, shards: Shards) -> None:
    for shard in shards:
        await complete(shard, *(f"{shard.index}-{number}" for number in range(900)), now=time.time())
    pulls = Pulls(shards, Outages())
    await pulls.take(6, "oldest", 0.0)
    results = await pulls.take(3 * LARGE_SHARE, "oldest", 0.0)
    assert len(results) == 3 * LARGE_SHARE
    assert {len(part) for part in _by_shard(shards, results)} <= {0, 899, 3 * LARGE_SHARE - 3 * 899}
    for part in _by_shard(shards, results):
        assert part == sorted(part)


def _ids(results: list[Result]) -> list[str]:
    return [result.job_id for result in results]


def _by_shard(shards: Shards, results: list[Result]) -> list[list[int]]:
    parts: dict[int, list[int]] = {shard.index: [] for shard in shards}
    for job_id in _ids(results):
        index, number = job_id.split("-")
        parts[int(index)].append(int(number))
    return list(parts.values())


def _script_calls(cluster: ValkeyCluster) -> int:
    return sum(
        int(stats["calls"])
        for master in cluster.masters()
        for name, stats in master.command("INFO", "commandstats").items()
        if name in ("cmdstat_evalsha", "cmdstat_eval")
    )
