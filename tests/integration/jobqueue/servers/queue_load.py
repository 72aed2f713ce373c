"""Clients, workers, managers and consumers of every shard, in one process, for tests of failures under load."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.inspection.counters import ShardCounts, read_counts
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap
from jobqueue.lifecycle.pull import acknowledge, pull
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import new_job, success_outcome
from tests.waiting import until_async

LEASE_SECONDS = 2.0
"""Short, so that jobs whose lease was lost with the master are soon reaped."""


@dataclass
class Load:
    """A client, a worker, a manager and a consumer for each shard, in this process, and what they have achieved.

    Attributes:
        accepted: ids of jobs whose enqueue was acknowledged.
        recorded: id -> how often `finish` reported that the job's outcome was recorded.
        consumed: id -> how often the result was pulled.
        acknowledged: shard -> number of acknowledged enqueues.
        slowest: shard -> seconds that the slowest enqueue took, with its retries.
        failed: shard -> number of enqueues that were not acknowledged in time.
    """

    shards: Shards
    accepted: set[str] = field(default_factory=set)
    recorded: Counter[str] = field(default_factory=Counter)
    consumed: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[int] = field(default_factory=Counter)
    slowest: dict[int, float] = field(default_factory=dict)
    failed: Counter[int] = field(default_factory=Counter)
    submitting: bool = True
    _clients: list[asyncio.Task[None]] = field(default_factory=list)

    async def submit(self, shard: Shard) -> None:
        loop = asyncio.get_running_loop()
        while self.submitting:
            job_id = self.shards.new_id(shard)
            started = loop.time()
            try:
                await enqueue(shard, [new_job(job_id)], retry_seconds=15)
                self.accepted.add(job_id)
                self.acknowledged[shard.index] += 1
            except ShardUnavailable:
                self.failed[shard.index] += 1
            self.slowest[shard.index] = max(self.slowest.get(shard.index, 0.0), loop.time() - started)
            await asyncio.sleep(0.01)

    async def work(self, shard: Shard, worker: str) -> None:
        while True:
            try:
                jobs = await claim(shard, worker, ["default"], 20, lease_seconds=LEASE_SECONDS)
                outcomes = [success_outcome(job, job.id) for job in jobs]
                report = await finish(shard, worker, outcomes, retry_seconds=15) if jobs else None
            except JobQueueError:
                continue
            finally:
                await asyncio.sleep(0.02)
            if report is not None:
                self.recorded.update(job.id for job in jobs if job.id not in report.lost)

    async def manage(self, shard: Shard) -> None:
        while True:
            try:
                await reap(shard, lease_seconds=LEASE_SECONDS)
            except JobQueueError:
                continue
            finally:
                await asyncio.sleep(0.2)

    async def consume(self, shard: Shard) -> None:
        while True:
            try:
                results = await pull(shard, 50, lease_seconds=30, retry_seconds=15)
                await acknowledge(shard, [result.job_id for result in results], retry_seconds=15)
            except JobQueueError:
                continue
            finally:
                await asyncio.sleep(0.05)
            self.consumed.update(result.job_id for result in results)

    async def until_done(self) -> None:
        """Stop submitting, and wait until every accepted job's result was consumed and nothing is left."""
        self.submitting = False
        await asyncio.gather(*self._clients)

        async def is_consumed() -> bool:
            return self.accepted <= self.consumed.keys()

        await until_async(is_consumed, wanted="the results of all accepted jobs")
        # Jobs that ran again, or were written without being acknowledged, may be left.
        await until_async(lambda: _is_done(self.shards), wanted="no job or result left")

    async def check_counts(self) -> None:
        """Check that the shards have finished the accepted jobs and no others."""
        total = sum([await read_counts(shard) for shard in self.shards], ShardCounts())
        # A failed enqueue may have been written all the same.
        assert len(self.accepted) <= total.total.finished <= len(self.accepted) + sum(self.failed.values())
        assert total.total.failed == 0


@asynccontextmanager
async def running_load(shards: Shards) -> AsyncIterator[Load]:
    """Run a load on all shards while the block runs."""
    load = Load(shards)
    load._clients = [asyncio.create_task(load.submit(shard)) for shard in shards]
    others = [asyncio.create_task(load.work(shard, f"w{shard.index}")) for shard in shards]
    others += [asyncio.create_task(load.manage(shard)) for shard in shards]
    others += [asyncio.create_task(load.consume(shard)) for shard in shards]
    try:
        yield load
    finally:
        load.submitting = False
        for task in [*load._clients, *others]:
            task.cancel()
        await asyncio.gather(*load._clients, *others, return_exceptions=True)


async def _is_done(shards: Shards) -> bool:
    """Return whether no job is queued or running, and no result is left to pull or acknowledge."""
    try:
        total = sum([await read_counts(shard) for shard in shards], ShardCounts())
    except ShardUnavailable:
        return False
    left = (total.total.queued, total.total.started, total.jobs_leased, total.completed, total.results_leased)
    return not any(left)
