"""Single fields of jobs' records: queue, status, progress. Cheap, so that many can be asked for, and often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobqueue import keys
from jobqueue.lifecycle.notes import told_progress
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of, text_of


async def read_queues(shard: Shard, job_ids: Sequence[str]) -> list[str | None]:
    """Return the queues of jobs of one shard, as `name_of` does; None for each that does not exist, or names none.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    return [None if answer is None else name_of(answer) for answer in await _read_field(shard, job_ids, "origin")]


@dataclass(frozen=True, slots=True)
class JobState:
    """What changes while a job runs; the status is '' and the queue None if there is no such job."""

    status: str
    queue: str | None
    progress: Mapping[str, Any] | None


async def read_progress(shard: Shard, job_id: str) -> JobState:
    """Return how far a job is.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    key = keys.job(shard.prefix, job_id)
    (found,) = await shard.execute(("HMGET", key, "status", "origin", "wm_progress"), tolerate_wrong_types=True)
    status, queue, progress = found or (None, None, None)
    return JobState(text_of(status or b""), None if queue is None else name_of(queue), told_progress(progress))


async def read_statuses(shard: Shard, job_ids: Sequence[str]) -> list[str | None]:
    """Return the statuses of jobs of one shard; None for each that does not exist.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    return [None if answer is None else text_of(answer) for answer in await _read_field(shard, job_ids, "status")]


async def read_queues_and_statuses(shard: Shard, job_ids: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """Return queue and status of jobs of one shard, as `read_queues` and `read_statuses` do.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    commands = [("HMGET", keys.job(shard.prefix, job_id), "origin", "status") for job_id in job_ids]
    answers = await shard.execute(*commands, tolerate_wrong_types=True) if commands else []
    return [
        (None if origin is None else name_of(origin), None if status is None else text_of(status))
        for origin, status in (answer or (None, None) for answer in answers)
    ]


async def find_ended(shard: Shard, job_ids: Sequence[str]) -> list[str]:
    """Return those of these jobs of one shard that have ended or do not exist, in order.

    If few of them have ended, it costs a manager an eighth of the time that reading their statuses takes.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    return [job_ids[place - 1] for place in await shard.run(script("find_ended"), *job_ids)]


async def _read_field(shard: Shard, job_ids: Sequence[str], field: str) -> list[bytes | None]:
    commands = [("HGET", keys.job(shard.prefix, job_id), field) for job_id in job_ids]
    return await shard.execute(*commands, tolerate_wrong_types=True)
