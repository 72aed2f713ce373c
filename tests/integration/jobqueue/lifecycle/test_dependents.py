"""Dependents: jobs of plain RQ clients that wait for others are queued when those end, on one server and on a cluster.

Rules are compared with RQ's own code in tests/integration/plain_rq/test_dependents.py.
"""

import pytest

from jobqueue.lifecycle import dependents
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.dependents import enqueue_dependents
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap
from jobqueue.maintenance.sweep import sweep
from jobqueue.model import DAY_SECONDS
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    job_status,
    key_ttl,
    nearly,
    queued_ids,
    shard_keys,
    sorted_set,
    stopped_outcome,
    success_outcome,
)


async def enqueue_dependent(shard: Shard, child: str, *parents: str, **fields: object) -> None:
    """Write a job that waits for others, as RQ's client does."""
    prefix = shard.prefix
    record = {
        "data": '["worker_node.functions.noop", null, [], {}]',
        "status": "deferred",
        "origin": "default",
        "dependency_id": parents[0],
        **fields,
    }
    await shard.execute(
        ("HSET", f"{prefix}:job:{child}", *(word for item in record.items() for word in item)),
        ("ZADD", f"{prefix}:deferred:default", NOW, child),
        ("SADD", f"{prefix}:job::{child}:dependencies", *parents),
        *(("SADD", f"{prefix}:job:{parent}:dependents", child) for parent in parents),
    )


async def run(shard: Shard, *job_ids: str, failed: bool = False) -> None:
    """Claim jobs in this order, and record their ends."""
    jobs = await claim_jobs(shard, len(job_ids))
    assert tuple(job.id for job in jobs) == job_ids
    await finish(shard, "w1", [failed_outcome(job) if failed else success_outcome(job) for job in jobs], now=NOW)


async def test_a_dependent_is_queued_once_all_of_its_parents_have_finished(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b")
    await enqueue_dependent(shard, "child", "a", "b")
    await run(shard, "a")
    assert await enqueue_dependents(shard, now=NOW) == 0
    assert await job_status(shard, "child") == "deferred"
    await run(shard, "b")
    assert await enqueue_dependents(shard, now=NOW) == 1
    assert (await job_status(shard, "child"), await queued_ids(shard)) == ("queued", ["child"])
    assert await sorted_set(shard, "deferred:default") == {}
    await run(shard, "child")
    # What RQ keeps of its dependencies ends with it.
    assert await key_ttl(shard, "job::child:dependencies") in nearly(500)
    assert await enqueue_dependents(shard, now=NOW) == 0
    assert "wm:rq-parents" not in await shard_keys(shard)


async def test_dependents_of_a_job_that_keeps_no_result_are_queued(shard: Shard) -> None:
    await enqueue_jobs(shard, "parent", result_ttl_seconds=0)
    await enqueue_dependent(shard, "child", "parent", result_ttl=0)
    await run(shard, "parent")
    await enqueue_dependents(shard, now=NOW)
    await run(shard, "child")
    assert not {key for key in await shard_keys(shard) if key.startswith("job:")}


async def test_a_dependent_goes_to_its_own_queue_and_end_with_its_time_to_live(shard: Shard) -> None:
    await enqueue_jobs(shard, "parent")
    await enqueue_jobs(shard, "first", queue="other")
    await enqueue_dependent(shard, "child", "parent", origin="other", enqueue_at_front="1", ttl=70)
    await run(shard, "parent")
    await enqueue_dependents(shard, now=NOW)
    assert await queued_ids(shard, "other") == ["child", "first"]
    assert await key_ttl(shard, "job:child") in nearly(70)


async def test_what_a_dead_worker_has_not_queued_is_queued_by_the_next_program(shard: Shard) -> None:
    await enqueue_jobs(shard, "parent", "other")
    await enqueue_dependent(shard, "child", "parent")
    await run(shard, "parent")
    # Its worker dies here: everything that is needed stands in Redis.
    await enqueue_dependents(shard, now=NOW)
    assert await queued_ids(shard) == ["other", "child"]


async def test_the_success_of_a_job_that_was_requeued_before_its_dependents_were_told_counts(shard: Shard) -> None:
    await enqueue_jobs(shard, "parent")
    await enqueue_dependent(shard, "child", "parent")
    await run(shard, "parent")
    await shard.execute(("HSET", f"{shard.prefix}:job:parent", "status", "queued"))
    await shard.execute(("RPUSH", f"{shard.prefix}:queue:default", "parent"))
    await run(shard, "parent", failed=True)
    await enqueue_dependents(shard, now=NOW)
    assert await job_status(shard, "child") == "queued"


async def test_only_dependents_that_allow_it_are_queued_after_a_failure(shard: Shard) -> None:
    await enqueue_jobs(shard, "parent", retries=1)
    await enqueue_dependent(shard, "strict", "parent")
    await enqueue_dependent(shard, "lenient", "parent", allow_dependency_failures="1")
    await run(shard, "parent", failed=True)
    # It will run again.
    assert await enqueue_dependents(shard, now=NOW) == 0
    await run(shard, "parent", failed=True)
    assert await enqueue_dependents(shard, now=NOW) == 1
    assert [await job_status(shard, id_) for id_ in ("strict", "lenient")] == ["deferred", "queued"]
    # What waits on is kept as long as the failed job.
    assert await key_ttl(shard, "job:parent:dependents") in nearly(30 * DAY_SECONDS)
    assert await requeue(shard, ["parent"], now=NOW) == ["queued"]
    assert await key_ttl(shard, "job:parent:dependents") == -1
    await run(shard, "lenient", "parent")
    await enqueue_dependents(shard, now=NOW)
    assert await job_status(shard, "strict") == "queued"


async def test_a_parent_that_was_lost_too_often_has_failed(shard: Shard) -> None:
    await enqueue_jobs(shard, "parent")
    await enqueue_dependent(shard, "lenient", "parent", allow_dependency_failures="1")
    await claim_jobs(shard)
    await reap(shard, now=NOW)
    await reap(shard, max_losses=1, now=LEASE_EXPIRED)
    await enqueue_dependents(shard, now=NOW)
    assert await queued_ids(shard) == ["lenient"]


async def test_a_stopped_a_canceled_and_a_deleted_parent_keep_their_dependents_waiting(shard: Shard) -> None:
    await enqueue_jobs(shard, "stopped", "canceled", "deleted")
    for parent in ("stopped", "canceled", "deleted"):
        await enqueue_dependent(shard, f"of-{parent}", parent, allow_dependency_failures="1")
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [stopped_outcome(job)], now=NOW)
    await cancel(shard, ["canceled"], now=NOW)
    assert await delete(shard, ["deleted"]) == ["deleted"]
    await enqueue_dependents(shard, now=NOW)
    await sweep(shard, "default", part=0, now=NOW)
    children = ("of-stopped", "of-canceled", "of-deleted")
    assert [await job_status(shard, child) for child in children] == ["deferred"] * 3
    # A requeued parent releases them, as with RQ.
    assert await requeue(shard, ["stopped", "canceled"], now=NOW) == ["queued", "queued"]
    await run(shard, "stopped", "canceled")
    await enqueue_dependents(shard, now=NOW)
    assert sorted(await queued_ids(shard)) == ["of-canceled", "of-stopped"]


async def test_many_dependents_are_queued_a_part_at_a_time(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependents, "DEPENDENTS_PER_CALL", 50)
    children = [f"child-{number:04}" for number in range(600)]
    await enqueue_jobs(shard, "parent")
    for child in children:
        await enqueue_dependent(shard, child, "parent")
    await run(shard, "parent")
    assert await enqueue_dependents(shard, now=NOW) == len(children)
    assert sorted(await queued_ids(shard)) == children
    assert not {"job:parent:dependents", "wm:rq-parents"} & await shard_keys(shard)


async def test_a_dependent_that_nobody_has_told_of_the_end_of_its_parents_is_queued_by_the_sweep(shard: Shard) -> None:
    await enqueue_jobs(shard, "parent", "unfinished")
    await enqueue_dependent(shard, "child", "parent")
    await enqueue_dependent(shard, "waits-on", "parent", "unfinished")
    await run(shard, "parent")
    # A plain RQ worker that has died between the failure of a job and the step after it leaves no word of it.
    await shard.execute(("DEL", f"{shard.prefix}:wm:rq-parents"))
    await sweep(shard, "default", part=0, now=NOW)
    assert await queued_ids(shard) == ["unfinished", "child"]
    assert await job_status(shard, "waits-on") == "deferred"


async def test_a_dependent_that_a_dead_rq_client_has_left_on_its_way_is_queued_by_the_sweep(shard: Shard) -> None:
    await enqueue_jobs(shard, "parent")
    await enqueue_dependent(shard, "child", "parent", status="ready_to_enqueue")
    await shard.execute(
        ("ZREM", f"{shard.prefix}:deferred:default", "child"), ("ZADD", f"{shard.prefix}:ready:default", NOW, "child")
    )
    await sweep(shard, "default", part=0, now=NOW + 9)
    assert await job_status(shard, "child") == "ready_to_enqueue"
    await sweep(shard, "default", part=0, now=NOW + 11)
    assert await queued_ids(shard) == ["parent", "child"]
    assert await sorted_set(shard, "ready:default") == {}


async def test_garbage_among_the_dependents_costs_nobody_else_anything(shard: Shard) -> None:
    await enqueue_jobs(shard, "parent", "of-another-type")
    await enqueue_dependent(shard, "child", "parent", "of-another-type")
    await shard.execute(
        ("SADD", f"{shard.prefix}:job:parent:dependents", "gone", b"\xff"),
        (
            "HSET",
            f"{shard.prefix}:wm:rq-parents",
            b"\xff",
            "finished",
            "gone",
            b"\xff",
            "far",
            "finished 99999999999999999999",
        ),
        ("DEL", f"{shard.prefix}:job:of-another-type"),
        ("SET", f"{shard.prefix}:job:of-another-type", "x"),
        ("SET", f"{shard.prefix}:job:gone:dependents", "x"),
        ("LREM", f"{shard.prefix}:queue:default", 0, "of-another-type"),
    )
    await run(shard, "parent")
    await enqueue_dependents(shard, now=NOW)
    assert await queued_ids(shard) == ["child"]
    assert "wm:rq-parents" not in await shard_keys(shard)
