"""Single fields of jobs' records: queue, status, progress. Cheap, so that many can be asked for, and often."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import integer_of, name_of, text_of


async def read_queues(shard: Shard, job_ids: Sequence[str]) -> list[str | None]:
    """Return the queues of jobs of one shard, as `name_of` does; None for each that does not exist, or names none.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    return [None if answer is None else name_of(answer) for answer in await _read_field(shard, job_ids, "origin")]


@dataclass(frozen=True, slots=True)
class JobState:
    """What changes while a job runs.

    Attributes:
        status: '' if there is no such job.
        queue: None if there is no such job.
        progress: how far it is, as JSON; b'' if it has not told that.
        lines: how many lines it has logged.
    """

    status: str
    queue: str | None
    progress: bytes
    lines: int


async def read_states(shard: Shard, job_ids: Sequence[str]) -> list[JobState]:
    """Return how far jobs of one shard are.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    fields = ("status", "origin", "wm_progress", "wm_log_lines")
    commands = [("HMGET", keys.job(shard.prefix, job_id), *fields) for job_id in job_ids]
    answers = await shard.execute(*commands, tolerate_wrong_types=True) if commands else []
    return [
        JobState(text_of(status or b""), None if queue is None else name_of(queue), progress or b"", integer_of(lines))
        for status, queue, progress, lines in (answer or (None, None, None, None) for answer in answers)
    ]


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
