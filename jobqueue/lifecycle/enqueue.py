"""Enqueue new jobs, a whole batch per call.

Hot path: see `http_enqueue` in benchmarks/README.md#what-limits-each-figure.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain

from jobqueue.model import NewJob
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import clock_argument, iso


class EnqueueOutcome(Enum):
    """The outcome for one job: WRITTEN; REPEATED: its id exists with the same content; CONFLICT: with other content."""

    WRITTEN = 1
    REPEATED = 2
    CONFLICT = 0


@dataclass(frozen=True, slots=True)
class DuplicateUniqueKey:
    """The outcome for a job whose unique key another job holds.

    Attributes:
        job_id: the other job's id.
        free_in_seconds: seconds until the key is free again.
    """

    job_id: str
    free_in_seconds: float


EnqueueResult = EnqueueOutcome | DuplicateUniqueKey

_OUTCOMES = {outcome.value: outcome for outcome in EnqueueOutcome}
# All fields after id, function and data. Jobs with the same function and the same fields here travel as one group.
_SHARED_FIELDS = slice(NewJob._fields.index("data") + 1, None)


async def enqueue(
    shard: Shard, jobs: Sequence[NewJob], *, now: float | None = None, retry_seconds: float = 0.0
) -> list[EnqueueResult]:
    """Write jobs that all belong to `shard`; return once they survive the loss of its master.

    Returns:
        One result for each job, in order.

    Raises:
        ShardUnavailable, QueueFull: none of the jobs was written, unless `outcome_unknown`; a repeat is safe.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, job in enumerate(jobs):
        groups.setdefault((job.function, job[_SHARED_FIELDS]), []).append(place)
    written_at = iso(now)
    arguments: list[str | int | bytes] = [clock_argument(now)]
    for places in groups.values():
        arguments.extend(_shared(jobs[places[0]], written_at))
        arguments.append(len(places))
        for place in places:
            arguments += (jobs[place].id, jobs[place].data)
    raw_results = await shard.run(
        script("enqueue"), *arguments, replicate=True, needs_memory=True, retry_seconds=retry_seconds
    )
    by_place = dict(zip(chain.from_iterable(groups.values()), raw_results, strict=True))
    return [_result(by_place[place]) for place in range(len(jobs))]


def _shared(job: NewJob, written_at: str) -> Sequence[str | int]:
    """Return everything but id and data, as the script expects it."""
    fields: list[str | int] = ["created_at", written_at, "origin", job.queue, "description", job.function]
    fields += ["timeout", job.timeout_seconds, "result_ttl", job.result_ttl_seconds, "wm_feed", int(job.feed)]
    if job.due_at is None:
        fields += ["status", "queued", "enqueued_at", written_at]
    else:
        fields += ["status", "scheduled"]
    if job.at_front and job.due_at is not None:
        fields += ["enqueue_at_front", 1]
    if job.retries:
        fields += ["retries_left", job.retries, "retry_intervals", json.dumps(list(job.retry_intervals or (0,)))]
    if job.meta is not None:
        fields += ["meta", job.meta.decode()]
    push = "S" if job.due_at is not None else "L" if job.at_front else "R"
    due = "" if job.due_at is None else repr(job.due_at)
    unique = (job.unique_key or "", job.unique_milliseconds)
    return (job.queue, push, due, *unique, job.function, len(fields) // 2, *fields)


def _result(raw: int | list[bytes | int]) -> EnqueueResult:
    if isinstance(raw, list):
        job_id, milliseconds = raw
        assert isinstance(job_id, bytes)
        return DuplicateUniqueKey(job_id.decode(), max(int(milliseconds), 0) / 1000)
    return _OUTCOMES[raw]
