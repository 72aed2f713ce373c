"""A shard whose replica is silent: other shards are not delayed, and no result is lost."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.enqueue import EnqueueOutcome
from jobqueue.servers import adaptive_wait
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.queue import puller as puller_module
from manager.queue.circuit_breaker import OPEN_SECONDS, ShardBreaker
from manager.queue.job_operations import JobOperations
from manager.queue.puller import ResultPuller
from manager.queue.submitter import PendingJob, Submitter
from tests.integration.jobqueue.queue_helpers import complete_jobs, master_port_of, new_job, replica_of
from tests.waiting import until_async
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

WAIT_TIMEOUT_SECONDS, MAX_SHARD_WAIT_SECONDS = 8.0, 2.0
"""Instead of 2 and 0.5 s, so that a slow test machine is not mistaken for a silent replica."""

pytestmark = pytest.mark.usefixtures("long_replica_timeout")


@pytest.fixture(autouse=True)
def _long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive_wait, "WAIT_TIMEOUT_SECONDS", WAIT_TIMEOUT_SECONDS)
    monkeypatch.setattr(puller_module, "MAX_SHARD_WAIT_SECONDS", MAX_SHARD_WAIT_SECONDS)


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
    """The shards on other masters."""
    return [shard for shard in shards if master_port_of(shards, shard) != master_port_of(shards, silent)]


@pytest.fixture
def replica(cluster: ValkeyCluster, shards: Shards, silent: Shard) -> ValkeyServer:
    return replica_of(cluster, master_port_of(shards, silent))


async def test_results_of_a_pull_without_an_answer_are_handed_out_later(
    shards: Shards, silent: Shard, replica: ValkeyServer
) -> None:
    await complete_jobs(silent, "a", "b", "c", now=time.time())
    puller = ResultPuller(shards, ShardBreaker())
    replica.pause()
    try:
        # The other shards answer and are empty. The silent one has handed out two results without an answer.
        results = [result.job_id for result in await puller.pull(2, "latest", 0.0)]
    finally:
        replica.resume()
    await asyncio.sleep(OPEN_SECONDS)
    results += [result.job_id for _ in range(4) for result in await puller.pull(1, "latest", 0.0)]
    assert sorted(results) == ["a", "b", "c"]


async def test_a_silent_shard_delays_no_others_and_its_late_results_are_kept(
    shards: Shards, silent: Shard, healthy: list[Shard], replica: ValkeyServer
) -> None:
    await complete_jobs(silent, "late", now=time.time())
    for number, shard in enumerate(healthy):
        await complete_jobs(shard, f"early-{number}", now=time.time())
    puller = ResultPuller(shards, ShardBreaker())
    replica.pause()
    started = time.monotonic()
    early = {result.job_id for result in await puller.pull(100, "latest", 0.0)}
    elapsed = time.monotonic() - started
    replica.resume()
    assert early == {f"early-{number}" for number in range(len(healthy))}
    assert elapsed < WAIT_TIMEOUT_SECONDS
    results = await until_async(lambda: puller.pull(100, "latest", 0.0))
    assert [result.job_id for result in results] == ["late"]


async def test_a_silent_shard_with_more_results_does_not_delay_other_shards(
    shards: Shards, silent: Shard, healthy: list[Shard], replica: ValkeyServer
) -> None:
    await complete_jobs(silent, *(f"silent-{number}" for number in range(10)), now=time.time())
    puller = ResultPuller(shards, ShardBreaker())
    assert len(await puller.pull(6, "oldest", 0.0)) == 6
    for number, shard in enumerate(healthy):
        await complete_jobs(shard, f"healthy-{number}", now=time.time())
    replica.pause()
    started = time.monotonic()
    # It alone is known to have more, so it is asked for all. It hands out four without an answer.
    early = {result.job_id for result in await puller.pull(6, "oldest", 0.0)}
    elapsed = time.monotonic() - started
    replica.resume()
    assert early == {f"healthy-{number}" for number in range(len(healthy))}
    assert elapsed < WAIT_TIMEOUT_SECONDS
    results = await until_async(lambda: puller.pull(100, "oldest", 0.0))
    assert [result.job_id for result in results] == [f"silent-{number}" for number in range(6, 10)]


async def test_jobs_avoid_a_silent_shard_unless_their_id_belongs_to_it(
    shards: Shards, silent: Shard, healthy: list[Shard], replica: ValkeyServer
) -> None:
    breaker = ShardBreaker()
    submitter, operations = Submitter(shards, breaker), JobOperations(shards, breaker)
    own_id = shards.new_id(silent)
    replica.pause()
    try:
        with_own_id = asyncio.create_task(submitter.submit(PendingJob(new_job(own_id), can_change_shard=False)))
        await until_async(lambda: asyncio.sleep(0, breaker.is_open(silent)))
        assert silent not in {shards.of(submitter.new_id()) for _ in range(50)}
        started = time.monotonic()
        for shard in healthy:
            result = await submitter.submit(PendingJob(new_job(shards.new_id(shard)), can_change_shard=True))
            assert result.answer is EnqueueOutcome.WRITTEN
            assert (await operations.cancel(result.job_id, None)).outcome == "canceled"
        assert time.monotonic() - started < WAIT_TIMEOUT_SECONDS
        unknown = (await with_own_id).answer
    finally:
        replica.resume()
    assert isinstance(unknown, ShardUnavailable)
    assert unknown.outcome_unknown
    await asyncio.sleep(OPEN_SECONDS)
    repeated = await submitter.submit(PendingJob(new_job(own_id), can_change_shard=False))
    assert repeated.answer is EnqueueOutcome.REPEATED
