"""Pruning: expired jobs, results and registry entries are deleted, so that nothing grows without bound."""

import pytest

from jobqueue.inspection.counters import read_counts
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.control import cancel
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap
from jobqueue.lifecycle.pull import acknowledge, pull
from jobqueue.maintenance.expiry import EXPIRE_LIMIT, PRUNE_LIMIT, expire_results, prune
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.model import ALL_QUEUES, DAY_SECONDS, LEASE_SECONDS
from jobqueue.sharding.shard import Shard
from jobqueue.workers.registry import register, unregister
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    complete_jobs,
    enqueue_jobs,
    failed_outcome,
    shard_keys,
    sorted_set,
    success_outcome,
    worker_record,
)

COUNTERS = {
    *("wm:enqueued", "wm:finished", "wm:failed", "wm:stopped", "wm:losses", "wm:seconds"),
    *("wm:feed:sequence", "wm:master"),
}


async def test_registries_drop_expired_entries(shard: Shard) -> None:
    await complete_jobs(shard, "done")
    await enqueue_jobs(shard, "bad", "dropped")
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(job)], now=NOW)
    await cancel(shard, ["dropped"], now=NOW)
    for days, left in ((6.9, {"done", "bad", "dropped"}), (7, {"bad", "dropped"}), (30, set())):
        await prune(shard, now=NOW + days * DAY_SECONDS)
        await expire_results(shard, now=NOW + days * DAY_SECONDS)
        names = [await sorted_set(shard, f"{name}:default") for name in ("finished", "failed", "canceled")]
        assert {job_id for entries in names for job_id in entries} == left


async def test_expired_results_are_removed_from_the_feed(shard: Shard) -> None:
    ids = [f"job-{number:04}" for number in range(2 * PRUNE_LIMIT + 100)]
    for start in range(0, len(ids), 1000):
        await complete_jobs(shard, *ids[start : start + 1000])
    expired = ids[::2]
    await shard.execute(*(("DEL", f"{shard.prefix}:job:{id_}", f"{shard.prefix}:results:{id_}") for id_ in expired))
    removed = [(await prune(shard, now=NOW))[1] for _ in range(4)]
    assert sum(removed) == len(expired)
    assert max(removed) <= PRUNE_LIMIT
    assert set(await sorted_set(shard, "wm:feed")) == set(ids) - set(expired)
    assert [result.job_id for result in await pull(shard, 3, order="oldest", now=NOW)] == ids[1:7:2]


async def test_many_results_are_expired_in_batches(shard: Shard) -> None:
    await complete_jobs(shard, *(f"job-{number:04}" for number in range(EXPIRE_LIMIT)))
    await complete_jobs(shard, "high-1", "high-2", queue="high")
    await pull(shard, 100, now=NOW)
    await pull(shard, 100, lease_seconds=30 * DAY_SECONDS, now=NOW)
    batches = [await expire_results(shard, now=NOW + 7 * DAY_SECONDS) for _ in range(3)]
    assert [expired for expired, _ in batches] == [EXPIRE_LIMIT, 2, 0]
    assert sum(unpulled for _, unpulled in batches) == EXPIRE_LIMIT + 2 - 100
    assert not [key for key in await shard_keys(shard) if key in ("wm:feed", "wm:feed:leases", "wm:feed:places")]


@pytest.mark.parametrize("queues", [("high", "default"), ALL_QUEUES])
async def test_only_counters_remain_after_every_job_has_expired(shard: Shard, queues: tuple[str, ...]) -> None:
    """1,000 jobs go through retries, losses, cancellations, pulls with and without a lease, and expiry."""
    await register(shard, worker_record("w1", queues=queues, slots=4))
    await reap(shard, now=NOW)
    ids = [f"job-{number:04}" for number in range(1000)]
    await enqueue_jobs(shard, *ids[:600], retries=1, retry_intervals=(5,))
    await enqueue_jobs(shard, *ids[600:900], queue="high", result_ttl_seconds=60)
    await enqueue_jobs(shard, *ids[900:], due_at=NOW + 3)
    await enqueue_jobs(shard, "unique", unique_key="k", unique_milliseconds=1)
    await cancel(shard, ids[:50] + ids[900:950], now=NOW)
    now, round_number = NOW, 0
    while await _count_unfinished(shard):
        now, round_number = now + 10, round_number + 1
        assert round_number < 300
        await enqueue_due(shard, "default", "me", now=now)
        jobs = await claim(shard, "w1", queues, 100, now=now)
        await extend(shard, "w1", [LeaseUpdate(job, now) for job in jobs[:5]], now=now)
        # The first two jobs of each large batch are lost with their worker.
        kept = jobs[2:] if len(jobs) > 10 else jobs
        failing, cancelled, succeeding = kept[:28], kept[28:31], kept[31:]
        await cancel(shard, [job.id for job in cancelled], now=now)
        outcomes: list[Outcome] = [
            *(failed_outcome(job) for job in failing + cancelled),
            *(success_outcome(job, 1, has_execution_record=True) for job in succeeding),
        ]
        await finish(shard, "w1", outcomes, now=now)
        pulled = await pull(shard, 20, lease_seconds=15 * (round_number % 2), now=now)
        await acknowledge(shard, [result.job_id for result in pulled[::2]], now=now)
        await reap(shard, now=now + LEASE_SECONDS + 1)
        await prune(shard, now=now)
    await unregister(shard, "w1", queues)
    await _delete_keys_with_a_ttl(shard)
    await prune(shard, now=now + 40 * DAY_SECONDS)
    while (await expire_results(shard, now=now + 40 * DAY_SECONDS))[0]:
        pass
    assert await shard_keys(shard) <= {*COUNTERS, "queues"}


async def _count_unfinished(shard: Shard) -> int:
    total = (await read_counts(shard)).total
    return total.queued + total.scheduled + total.started


async def _delete_keys_with_a_ttl(shard: Shard) -> None:
    """Delete every key that Redis would expire in the course of a month."""
    while True:
        keys = sorted(await shard_keys(shard))
        ttls = await shard.execute(*(("TTL", f"{shard.prefix}:{key}") for key in keys))
        expiring = [f"{shard.prefix}:{key}" for key, seconds in zip(keys, ttls, strict=True) if seconds >= 0]
        if not expiring:
            return
        await shard.execute(("DEL", *expiring))
