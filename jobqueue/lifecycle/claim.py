"""Claim jobs: lease queued jobs to a worker; release those that it did not start.

Hot path: see `worker_noop` in benchmarks/README.md#what-limits-each-figure.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from jobqueue.model import (
    DAY_SECONDS,
    FAILURE_TTL_SECONDS,
    ISOLATED,
    LEASE_SECONDS,
    RQ_CALLBACK_TIMEOUT_SECONDS,
    RQ_RESULT_TTL_SECONDS,
    RQ_TIMEOUT_SECONDS,
    ClaimedJob,
    RqCallback,
    RqCallbacks,
)
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of
from jobqueue.timestamps import clock_argument, iso

CLAIM_LIMIT = 1000
"""Maximum number of jobs per call: Lua's stack holds a few thousand values."""
MAX_SECONDS = 100 * 365 * DAY_SECONDS
"""Of the times in a record: a larger number is a mistake."""
MAX_CLAIM_BYTES = 16 * 1024 * 1024
"""A call stops at the job whose data reach this size in total: the answer must fit into memory."""


async def claim(
    shard: Shard,
    worker: str,
    queues: Sequence[str],
    count: int,
    *,
    lease_seconds: float = LEASE_SECONDS,
    token: str | None = None,
    now: float | None = None,
    retry_seconds: float = 1.0,
) -> list[ClaimedJob]:
    """Lease up to `count` jobs to `worker`, at most `CLAIM_LIMIT`, and fewer if they are large.

    They come from the first of `queues` that have some, or with `ALL_QUEUES` from every queue in turn. A job that was
    lost with its worker before comes alone. A call repeated with the same `token` (as the repeats within
    `retry_seconds` are) returns the jobs of the first answer.

    Raises:
        ShardUnavailable: jobs that were leased nevertheless run elsewhere once the lease expires.
    """
    token = token or secrets.token_hex(8)
    rows = await shard.run(
        script("claim"),
        clock_argument(now),
        iso(now),
        worker,
        token,
        repr(lease_seconds),
        min(count, CLAIM_LIMIT),
        RQ_RESULT_TTL_SECONDS,
        FAILURE_TTL_SECONDS,
        MAX_CLAIM_BYTES,
        *queues,
        retry_seconds=retry_seconds,
    )
    return [_claimed(row, token, shard.index) for row in rows]


async def release(
    shard: Shard, jobs: Sequence[ClaimedJob], *, now: float | None = None, retry_seconds: float = 5.0
) -> int:
    """Give jobs back to the head of their queues, in order; the attempt does not count.

    A job that was cancelled meanwhile ends as cancelled instead.

    Returns:
        Number of jobs released. A job whose lease is gone is skipped.

    Raises:
        ShardUnavailable: the jobs run elsewhere once their leases expire.
    """
    arguments = [argument for job in jobs for argument in (job.id, job.token, job.queue)]
    answer = await shard.run(
        script("release"),
        clock_argument(now),
        iso(now),
        FAILURE_TTL_SECONDS,
        *arguments,
        retry_seconds=retry_seconds,
    )
    return int(answer)


def _claimed(row: Sequence[Any], token: str, shard_index: int) -> ClaimedJob:
    job_id, data, timeout, queue, feed, result_ttl, failure_ttl, attempt, asked, problem, since, *asks = row
    problems = [problem.decode("utf-8", "replace")] if problem else []

    def seconds(name: str, text: bytes, default: int) -> int:
        try:
            value = int(text)
        except ValueError:
            value = MAX_SECONDS + 1
        if -MAX_SECONDS <= value <= MAX_SECONDS:
            return value
        problems.append(f"{name} of its record is {text[:80].decode('utf-8', 'replace')!r}, not a number of seconds")
        return default

    try:
        id_, queue_name = job_id.decode(), queue.decode()
    except UnicodeDecodeError:
        # Neither RQ's workers nor HTTP can name it.
        id_, queue_name = name_of(job_id), name_of(queue)
        problems.append(f"its id {job_id[:80]!r} or the name of its queue {queue[:80]!r} is not UTF-8")

    letters, callbacks = asked or (b"", ())

    def callback(name: bytes, timeout: bytes) -> RqCallback | None:
        default = RQ_CALLBACK_TIMEOUT_SECONDS
        return (
            RqCallback(name_of(name), seconds("a callback's timeout", timeout or b"%d" % default, default))
            if name
            else None
        )

    # A plain RQ job without a timeout gets RQ's default; -1 means no limit.
    timeout_seconds = seconds("timeout", timeout or b"%d" % RQ_TIMEOUT_SECONDS, RQ_TIMEOUT_SECONDS)
    return ClaimedJob(
        id=id_,
        token=token,
        shard_index=shard_index,
        queue=queue_name,
        data=data,
        timeout_seconds=timeout_seconds if timeout_seconds >= 0 else None,
        from_http=feed != b"",
        feed=feed == b"1",
        result_ttl_seconds=seconds("result_ttl", result_ttl, RQ_RESULT_TTL_SECONDS),
        failure_ttl_seconds=seconds("failure_ttl", failure_ttl, FAILURE_TTL_SECONDS),
        attempt=int(attempt),
        rq_features=letters.decode(),
        rq_callbacks=RqCallbacks(*map(callback, callbacks[::2], callbacks[1::2])) if callbacks else None,
        unreadable=f"the job cannot run: {'; '.join(problems)}" if problems else None,
        isolated=bool(asks) and asks[0] == ISOLATED.encode(),
        since=since,
        trace=asks[1] if len(asks) > 1 else b"",
    )
