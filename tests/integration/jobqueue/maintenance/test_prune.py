"""Nothing grows without bound: what is over is forgotten."""

from jobqueue.inspection.counters import read_counts
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.control import cancel
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap
from jobqueue.lifecycle.pull import acknowledge, pull
from jobqueue.maintenance.periodic import EXPIRE_LIMIT, PRUNE_LIMIT, enqueue_due, expire_results, prune
from jobqueue.model import DAY_SECONDS
from jobqueue.sharding.shard import Shard
from jobqueue.workers.registry import WorkerRecord, register, unregister
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    complete_jobs,
    enqueue_jobs,
    failed_outcome,
    shard_keys,
    sorted_set,
    success_outcome,
)

COUNTERS = {"wm:enqueued", "wm:finished", "wm:failed", "wm:stopped", "wm:seconds", "wm:feed:sequence", "wm:master"}


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
    forgotten = [(await prune(shard, now=NOW))[1] for _ in range(4)]
    assert sum(forgotten) == len(expired)
    assert max(forgotten) <= PRUNE_LIMIT
    assert set(await sorted_set(shard, "wm:feed")) == set(ids) - set(expired)
    assert [result.job_id for result in await pull(shard, 3, order="oldest", now=NOW)] == ids[1:7:2]


async def test_many_results_are_expired_in_batches(shard: Shard) -> None:
    await complete_jobs(shard, *(f"job-{number:04}" for number in range(EXPIRE_LIMIT)))
    await complete_jobs(shard, "high-1", "high-2", queue="high")
    await pull(shard, 100, now=NOW)
    await pull(shard, 100, lease_seconds=30 * DAY_SECONDS, now=NOW)
    ended = [await expire_results(shard, now=NOW + 7 * DAY_SECONDS) for _ in range(3)]
    assert [over for over, _ in ended] == [EXPIRE_LIMIT, 2, 0]
    assert sum(unpulled for _, unpulled in ended) == EXPIRE_LIMIT + 2 - 100
    assert not [key for key in await shard_keys(shard) if key in ("wm:feed", "wm:feed:leases", "wm:feed:places")]


async def test_only_counters_remain_after_every_job_has_expired(shard: Shard) -> None:
    """1,000 jobs through retries, losses, cancels, pulls with and without a lease, and the end of all times to live."""
    await register(shard, WorkerRecord("w1", "host", 1, ("default", "high"), 4))
    await reap(shard, now=NOW)
    ids = [f"job-{number:04}" for number in range(1000)]
    await enqueue_jobs(shard, *ids[:600], retries=1, retry_intervals=(5,))
    await enqueue_jobs(shard, *ids[600:900], queue="high", result_ttl_seconds=60)
    await enqueue_jobs(shard, *ids[900:], due_at=NOW + 3)
    await enqueue_jobs(shard, "unique", unique_key="k", unique_milliseconds=1)
    await cancel(shard, ids[:50] + ids[900:950], now=NOW)
    now, number = NOW, 0
    while await _unfinished(shard):
        now, number = now + 10, number + 1
        assert number < 300
        await enqueue_due(shard, "default", "me", now=now)
        jobs = await claim(shard, "w1", ("high", "default"), 100, now=now)
        await extend(shard, "w1", [LeaseUpdate(job, now) for job in jobs[:5]], now=now)
        # The first two of each full batch are lost with their worker.
        kept = jobs[2:] if len(jobs) > 10 else jobs
        failing, stopping, fine = kept[:28], kept[28:31], kept[31:]
        await cancel(shard, [job.id for job in stopping], now=now)
        outcomes: list[Outcome] = [
            *(failed_outcome(job) for job in failing + stopping),
            *(success_outcome(job, 1, has_execution_record=True) for job in fine),
        ]
        await finish(shard, "w1", outcomes, now=now)
        pulled = await pull(shard, 20, lease_seconds=15 * (number % 2), now=now)
        await acknowledge(shard, [result.job_id for result in pulled[::2]], now=now)
        await reap(shard, now=now + 21)
        await prune(shard, now=now)
    await unregister(shard, "w1", ("default", "high"))
    await _let_all_times_to_live_end(shard)
    await prune(shard, now=now + 40 * DAY_SECONDS)
    while (await expire_results(shard, now=now + 40 * DAY_SECONDS))[0]:
        pass
    assert await shard_keys(shard) <= {*COUNTERS, "queues"}


async def _unfinished(shard: Shard) -> int:
    total = (await read_counts(shard)).total
    return total.queued + total.scheduled + total.started


async def _let_all_times_to_live_end(shard: Shard) -> None:
    """What Redis does by itself in the course of a month; whatever has no time to live stays."""
    while True:
        keys = sorted(await shard_keys(shard))
        ttls = await shard.execute(*(("TTL", f"{shard.prefix}:{key}") for key in keys))
        mortal = [f"{shard.prefix}:{key}" for key, seconds in zip(keys, ttls, strict=True) if seconds >= 0]
        if not mortal:
            return
        await shard.execute(("DEL", *mortal))
