"""A manager beside a shard whose replica is silent: other shards go on at once, and no result is lost."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.enqueue import EnqueueOutcome
from jobqueue.servers import adaptive_wait
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.queue import puller as manager_pulls
from manager.queue.circuit_breaker import OPEN_SECONDS, ShardBreaker
from manager.queue.job_operations import JobOperations
from manager.queue.puller import ResultPuller
from manager.queue.submitter import PendingJob, Submitter
from tests.integration.jobqueue.queue_helpers import complete_jobs, master_port_of, new_job, replica_of
from tests.waiting import until_async
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

WAIT_TIMEOUT_SECONDS, MAX_SHARD_WAIT_SECONDS = 8.0, 2.0
"""Instead of 2 and 0.5 s, so that a machine that is slow for a moment is not taken for a silent replica."""

pytestmark = pytest.mark.usefixtures("long_replica_timeout")


@pytest.fixture(autouse=True)
def _long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive_wait, "WAIT_TIMEOUT_SECONDS", WAIT_TIMEOUT_SECONDS)
    monkeypatch.setattr(manager_pulls, "MAX_SHARD_WAIT_SECONDS", MAX_SHARD_WAIT_SECONDS)


@pytest.fixture
async def shards(cluster: ValkeyCluster) -> AsyncIterator[Shards]:
    connected = await Shards.connect(cluster.url)
    yield connected
    await connected.close()


@pytest.fixture
def silent(shards: Shards) -> Shard:
    """The shard whose replica is paused."""
    return shards.all[0]


@pytest.fixture
def healthy(shards: Shards, silent: Shard) -> list[Shard]:
    """The shards of other masters."""
    return [shard for shard in shards if master_port_of(shards, shard) != master_port_of(shards, silent)]


@pytest.fixture
def replica(cluster: ValkeyCluster, shards: Shards, silent: Shard) -> ValkeyServer:
    return replica_of(cluster, master_port_of(shards, silent))


async def test_results_of_a_pull_without_an_answer_are_handed_out_later(
    shards: Shards, silent: Shard, replica: ValkeyServer
) -> None:
    await complete_jobs(silent, "a", "b", "c", now=time.time())
    pulls = ResultPuller(shards, ShardBreaker())
    replica.pause()
    try:
        # The other shards are there, and empty; the silent one has handed two out, which nobody knows.
        results = [result.job_id for result in await pulls.pull(2, "latest", 0.0)]
    finally:
        replica.resume()
    await asyncio.sleep(OPEN_SECONDS)
    results += [result.job_id for _ in range(4) for result in await pulls.pull(1, "latest", 0.0)]
    assert sorted(results) == ["a", "b", "c"]


async def test_a_silent_shard_delays_no_others_and_its_late_results_are_kept(
    shards: Shards, silent: Shard, healthy: list[Shard], replica: ValkeyServer
) -> None:
    await complete_jobs(silent, "late", now=time.time())
    for number, shard in enumerate(healthy):
        await complete_jobs(shard, f"early-{number}", now=time.time())
    pulls = ResultPuller(shards, ShardBreaker())
    replica.pause()
    begun = time.monotonic()
    early = {result.job_id for result in await pulls.pull(100, "latest", 0.0)}
    took = time.monotonic() - begun
    replica.resume()
    assert early == {f"early-{number}" for number in range(len(healthy))}
    assert took < WAIT_TIMEOUT_SECONDS
    results = await until_async(lambda: pulls.pull(100, "latest", 0.0))
    assert [result.job_id for result in results] == ["late"]


async def test_a_silent_shard_with_more_results_does_not_delay_other_shards(
    shards: Shards, silent: Shard, healthy: list[Shard], replica: ValkeyServer
) -> None:
    await complete_jobs(silent, *(f"silent-{number}" for number in range(10)), now=time.time())
    pulls = ResultPuller(shards, ShardBreaker())
    assert len(await pulls.pull(6, "oldest", 0.0)) == 6
    for number, shard in enumerate(healthy):
        await complete_jobs(shard, f"healthy-{number}", now=time.time())
    replica.pause()
    begun = time.monotonic()
    # It alone is known to have more, and is asked for all: four, which nobody hears of now.
    early = {result.job_id for result in await pulls.pull(6, "oldest", 0.0)}
    took = time.monotonic() - begun
    replica.resume()
    assert early == {f"healthy-{number}" for number in range(len(healthy))}
    assert took < WAIT_TIMEOUT_SECONDS
    results = await until_async(lambda: pulls.pull(100, "oldest", 0.0))
    assert [result.job_id for result in results] == [f"silent-{number}" for number in range(6, 10)]


async def test_jobs_avoid_a_silent_shard_unless_their_id_belongs_to_it(
    shards: Shards, silent: Shard, healthy: list[Shard], replica: ValkeyServer
) -> None:
    outages = ShardBreaker()
    intake, changes = Submitter(shards, outages), JobOperations(shards, outages)
    own_id = shards.new_id(silent)
    replica.pause()
    try:
        named = asyncio.create_task(intake.submit(PendingJob(new_job(own_id), can_change_shard=False)))
        await until_async(lambda: asyncio.sleep(0, outages.is_open(silent)))
        assert silent not in {shards.of(intake.new_id()) for _ in range(50)}
        before = time.monotonic()
        for shard in healthy:
            taken = await intake.submit(PendingJob(new_job(shards.new_id(shard)), can_change_shard=True))
            assert taken.answer is EnqueueOutcome.WRITTEN
            assert (await changes.cancel(taken.job_id)).outcome == "canceled"
        assert time.monotonic() - before < WAIT_TIMEOUT_SECONDS
        unknown = (await named).answer
    finally:
        replica.resume()
    assert isinstance(unknown, ShardUnavailable)
    assert unknown.outcome_unknown
    await asyncio.sleep(OPEN_SECONDS)
    assert (await intake.submit(PendingJob(new_job(own_id), can_change_shard=False))).answer is EnqueueOutcome.REPEATED
