"""Listing jobs page by page, over shards, queues and statuses."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter

import pytest

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection import listing
from jobqueue.inspection.listing import InvalidCursor, list_jobs, queue_names
from jobqueue.job_view import JobView
from jobqueue.lifecycle.control import cancel
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.model import Status
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    new_job,
    stopped_outcome,
    success_outcome,
)

QUEUES = ("default", "high", "low")


async def _fill(shards: Shards) -> dict[str, Counter[str]]:
    """Write jobs of every status to every queue of every shard; return queue -> status -> number of jobs."""
    for number, shard in enumerate(shards):
        for queue in QUEUES:
            prefix = f"{number}-{queue}"
            await enqueue_jobs(shard, *(f"{prefix}-{n}" for n in range(12)), queue=queue)
            finished, failed, stopped, *started = await claim_jobs(shard, 5, queue)
            outcomes: list[Outcome] = [success_outcome(finished), failed_outcome(failed), stopped_outcome(stopped)]
            await finish(shard, "w1", outcomes, now=NOW)
            await enqueue_jobs(shard, f"{prefix}-later", f"{prefix}-latest", queue=queue, due_at=NOW + 60)
            await cancel(shard, [f"{prefix}-11"], now=NOW)
            assert len(started) == 2
    by_status = {"queued": 6, "started": 2, "finished": 1, "failed": 1, "stopped": 1, "canceled": 1, "scheduled": 2}
    return {queue: Counter({status: n * len(shards) for status, n in by_status.items()}) for queue in QUEUES}


async def _list_all(shards: Shards, functions: FunctionRegistry, limit: int, **filters: object) -> list[JobView]:
    jobs: list[JobView] = []
    cursor = None
    while True:
        page = await list_jobs(shards, functions, limit=limit, cursor=cursor, **filters)  # type: ignore[arg-type]
        assert len(page.jobs) <= limit
        jobs += page.jobs
        cursor = page.cursor
        if cursor is None:
            return jobs


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_a_listing_has_every_job_exactly_once(
    any_shards: Shards, functions: FunctionRegistry, limit: int
) -> None:
    expected = await _fill(any_shards)
    jobs = await _list_all(any_shards, functions, limit)
    assert len({job.id for job in jobs}) == len(jobs)
    assert {queue: Counter(job.status for job in jobs if job.queue == queue) for queue in QUEUES} == expected


async def test_filters_by_status_and_queue(any_shards: Shards, functions: FunctionRegistry) -> None:
    expected = await _fill(any_shards)
    for status in ("queued", "stopped", "failed", "started"):
        jobs = await _list_all(any_shards, functions, 4, status=Status(status), queue="high")
        assert {job.queue for job in jobs} == {"high"}
        assert {job.status for job in jobs} == {status}
        assert len(jobs) == expected["high"][status]
    assert await _list_all(any_shards, functions, 4, queue="nowhere") == []


async def test_queued_jobs_are_listed_in_queue_order_and_ended_jobs_latest_first(
    shards: Shards, functions: FunctionRegistry
) -> None:
    (shard,) = shards
    await enqueue_jobs(shard, "a", "b", "c", "d")
    for second in range(2):
        (job,) = await claim_jobs(shard)
        await finish(shard, "w1", [success_outcome(job)], now=NOW + second)
    assert [job.id for job in await _list_all(shards, functions, 1, status=Status.QUEUED)] == ["c", "d"]
    assert [job.id for job in await _list_all(shards, functions, 1, status=Status.FINISHED)] == ["b", "a"]


async def test_a_page_that_skips_many_deleted_jobs_ends_early_with_a_cursor(
    shards: Shards, functions: FunctionRegistry
) -> None:
    (shard,) = shards
    gone = [f"gone-{number}" for number in range(2500)]
    await shard.execute(("SADD", "rq:queues", "rq:queue:default"), ("RPUSH", "rq:queue:default", *gone))
    await enqueue(shard, [new_job("a")], now=NOW)
    page = await list_jobs(shards, functions, limit=500)
    assert (page.jobs, page.cursor is None) == ((), False)
    assert [job.id for job in await _list_all(shards, functions, 500)] == ["a"]


async def test_queue_names_are_sorted(shards: Shards) -> None:
    (shard,) = shards
    for queue in ("low", "a b", "high"):
        await enqueue_jobs(shard, f"in-{queue[0]}", queue=queue)
    assert await queue_names(shard) == ["a b", "high", "low"]


def _cursor(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode()


BAD_CURSORS = [
    "x",
    "ü",
    "%%%",
    "=",
    _cursor([]),
    _cursor(["queued", 0, "default"]),
    _cursor(["nonsense", 0, "default", 0]),
    _cursor(["queued", 0, "default", -1]),
    _cursor(["queued", -1, "default", 0]),
    _cursor(["queued", 99, "default", 0]),
    _cursor(["queued", 0, "default", 10**30]),
    _cursor(["queued", 0, "default", float("inf")]),
    _cursor(["queued", 0, "default", True]),
    _cursor(["queued", 0, "\ud800", 0]),
    _cursor(["queued", 0, 7, 0]),
    _cursor([["queued"], 0, "default", 0]),
    _cursor({"status": "queued", "a": 1, "b": 2, "c": 3}),
    urlsafe_b64encode(b"[" * 100_000).decode(),
    urlsafe_b64encode(b"\xff\xfe\x00").decode(),
]


@pytest.mark.parametrize("cursor", BAD_CURSORS, ids=range(len(BAD_CURSORS)))
async def test_an_invalid_cursor_is_rejected(shards: Shards, functions: FunctionRegistry, cursor: str) -> None:
    await enqueue_jobs(shards.all[0], "a")
    with pytest.raises(InvalidCursor):
        await list_jobs(shards, functions, cursor=cursor)


async def test_a_cursor_of_a_listing_with_other_filters_is_rejected(
    shards: Shards, functions: FunctionRegistry
) -> None:
    await enqueue_jobs(shards.all[0], "a", "b")
    cursor = (await list_jobs(shards, functions, status=Status.QUEUED, limit=1)).cursor
    for filters in ({"status": Status.FAILED}, {"queue": "high"}):
        with pytest.raises(InvalidCursor):
            await list_jobs(shards, functions, cursor=cursor, **filters)


async def test_no_cursor_names_a_queue_that_is_not_shown(
    shards: Shards, functions: FunctionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_SKIPPED_PER_PAGE", 3)
    for shard in shards:
        await enqueue_jobs(shard, *(f"theirs-{number}" for number in range(9)), queue="secret")
        await enqueue_jobs(shard, "ours-1", "ours-2", queue="tenant")
    page = await list_jobs(shards, functions, limit=1, shows=lambda queue: queue == "tenant")
    ids = [job.id for job in page.jobs]
    while page.cursor is not None:
        assert b"secret" not in urlsafe_b64decode(page.cursor + "==")
        page = await list_jobs(shards, functions, limit=1, cursor=page.cursor, shows=lambda queue: queue == "tenant")
        ids += [job.id for job in page.jobs]
    assert ids == ["ours-1", "ours-2"] * len(shards)
