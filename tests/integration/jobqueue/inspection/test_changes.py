"""The stream of changes: what writes to it, and that nothing does while nobody watches."""

from collections.abc import Awaitable, Callable

import pytest

from jobqueue import keys
from jobqueue.inspection.changes import (
    MAX_CHANGES,
    NO_CHANGE,
    Change,
    read_changes,
    wait_for_changes,
    watch_changes,
)
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap
from jobqueue.lifecycle.notes import JobNotes, save_notes
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.model import Limit
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    shard_keys,
    stopped_outcome,
    success_outcome,
)


async def changes_of(shard: Shard) -> list[Change]:
    """Return all that is kept, without the entry that begins it."""
    return [change for change in await read_changes(shard, "-", 1000) if change.job_id]


async def _finish(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b")
    await finish(shard, "w1", [success_outcome(job) for job in await claim_jobs(shard, 2)], now=NOW)


async def _finish_without_result(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", result_ttl_seconds=0)
    await finish(shard, "w1", [success_outcome(job) for job in await claim_jobs(shard)], now=NOW)


async def _fail(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", retries=1, retry_intervals=(60,))
    await finish(shard, "w1", [failed_outcome(job) for job in await claim_jobs(shard)], now=NOW)
    await enqueue_due(shard, "default", "owner", now=NOW + 61)
    await finish(shard, "w1", [failed_outcome(job) for job in await claim_jobs(shard)], now=NOW + 61)
    await requeue(shard, ["a"], now=NOW)


async def _stop(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    jobs = await claim_jobs(shard)
    await cancel(shard, ["a"], now=NOW)
    await finish(shard, "w1", [stopped_outcome(job) for job in jobs], now=NOW)


async def _cancel(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await cancel(shard, ["a"], now=NOW)
    await delete(shard, ["a"], now=NOW)


async def _release(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await release(shard, await claim_jobs(shard), now=NOW)


async def _lose(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await claim_jobs(shard)
    await reap(shard, now=NOW)
    await reap(shard, now=LEASE_EXPIRED)


async def _limit(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", limits=(Limit("k", concurrency=1),))
    await claim_jobs(shard)


STORIES: dict[str, tuple[Callable[[Shard], Awaitable[None]], str]] = {
    "finish": (_finish, "a:queued b:queued a:started b:started a:finished b:finished"),
    "finish without a result": (_finish_without_result, "a:queued a:started a:finished"),
    "fail": (_fail, "a:queued a:started a:scheduled a:queued a:started a:failed a:queued"),
    "stop": (_stop, "a:queued a:started a:stopped"),
    "cancel": (_cancel, "a:queued a:canceled a:deleted"),
    "release": (_release, "a:queued a:started a:queued"),
    "lose": (_lose, "a:queued a:started a:queued"),
    "limit": (_limit, "a:deferred a:started"),
}


@pytest.mark.parametrize("way", STORIES)
async def test_each_change_of_a_status_is_told_while_somebody_watches(shard: Shard, way: str) -> None:
    live, expected = STORIES[way]
    await watch_changes(shard)
    await live(shard)
    assert " ".join(f"{change.job_id}:{change.status}" for change in await changes_of(shard)) == expected


async def test_nothing_is_written_while_nobody_watches(shard: Shard) -> None:
    for live, _ in STORIES.values():
        await live(shard)
        await delete(shard, ["a", "b"], now=NOW)
    assert not {"wm:changes", "wm:watched"} & await shard_keys(shard)


async def test_a_change_names_queue_and_labels(shard: Shard) -> None:
    await watch_changes(shard)
    await enqueue_jobs(shard, "a", queue="q", labels='{"order":"42"}')
    (change,) = await changes_of(shard)
    assert (change.queue, change.labels) == ("q", {"order": "42"})


async def test_what_a_running_job_tells_is_a_change(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    await watch_changes(shard)
    await save_notes(shard, [JobNotes(job, '{"done":1}', [(1000, "log", "one"), (1000, "stderr", "two")])])
    (change,) = await changes_of(shard)
    assert (change.job_id, change.status, change.progress, change.lines) == ("a", "", b'{"done":1}', 2)


async def test_a_watcher_knows_whether_changes_are_missing(shard: Shard) -> None:
    begin = await watch_changes(shard)
    await enqueue_jobs(shard, "a")
    assert (await watch_changes(shard, begin.last_id)).is_unbroken
    (change,) = await wait_for_changes(shard, begin.last_id, 10, 1.0)
    assert change.job_id == "a"
    # Nobody has watched for a while: whoever goes on behind the last change comes across an entry that says so.
    await shard.execute(("DEL", keys.watched(shard.prefix)))
    await enqueue_jobs(shard, "b")
    await watch_changes(shard, change.id)
    await enqueue_jobs(shard, "c")
    assert [each.job_id for each in await wait_for_changes(shard, change.id, 10, 1.0)] == ["", "c"]
    # The stream is gone, as after a failover that has lost it.
    await shard.execute(("DEL", keys.changes(shard.prefix)))
    assert not (await watch_changes(shard, change.id)).is_unbroken


async def test_the_stream_is_capped(shard: Shard) -> None:
    await watch_changes(shard)
    command = ("XADD", keys.changes(shard.prefix), "*", "id", "old", "status", "queued")
    for _ in range(0, MAX_CHANGES, 1000):
        await shard.execute(*[command] * 1000)
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(1000)))
    (length,) = await shard.execute(("XLEN", keys.changes(shard.prefix)))
    assert MAX_CHANGES <= length < MAX_CHANGES + 1000


@pytest.mark.parametrize("obstacle", ["SET", "XADD"])
async def test_what_stands_in_the_way_of_the_stream_stops_no_job(shard: Shard, obstacle: str) -> None:
    await watch_changes(shard)
    key = keys.changes(shard.prefix)
    await shard.execute(
        ("DEL", key), ("SET", key, "x") if obstacle == "SET" else ("XADD", key, f"{2**64 - 1}-{2**64 - 1}", "a", "b")
    )
    await _finish(shard)
    assert [change.status for change in await changes_of(shard)][-1] == "finished"
    assert (await watch_changes(shard)).last_id != NO_CHANGE
