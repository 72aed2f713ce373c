"""Claim jobs: lease queued jobs to a worker; release those that it did not start.

Hot path: see `worker_noop` in benchmarks/README.md#what-limits-each-figure.
"""

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from jobqueue.claimed_job import ClaimedJob, RqCallback, RqCallbacks
from jobqueue.model import (
    DAY_SECONDS,
    FAILURE_TTL_SECONDS,
    ISOLATED,
    LEASE_SECONDS,
    RQ_CALLBACK_TIMEOUT_SECONDS,
    RQ_RESULT_TTL_SECONDS,
    RQ_TIMEOUT_SECONDS,
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
    traces: bool = False,
) -> list[ClaimedJob]:
    """Lease up to `count` jobs to `worker`, at most `CLAIM_LIMIT`, and fewer if they are large.

    They come from the first of `queues` that have some, or with `ALL_QUEUES` from every queue in turn. A job that was
    lost with its worker before comes alone. A call repeated with the same `token` (as the repeats within
    `retry_seconds` are) returns the jobs of the first answer.

    Args:
        traces: whether to read `ClaimedJob.trace`, which costs each job.

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
        "1" if traces else "",
        *queues,
        retry_seconds=retry_seconds,
    )
    return _claimed(rows, token, shard.index)


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


class _Common(NamedTuple):
    """What most jobs of a call have in common, so that it is read once for all of them; see ClaimedJob."""

    queue: str
    timeout_seconds: int | None
    from_http: bool
    feed: bool
    result_ttl_seconds: int
    failure_ttl_seconds: int
    problems: tuple[str, ...]
    isolated: bool
    rq_features: str
    rq_callbacks: RqCallbacks | None
    trace: bytes


def _claimed(rows: Sequence[Sequence[Any]], token: str, shard_index: int) -> list[ClaimedJob]:
    jobs = []
    for job_id, data, attempt, since, *rest in rows:
        if rest:
            common = _common(*rest)
        problems = common.problems
        try:
            id_ = job_id.decode()
        except UnicodeDecodeError:
            id_ = name_of(job_id)  # Neither RQ's workers nor HTTP can name it.
            problems = (f"its id {job_id[:80]!r} is not UTF-8", *problems)
        # By position: naming so many arguments takes longer than all else.
        jobs.append(
            ClaimedJob(
                id_,
                token,
                shard_index,
                common.queue,
                data,
                common.timeout_seconds,
                common.from_http,
                common.feed,
                common.result_ttl_seconds,
                common.failure_ttl_seconds,
                attempt,
                f"the job cannot run: {'; '.join(problems)}" if problems else None,
                common.isolated,
                common.rq_features,
                common.rq_callbacks,
                False,
                since,
                common.trace,
            )
        )
    return jobs


def _common(
    timeout: bytes,
    queue: bytes,
    feed: bytes,
    result_ttl: bytes,
    failure_ttl: bytes,
    asked: Sequence[Any],
    problem: bytes,
    isolation: bytes = b"",
    trace: bytes = b"",
) -> _Common:
    problems = [problem.decode("utf-8", "replace")] if problem else []
    # A plain RQ job without a timeout gets RQ's default; -1 means no limit.
    timeout_seconds = _seconds("timeout", timeout or b"%d" % RQ_TIMEOUT_SECONDS, RQ_TIMEOUT_SECONDS, problems)
    result_ttl_seconds = _seconds("result_ttl", result_ttl, RQ_RESULT_TTL_SECONDS, problems)
    failure_ttl_seconds = _seconds("failure_ttl", failure_ttl, FAILURE_TTL_SECONDS, problems)
    try:
        queue_name = queue.decode()
    except UnicodeDecodeError:
        queue_name = name_of(queue)
        problems.append(f"the name of its queue {queue[:80]!r} is not UTF-8")
    letters, callbacks = asked or (b"", ())
    return _Common(
        queue=queue_name,
        timeout_seconds=timeout_seconds if timeout_seconds >= 0 else None,
        from_http=feed != b"",
        feed=feed == b"1",
        result_ttl_seconds=result_ttl_seconds,
        failure_ttl_seconds=failure_ttl_seconds,
        isolated=isolation == ISOLATED.encode(),
        rq_features=letters.decode(),
        rq_callbacks=_callbacks(callbacks, problems),
        problems=tuple(problems),
        trace=trace,
    )


def _seconds(name: str, text: bytes, default: int, problems: list[str]) -> int:
    try:
        value = int(text)
    except ValueError:
        value = MAX_SECONDS + 1
    if -MAX_SECONDS <= value <= MAX_SECONDS:
        return value
    problems.append(f"{name} of its record is {text[:80].decode('utf-8', 'replace')!r}, not a number of seconds")
    return default


def _callbacks(fields: Sequence[bytes], problems: list[str]) -> RqCallbacks | None:
    def callback(name: bytes, timeout: bytes) -> RqCallback | None:
        if not name:
            return None
        default = RQ_CALLBACK_TIMEOUT_SECONDS
        return RqCallback(
            name_of(name), _seconds("a callback's timeout", timeout or b"%d" % default, default, problems)
        )

    return RqCallbacks(*map(callback, fields[::2], fields[1::2])) if fields else None
