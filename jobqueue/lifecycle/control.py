"""Job control: cancel, requeue and delete jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobqueue import keys
from jobqueue.model import FAILURE_TTL_SECONDS
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of, text_of
from jobqueue.timestamps import clock_argument, iso

REQUEUE_BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class CancelResult:
    """The result of cancelling a job.

    Attributes:
        outcome: 'missing', 'canceled' (it had not begun), 'stopping' (its worker was told to stop it) or 'ended'.
        status: the status of a job that had already ended; else None.
    """

    outcome: str
    status: str | None = None


async def cancel(
    shard: Shard,
    job_ids: Sequence[str],
    queues: Sequence[str | None] | None = None,
    *,
    ttl_seconds: int = FAILURE_TTL_SECONDS,
    now: float | None = None,
) -> list[CancelResult]:
    """Cancel jobs. This is the only operation that may walk a whole queue.

    Args:
        queues: for each job the queue that it must be in: in another one, it is missing. None for any.

    Raises:
        ShardUnavailable: try again.
    """
    rows: list[list[bytes]] = await _run(shard, "cancel", (clock_argument(now), iso(now), ttl_seconds), job_ids, queues)
    return [CancelResult(row[0].decode(), text_of(row[1]) if row[0] == b"ended" else None) for row in rows]


async def requeue(
    shard: Shard,
    job_ids: Sequence[str],
    queues: Sequence[str | None] | None = None,
    *,
    now: float | None = None,
) -> list[str]:
    """Put failed, stopped and cancelled jobs back on their queues.

    Args:
        queues: as for `cancel`.

    Returns:
        For each job 'queued', 'missing', or the status that forbids it.

    Raises:
        ShardUnavailable: try again.
    """
    return _texts(await _run(shard, "requeue", (clock_argument(now), iso(now)), job_ids, queues))


async def requeue_failed(shard: Shard, queue: str, *, now: float | None = None) -> int:
    """Requeue every job that has failed in `queue` on this shard by now; leave stopped ones alone.

    Returns:
        Number of jobs requeued.

    Raises:
        ShardUnavailable: try again; jobs requeued so far stay queued.
    """
    key = keys.registry(shard.prefix, "failed", queue)
    # Requeued jobs may fail again meanwhile, so only as many entries are checked as there were at first.
    (unchecked,) = await shard.execute(("ZCARD", key), tolerate_wrong_types=True)
    requeued, skipped = 0, 0
    while unchecked:
        last = skipped + min(unchecked, REQUEUE_BATCH_SIZE) - 1
        (job_ids,) = await shard.execute(("ZRANGE", key, skipped, last))
        if not job_ids:
            break
        failed = await _only_failed(shard, job_ids)
        outcomes = await requeue(shard, failed, [queue] * len(failed), now=now) if failed else []
        queued = outcomes.count("queued")
        requeued += queued
        skipped += len(job_ids) - queued
        unchecked = max(0, unchecked - len(job_ids))
    return requeued


async def delete(
    shard: Shard,
    job_ids: Sequence[str],
    queues: Sequence[str | None] | None = None,
    *,
    now: float | None = None,
) -> list[str]:
    """Delete jobs and everything that is kept about them.

    Args:
        queues: as for `cancel`.

    Returns:
        For each job 'deleted', 'missing', or 'started' (it is running: cancel it first).

    Raises:
        ShardUnavailable: try again.
    """
    return _texts(await _run(shard, "delete", (clock_argument(now), iso(now)), job_ids, queues))


async def _only_failed(shard: Shard, job_ids: Sequence[bytes]) -> list[str]:
    # RQ keeps stopped jobs in the same registry.
    ids = [name_of(job_id) for job_id in job_ids]
    commands = [("HGET", keys.job(shard.prefix, id_), "status") for id_ in ids]
    statuses = await shard.execute(*commands, tolerate_wrong_types=True)
    return [id_ for id_, status in zip(ids, statuses, strict=True) if status in (b"failed", None)]


async def _run(
    shard: Shard,
    name: str,
    arguments: Sequence[str | int],
    job_ids: Sequence[str],
    queues: Sequence[str | None] | None,
) -> Any:
    jobs = zip(job_ids, queues or [None] * len(job_ids), strict=True)
    pairs = [part for job_id, queue in jobs for part in (job_id, queue or "")]
    return await shard.run(script(name), *arguments, *pairs, replicate=True)


def _texts(answers: Sequence[bytes]) -> list[str]:
    return [text_of(answer) for answer in answers]
