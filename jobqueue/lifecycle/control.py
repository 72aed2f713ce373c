"""Changes of mind about jobs: cancel, requeue, delete."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobqueue import keys
from jobqueue.model import FAILURE_TTL_SECONDS
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import clock_argument, iso

REQUEUE_BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class CancelResult:
    """What cancelling a job came to.

    Attributes:
        outcome: 'missing', 'canceled' (it had not begun), 'stopping' (its worker was told to end it) or 'ended'.
        status: of a job that had ended before.
    """

    outcome: str
    status: str | None = None


async def cancel(
    shard: Shard, job_ids: Sequence[str], *, ttl_seconds: int = FAILURE_TTL_SECONDS, now: float | None = None
) -> list[CancelResult]:
    """Cancels jobs. The one operation that may walk a queue.

    Raises:
        ShardUnavailable: try again.
    """
    rows: list[list[bytes]] = await _run(shard, "cancel", clock_argument(now), iso(now), ttl_seconds, *job_ids)
    return [CancelResult(row[0].decode(), row[1].decode() if row[0] == b"ended" else None) for row in rows]


async def requeue(shard: Shard, job_ids: Sequence[str], *, now: float | None = None) -> list[str]:
    """Puts failed, stopped and cancelled jobs back on their queues.

    Returns:
        For each job 'queued', 'missing', or the status that forbids it.

    Raises:
        ShardUnavailable: try again.
    """
    return _texts(await _run(shard, "requeue", iso(now), *job_ids))


async def requeue_failed(shard: Shard, queue: str, *, now: float | None = None) -> int:
    """Requeues every job that has failed in `queue` on this shard by now; cancelled ones are left alone.

    Returns:
        How many were requeued.

    Raises:
        ShardUnavailable: try again; what was requeued before stays so.
    """
    key = keys.registry(shard.prefix, "failed", queue)
    # Jobs may fail again while this goes on: as many are looked at as there were at the beginning.
    (left,) = await shard.execute(("ZCARD", key))
    requeued, passed_over = 0, 0
    while left > 0:
        last = passed_over + min(left, REQUEUE_BATCH_SIZE) - 1
        (job_ids,) = await shard.execute(("ZRANGE", key, passed_over, last))
        if not job_ids:
            break
        failed = await _only_failed(shard, job_ids)
        outcomes = await requeue(shard, failed, now=now) if failed else []
        queued = outcomes.count("queued")
        requeued += queued
        passed_over += len(job_ids) - queued
        left -= len(job_ids)
    return requeued


async def delete(shard: Shard, job_ids: Sequence[str]) -> list[str]:
    """Deletes jobs and all that is kept about them.

    Returns:
        For each job 'deleted', 'missing', or 'started' (it runs: cancel it first).

    Raises:
        ShardUnavailable: try again.
    """
    return _texts(await _run(shard, "delete", *job_ids))


async def _only_failed(shard: Shard, job_ids: Sequence[bytes]) -> list[str]:
    # RQ keeps stopped jobs in the same registry.
    commands = [("HGET", keys.job(shard.prefix, job_id.decode()), "status") for job_id in job_ids]
    statuses = await shard.execute(*commands)
    return [id_.decode() for id_, status in zip(job_ids, statuses, strict=True) if status in (b"failed", None)]


async def _run(shard: Shard, name: str, *arguments: str | int) -> Any:
    return await shard.run(script(name), *arguments, replicate=True)


def _texts(answers: Sequence[bytes]) -> list[str]:
    return [answer.decode() for answer in answers]
