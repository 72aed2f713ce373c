"""How a pull chooses shards: few while they have more results, and no shard is neglected."""

import time
from collections.abc import AsyncIterator
from itertools import chain

import pytest

from jobqueue.lifecycle.pull import PulledResult
from jobqueue.sharding.shard_rotation import TIME_SLICE_SECONDS, ShardRotation
from jobqueue.sharding.shards import Shards
from manager.queue import puller as puller_module
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.puller import LARGE_REQUEST_RESULTS, ResultPuller
from tests.integration.jobqueue.queue_helpers import complete_jobs
from workmanager.local.valkey_cluster import ValkeyCluster

TOP = 100


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _long_shard_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not mistake a slow test machine for a slow shard."""
    monkeypatch.setattr(puller_module, "MAX_SHARD_WAIT_SECONDS", 60.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def shards(cluster: ValkeyCluster, clock: Clock) -> AsyncIterator[Shards]:
    connected = await Shards.connect(cluster.url)
    connected.rotation = ShardRotation(len(connected), clock)
    yield connected
    await connected.close()


async def test_a_backlog_is_pulled_in_large_parts(cluster: ValkeyCluster, clock: Clock, shards: Shards) -> None:
    ids = {shard.index: [f"{shard.index}-{number:03}" for number in range(10 * TOP)] for shard in shards}
    for shard in shards:
        await complete_jobs(shard, *ids[shard.index], now=time.time())
    puller, pulled = ResultPuller(shards, ShardBreaker()), list[str]()
    before = _script_calls(cluster)
    while results := await puller.pull(TOP, "latest", 0.0):
        pulled += _ids(results)
        clock.now += TIME_SLICE_SECONDS / 5
    assert sorted(pulled) == sorted(chain.from_iterable(ids.values()))
    # One script call per answer, and a few more when shards run empty.
    assert _script_calls(cluster) - before <= 1.5 * len(pulled) / TOP


async def test_a_shard_with_few_results_is_not_neglected(clock: Clock, shards: Shards) -> None:
    first, second, *_ = shards
    puller = ResultPuller(shards, ShardBreaker())
    await complete_jobs(first, *(f"many-{number:03}" for number in range(200)), now=time.time())
    for number in range(3):
        # The first shard has more results all the time.
        assert len(await puller.pull(10, "latest", 0.0)) == 10
        await complete_jobs(second, f"few-{number}", now=time.time())
        clock.now += TIME_SLICE_SECONDS * len(shards)
        seen = []
        for _ in range(len(shards)):
            seen += _ids(await puller.pull(10, "latest", 0.0))
            clock.now += TIME_SLICE_SECONDS
        assert f"few-{number}" in seen


@pytest.mark.parametrize("top", [1, 2, TOP])
async def test_a_single_result_is_found_on_any_shard(clock: Clock, shards: Shards, top: int) -> None:
    puller = ResultPuller(shards, ShardBreaker())
    for shard in shards:
        await complete_jobs(shard, f"lone-{shard.index}", now=time.time())
        # At once, without waiting for the shard's time slice.
        assert _ids(await puller.pull(top, "latest", 0.0)) == [f"lone-{shard.index}"]


async def test_a_large_pull_is_split_between_shards_with_more_results(cluster: ValkeyCluster, shards: Shards) -> None:
    for shard in shards:
        await complete_jobs(shard, *(f"{shard.index}-{number}" for number in range(900)), now=time.time())
    puller = ResultPuller(shards, ShardBreaker())
    await puller.pull(6, "oldest", 0.0)
    results = await puller.pull(3 * LARGE_REQUEST_RESULTS, "oldest", 0.0)
    assert len(results) == 3 * LARGE_REQUEST_RESULTS
    assert {len(part) for part in _by_shard(shards, results)} <= {0, 899, 3 * LARGE_REQUEST_RESULTS - 3 * 899}
    for part in _by_shard(shards, results):
        assert part == sorted(part)


def _ids(results: list[PulledResult]) -> list[str]:
    return [result.job_id for result in results]


def _by_shard(shards: Shards, results: list[PulledResult]) -> list[list[int]]:
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
