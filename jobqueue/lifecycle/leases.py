"""Leases: renew those of running jobs, and reap (take back) jobs whose lease has expired."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.finish import encode_traceback
from jobqueue.model import FAILURE_TTL_SECONDS, LEASE_SECONDS, MAX_LOSSES
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of, text_of
from jobqueue.timestamps import clock_argument, iso

REAP_LIMIT = 200
RESCUE_LIMIT = 1000
"""How many keys one call of `rescue` looks at: about a millisecond of Redis' time."""
RESCUE_GRACE_SECONDS = 60.0
"""Longer than anything between a claim and its lease can take."""
RQ_WORKER_LOST = "worker lost: a plain RQ worker abandoned the execution"


@dataclass(frozen=True, slots=True)
class LeaseUpdate:
    """A lease to renew.

    Attributes:
        begun_at: when the job began (Unix time), if it has run for more than a second (RQ's execution record is kept
            from then on); else None.
    """

    job: ClaimedJob
    begun_at: float | None = None


@dataclass(frozen=True, slots=True)
class Extension:
    """The result of renewing leases.

    Attributes:
        lost: jobs whose lease is gone: they may run elsewhere, and their outcome here does not count.
        cancelled: ids of jobs that must be stopped.
    """

    lost: tuple[ClaimedJob, ...]
    cancelled: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reaped:
    """A job taken back from a worker that did not renew its lease.

    Attributes:
        outcome: 'queued' (it runs again), 'failed' (lost too often) or 'stopped' (it had been cancelled).
        message: why it failed; '' unless it did.
    """

    job_id: str
    worker: str
    outcome: str
    message: str = ""


async def extend(
    shard: Shard,
    worker: str,
    updates: Sequence[LeaseUpdate],
    *,
    lease_seconds: float = LEASE_SECONDS,
    now: float | None = None,
    retry_seconds: float = 0.0,
) -> Extension:
    """Renew the leases of jobs on one shard.

    Raises:
        ShardUnavailable: try again soon; once the leases expire, the jobs run elsewhere.
    """
    arguments: list[str] = []
    for update in updates:
        begun = "" if update.begun_at is None else repr(update.begun_at)
        arguments += (update.job.id, update.job.token, update.job.queue, begun)
    lost, cancelled = await shard.run(
        script("extend"),
        clock_argument(now),
        iso(now),
        worker,
        repr(lease_seconds),
        *arguments,
        retry_seconds=retry_seconds,
    )
    return Extension(tuple(updates[place - 1].job for place in lost), frozenset(map(name_of, cancelled)))


async def reap(
    shard: Shard,
    *,
    lease_seconds: float = LEASE_SECONDS,
    max_losses: int = MAX_LOSSES,
    failure_ttl_seconds: int = FAILURE_TTL_SECONDS,
    now: float | None = None,
) -> list[Reaped]:
    """Take back up to `REAP_LIMIT` jobs whose lease has expired; none during the first lease after a failover.

    Raises:
        ShardUnavailable: try again soon.
    """
    message = f"worker lost: the job's lease expired {max_losses} times, because its workers died or were unreachable"
    arguments = (clock_argument(now), iso(now), repr(lease_seconds), max_losses, failure_ttl_seconds, REAP_LIMIT)
    _, rows = await shard.run(script("reap"), *arguments, encode_traceback(message))
    return [_reaped(row, message) for row in rows]


async def rescue(
    shard: Shard,
    cursor: int,
    *,
    grace_seconds: float = RESCUE_GRACE_SECONDS,
    max_losses: int = MAX_LOSSES,
    failure_ttl_seconds: int = FAILURE_TTL_SECONDS,
    now: float | None = None,
) -> tuple[int, list[Reaped]]:
    """Take back started jobs that nobody holds, among some `RESCUE_LIMIT` keys of the server.

    Args:
        cursor: 0 to begin with; then the one that the last call returned.
        grace_seconds: jobs that started less long ago are left alone.

    Returns:
        The next cursor (0 once all keys have been seen), and the jobs.

    Raises:
        ShardUnavailable: try again soon.
    """
    pattern = keys.job(shard.prefix, "*")
    ((next_cursor, found),) = await shard.execute(("SCAN", cursor, "MATCH", pattern, "COUNT", RESCUE_LIMIT))
    if not found:
        return int(next_cursor), []
    message = f"worker lost: the job was started {max_losses} times, and then nobody held it any more"
    started_before = iso((time.time() if now is None else now) - grace_seconds)
    arguments = (clock_argument(now), iso(now), started_before, max_losses, failure_ttl_seconds)
    rows = await shard.run(script("rescue"), *arguments, encode_traceback(message), *found)
    return int(next_cursor), [_reaped(row, message) for row in rows]


async def reap_rq_executions(
    shard: Shard, queue: str, *, failure_ttl_seconds: int = FAILURE_TTL_SECONDS, now: float | None = None
) -> list[tuple[str, str]]:
    """Take back jobs that plain RQ workers have abandoned, once RQ's own deadline has passed, by RQ's own rules.

    Returns:
        For each job its id, and 'queued' or 'failed'.

    Raises:
        ShardUnavailable: try again soon.
    """
    arguments = (clock_argument(now), iso(now), queue, failure_ttl_seconds, REAP_LIMIT)
    rows = await shard.run(script("reap_rq_executions"), *arguments, encode_traceback(RQ_WORKER_LOST))
    return [(name_of(job_id), outcome.decode()) for job_id, outcome in rows]


def _reaped(row: Sequence[bytes], message: str) -> Reaped:
    job_id, worker, outcome = row[0], *map(text_of, row[1:])
    return Reaped(name_of(job_id), worker, outcome, message if outcome == "failed" else "")
