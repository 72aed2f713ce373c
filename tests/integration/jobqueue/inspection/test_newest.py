"""Listing jobs of one status over all shards and queues in one order, page by page, while they change."""

import random

import pytest

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.listing import InvalidCursor
from jobqueue.inspection.newest import NewestPage, newest_jobs
from jobqueue.job_view import JobView
from jobqueue.lifecycle.control import cancel, delete
from jobqueue.lifecycle.finish import finish
from jobqueue.model import Status
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import NOW, claim_jobs, enqueue_jobs, failed_outcome

QUEUES = ("default", "high")
PER_LIST = 12


async def _fail_jobs(shards: Shards, *, spread_seconds: int) -> list[str]:
    """Let jobs fail in every queue of every shard; return their ids, those first that failed last."""
    seconds = random.Random(1)
    failed_at: dict[str, tuple[int, str]] = {}
    for shard in shards:
        for queue in QUEUES:
            await enqueue_jobs(
                shard, *(f"{shard.index}-{queue}-{number:02}" for number in range(PER_LIST)), queue=queue
            )
            for job in await claim_jobs(shard, PER_LIST, queue):
                later = seconds.randrange(spread_seconds)
                await finish(shard, "w1", [failed_outcome(job)], now=NOW + later)
                failed_at[job.id] = (later, job.id)
    return sorted(failed_at, key=lambda job_id: failed_at[job_id], reverse=True)


async def _pages(shards: Shards, functions: FunctionRegistry, limit: int, **options: object) -> list[NewestPage]:
    pages: list[NewestPage] = []
    while not pages or pages[-1].cursor:
        cursor = pages[-1].cursor if pages else None
        options |= {"limit": limit, "cursor": cursor}
        pages.append(await newest_jobs(shards, functions, Status.FAILED, **options))  # type: ignore[arg-type]
        assert len(pages[-1].jobs) <= limit
    return pages


def _ids(pages: list[NewestPage]) -> list[str]:
    return [job.id for page in pages for job in page.jobs]


@pytest.mark.parametrize(("limit", "spread_seconds"), [(1, 50), (7, 50), (7, 1), (1000, 3)])
async def test_pages_have_every_job_once_the_newest_first(
    any_shards: Shards, functions: FunctionRegistry, limit: int, spread_seconds: int
) -> None:
    """Also if all have failed in the same second: their order is that of their ids then."""
    expected = await _fail_jobs(any_shards, spread_seconds=spread_seconds)
    assert _ids(await _pages(any_shards, functions, limit)) == expected
    of_queue = await _pages(any_shards, functions, limit, queue="high")
    assert _ids(of_queue) == [job_id for job_id in expected if "high" in job_id]
    seen = await _pages(any_shards, functions, limit, shows=lambda queue: queue == "default")
    assert _ids(seen) == [job_id for job_id in expected if "default" in job_id]


async def test_jobs_that_come_and_go_move_no_other_to_another_page(
    any_shards: Shards, functions: FunctionRegistry
) -> None:
    expected = await _fail_jobs(any_shards, spread_seconds=5)
    first = await newest_jobs(any_shards, functions, Status.FAILED, limit=20)
    for job in first.jobs[5:]:  # the one that the cursor names, too
        for shard in any_shards:
            await delete(shard, [job.id])
    await enqueue_jobs(any_shards.all[0], "later")
    (job,) = await claim_jobs(any_shards.all[0], 1)
    await finish(any_shards.all[0], "w1", [failed_outcome(job)], now=NOW + 100)
    second = await newest_jobs(any_shards, functions, Status.FAILED, limit=1000, cursor=first.cursor)
    assert [job.id for job in second.jobs] == expected[20:]


async def test_a_search_stops_and_says_where_to_go_on(any_shards: Shards, functions: FunctionRegistry) -> None:
    expected = await _fail_jobs(any_shards, spread_seconds=5)

    def matches(job: JobView) -> bool:
        return job.id == expected[-1]

    pages = await _pages(any_shards, functions, 5, matches=matches, max_searched=10)
    assert [page.searched for page in pages[:2]] == [10, 10]
    assert sum(page.searched for page in pages) == len(expected)
    assert _ids(pages) == [expected[-1]]


async def test_scheduled_jobs_are_listed_by_when_they_are_due(any_shards: Shards, functions: FunctionRegistry) -> None:
    for number, shard in enumerate(any_shards):
        await enqueue_jobs(shard, f"second-{number}", due_at=NOW + 20 + number)
        await enqueue_jobs(shard, f"first-{number}", due_at=NOW + 10 + number)
    await enqueue_jobs(any_shards.all[0], "canceled", due_at=NOW + 1)
    await cancel(any_shards.all[0], ["canceled"])
    page = await newest_jobs(any_shards, functions, Status.SCHEDULED)
    names = [f"{name}-{number}" for name in ("first", "second") for number in range(len(any_shards))]
    assert [job.id for job in page.jobs] == names


@pytest.mark.parametrize("cursor", ["x", "WzFd", "WyJhIiwgImIiXQ", "WzEsIDJd", "e30"])
async def test_a_foreign_cursor_is_refused(any_shards: Shards, functions: FunctionRegistry, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        await newest_jobs(any_shards, functions, Status.FAILED, cursor=cursor)


async def test_many_failures_of_one_moment_take_few_calls(shards: Shards, functions: FunctionRegistry) -> None:
    """As a batch leaves them: they stand beside each other in one of many lists."""
    (shard,) = shards
    for queue, jobs, ago in (*((f"q{number}", 10, 9) for number in range(60)), ("high", 300, 0)):
        await enqueue_jobs(shard, *(f"{queue}-{number}" for number in range(jobs)), queue=queue)
        claimed = []
        while len(claimed) < jobs:
            claimed += await claim_jobs(shard, jobs, queue)
        await finish(shard, "w1", [failed_outcome(job) for job in claimed], now=NOW - ago)
    calls = shard._topology.round_trips
    before = calls.answered
    page = await newest_jobs([shard], functions, Status.FAILED, limit=300)
    assert {job.queue for job in page.jobs} == {"high"}
    assert calls.answered - before < 30
