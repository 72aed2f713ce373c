"""Jobs whose id, or whose queue's name, is not UTF-8: other programs can write them, nobody can run or ask for them."""

import json

import pytest

from jobqueue.claimed_job import ClaimedJob
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.counters import read_counts
from jobqueue.inspection.listing import list_jobs, queue_names
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.control import requeue_failed
from jobqueue.lifecycle.finish import Failed, finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap
from jobqueue.maintenance.expiry import prune
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.maintenance.reaped_jobs import report_reaped
from jobqueue.maintenance.rq_wakeups import wake_workers
from jobqueue.model import ALL_QUEUES, FAILURE_TTL_SECONDS, FailureReason, Status
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import LEASE_EXPIRED, NOW, claim_jobs, enqueue_jobs

NAMES = [(b"\xff\xfe", b"default"), (b"plain", b"q\xff"), (b"\xff", b"\xed\xa0\x80")]
"""Ids and queues; the last queue's name is half of a character, as some encoders write it."""

pytestmark = pytest.mark.parametrize(("job_id", "queue"), NAMES)


async def _write(shard: Shard, job_id: bytes, queue: bytes, status: str = "queued") -> None:
    prefix = shard.prefix.encode()
    fields = {"data": b'["worker_node.functions.noop",null,[],{}]', "origin": queue, "status": status}
    waiting: tuple[bytes | str | float, ...] = ("RPUSH", prefix + b":queue:" + queue, job_id)
    if status == "scheduled":
        waiting = ("ZADD", prefix + b":scheduled:" + queue, NOW - 1, job_id)
    await shard.execute(
        ("SADD", prefix + b":queues", prefix + b":queue:" + queue),
        ("HSET", prefix + b":job:" + job_id, *[word for field in fields.items() for word in field]),
        waiting,
    )


async def _reject(shard: Shard) -> ClaimedJob:
    """Claim the job and record its rejection, as workers do."""
    (job,) = await claim_jobs(shard, 10, *ALL_QUEUES)
    assert job.unreadable is not None
    report = await finish(shard, "w1", [Failed(job, "noop", 0.0, FailureReason.REJECTED, job.unreadable)], now=NOW)
    assert (report.lost, len(report.failed)) == ((), 1)
    return job


async def _entries(shard: Shard, job_id: bytes, queue: bytes) -> dict[str, list[bytes]]:
    """Return what stands in the keys that can name a job."""
    prefix = shard.prefix.encode()
    leases, running, failed, waiting = await shard.execute(
        ("ZRANGE", prefix + b":wm:leases", 0, -1),
        ("ZRANGE", prefix + b":wip:" + queue, 0, -1),
        ("ZRANGE", prefix + b":failed:" + queue, 0, -1),
        ("LRANGE", prefix + b":queue:" + queue, 0, -1),
    )
    entries = {"leases": leases, "running": running, "failed": failed, "waiting": waiting}
    return {name: found for name, found in entries.items() if found}


async def test_it_is_rejected_once_with_the_reason_and_nothing_is_left_of_its_claim(
    shard: Shard, any_shards: Shards, functions: FunctionRegistry, job_id: bytes, queue: bytes
) -> None:
    await _write(shard, job_id, queue)
    job = await _reject(shard)
    assert "is not UTF-8" in str(job.unreadable)
    assert await _entries(shard, job_id, queue) == {"failed": [job_id]}
    page = await list_jobs(any_shards, functions)
    (shown,) = page.jobs
    assert (shown.id, shown.status) == (job_id.decode(errors="replace"), Status.FAILED)
    assert shown.error is not None
    assert shown.error.reason == "rejected"
    assert "is not UTF-8" in shown.error.message
    counts = await read_counts(shard)
    assert counts.queues[queue.decode(errors="replace")].failed == 1
    # What is shown must fit into JSON.
    json.dumps([shown.id, shown.queue, shown.error.message, *counts.queues], ensure_ascii=False).encode()


async def test_its_lease_is_renewed_released_and_reaped(
    shard: Shard, job_id: bytes, queue: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await _write(shard, job_id, queue)
    (job,) = await claim_jobs(shard, 10, *ALL_QUEUES)
    extension = await extend(shard, "w1", [LeaseUpdate(job)], now=NOW)
    assert (extension.lost, extension.cancelled) == ((), frozenset())
    assert await release(shard, [job], now=NOW) == 1
    assert await _entries(shard, job_id, queue) == {"waiting": [job_id]}
    assert len(await claim_jobs(shard, 10, *ALL_QUEUES, token="second")) == 1
    reaped = await reap(shard, now=LEASE_EXPIRED)
    await report_reaped(shard, reaped, "lease_expired")
    assert "event=job_reaped" in caplog.text
    assert await _entries(shard, job_id, queue) == {"waiting": [job_id]}
    extension = await extend(shard, "w1", [LeaseUpdate(job)], now=NOW)
    assert extension.lost == (job,), "what is lost is told by the id that was given"


async def test_maintenance_reaches_its_queue(shard: Shard, job_id: bytes, queue: bytes) -> None:
    await _write(shard, job_id, queue, "scheduled")
    (name,) = await queue_names(shard)
    assert await enqueue_due(shard, name, "owner", now=NOW) == 1
    assert await wake_workers(shard, [name]) == [name]
    await _reject(shard)
    assert await requeue_failed(shard, name, now=NOW) == 1
    await _reject(shard)
    await prune(shard, now=NOW + FAILURE_TTL_SECONDS + 1)
    assert await _entries(shard, job_id, queue) == {}


async def test_a_page_of_a_listing_ends_and_goes_on_in_its_queue(
    plain_shard: Shard, shards: Shards, functions: FunctionRegistry, job_id: bytes, queue: bytes
) -> None:
    await enqueue_jobs(plain_shard, "first", queue="a")
    await _write(plain_shard, job_id, queue)
    await _write(plain_shard, b"last", queue)
    shown: list[str] = []
    cursor: str | None = None
    while not shown or cursor is not None:
        page = await list_jobs(shards, functions, limit=1, cursor=cursor)
        shown += [job.id for job in page.jobs]
        cursor = page.cursor
    assert shown == ["first", job_id.decode(errors="replace"), "last"]
