"""Listings of jobs with large payloads, results and errors: bounded bytes from Redis, memory, time and answer."""

import os
import time
import tracemalloc
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.listing import list_jobs
from jobqueue.job_view import JobView
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.model import Status
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.schemas.documents import job_document
from tests.integration.jobqueue.queue_helpers import claim_jobs, enqueue_jobs, failed_outcome, new_job, success_outcome

MEBIBYTE = 1024 * 1024
JOBS = 150
MAX_ANSWER_BYTES = 8 * MEBIBYTE
MAX_MEMORY_BYTES = 32 * MEBIBYTE
MAX_CPU_SECONDS = 0.02


async def _sent_bytes(shard: Shard) -> int:
    """Return how much the server has sent to its clients so far."""
    (info,) = await shard.execute(("INFO", "stats"))
    (line,) = [line for line in info.split(b"\r\n") if line.startswith(b"total_net_output_bytes:")]
    return int(line.partition(b":")[2])


def _json(jobs: Sequence[JobView]) -> bytes:
    return orjson.dumps([job_document(job) for job in jobs])


async def _enqueue_large(shard: Shard, *, count: int, prefix: str = "large") -> None:
    for number in range(count):
        data = b'["worker_node.functions.noop", null, ["%b"], {}]' % (b"x" * MEBIBYTE)
        await enqueue(shard, [new_job(f"{prefix}-{number}")._replace(data=data)])


async def test_a_listing_reads_no_call(shards: Shards, functions: FunctionRegistry) -> None:
    (shard,) = shards
    await _enqueue_large(shard, count=JOBS)
    before = await _sent_bytes(shard)
    page = await list_jobs(shards, functions, limit=JOBS)
    assert len(page.jobs) == JOBS
    assert {(job.function, job.args) for job in page.jobs} == {("noop", None)}
    assert await _sent_bytes(shard) - before < 1000 * JOBS


async def test_a_listing_reads_no_large_result(shards: Shards, functions: FunctionRegistry) -> None:
    (shard,) = shards
    for number in range(JOBS):
        await enqueue_jobs(shard, f"job-{number}")
        (job,) = await claim_jobs(shard)
        await finish(shard, "w1", [success_outcome(job, "x" * 1_000_000 if number % 2 else number)])
    before = await _sent_bytes(shard)
    page = await list_jobs(shards, functions, limit=JOBS)
    assert await _sent_bytes(shard) - before < 1000 * JOBS
    shown = {job.id: job.result for job in page.jobs}
    assert shown == {f"job-{n}": None if n % 2 else str(n).encode() for n in range(JOBS)}
    assert sum(job.result_note is not None for job in page.jobs) == JOBS // 2


@pytest.mark.parametrize("text", ["ascii", "\u0001", "ü", "🙂"])
async def test_an_answer_has_at_most_8_mib_and_goes_on_with_its_cursor(
    shards: Shards, functions: FunctionRegistry, text: str
) -> None:
    (shard,) = shards
    expected = {f"job-{number}" for number in range(600)}
    await enqueue_jobs(shard, *expected, meta=orjson.dumps({"m": text * 900}))
    jobs = await claim_jobs(shard, len(expected))
    trace = text * 6000 + "\nValueError: no"
    await finish(shard, "w1", [failed_outcome(job, traceback=trace) for job in jobs])
    seen: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page = await list_jobs(shards, functions, limit=1000, cursor=cursor)
        assert page.jobs
        assert len(_json(page.jobs)) <= MAX_ANSWER_BYTES
        seen += [job.id for job in page.jobs]
        cursor, pages = page.cursor, pages + 1
    assert (len(seen), set(seen)) == (len(expected), expected)
    assert pages > 1


async def test_one_job_with_the_longest_error_still_makes_a_page(shards: Shards, functions: FunctionRegistry) -> None:
    (shard,) = shards
    await enqueue_jobs(shard, "a", "b")
    jobs = await claim_jobs(shard, 2)
    noise = os.urandom(500_000).hex()
    await finish(shard, "w1", [failed_outcome(job, traceback=noise) for job in jobs])
    page = await list_jobs(shards, functions)
    assert [job.id for job in page.jobs] == ["b", "a"]
    assert page.jobs[0].error is not None
    assert "GET /jobs/ID" in page.jobs[0].error.message
    assert len(_json(page.jobs)) < 10_000


async def test_a_page_among_a_million_jobs_costs_little_time_and_memory(
    shards: Shards, functions: FunctionRegistry
) -> None:
    (shard,) = shards
    await _enqueue_large(shard, count=JOBS)
    for start in range(0, 1_000_000, 10_000):
        await shard.execute(("RPUSH", "rq:queue:default", *(f"later-{n}" for n in range(start, start + 10_000))))
    await list_jobs(shards, functions)
    costs = []
    for _ in range(10):
        started = time.process_time()
        page = await list_jobs(shards, functions)
        _json(page.jobs)
        costs.append(time.process_time() - started)
        assert len(page.jobs) == 100
    assert min(costs) <= MAX_CPU_SECONDS, costs
    tracemalloc.start()
    try:
        _json((await list_jobs(shards, functions, limit=1000)).jobs)
        assert tracemalloc.get_traced_memory()[1] <= MAX_MEMORY_BYTES
    finally:
        tracemalloc.stop()


async def test_a_listing_writes_nothing_and_shows_large_results_beside_small_ones(
    shards: Shards, functions: FunctionRegistry
) -> None:
    (shard,) = shards
    await enqueue_jobs(shard, "a", "b")
    jobs = await claim_jobs(shard, 2)
    values = {"a": b"[1]", "b": b'"' + b"x" * 30_000 + b'"'}
    await finish(shard, "w1", [replace(success_outcome(job), value=b64encode(values[job.id])) for job in jobs])
    page = await list_jobs(shards, functions, status=Status.FINISHED)
    assert {job.id: job.result for job in page.jobs} == values
