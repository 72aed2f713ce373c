"""Enqueue new jobs, a whole batch per call.

Hot path: see `http_enqueue` in benchmarks/README.md#what-limits-each-figure.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from operator import attrgetter

from jobqueue import keys
from jobqueue.model import NewJob
from jobqueue.rq_call import decompress
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
# Fields that every record holds from its beginning to its end, so that a repeated submission can be compared with them.
# All others are options; a field that is added to `NewJob` is one, too.
_ALWAYS_STORED = {"id", "function", "data", "queue", "timeout_seconds", "result_ttl_seconds", "feed"}
_OPTIONS = tuple(name for name in NewJob._fields if name not in _ALWAYS_STORED and name != "trace")
_DEFAULTS = tuple(NewJob._field_defaults[name] for name in _OPTIONS)
_options_of = attrgetter(*_OPTIONS)
_labels_of = attrgetter("labels")


async def enqueue(
    shard: Shard, jobs: Sequence[NewJob], *, now: float | None = None, retry_seconds: float = 0.0
) -> list[EnqueueResult]:
    """Write jobs that all belong to `shard`; return once they survive the loss of its master.

    Returns:
        One result for each job, in order.

    Raises:
        ShardUnavailable, QueueFull: none of the jobs was written, unless `outcome_unknown`; a repeat is safe.
    """
    results = await _write(shard, jobs, now, retry_seconds)
    if EnqueueOutcome.CONFLICT in results:
        conflicts = [place for place, result in enumerate(results) if result is EnqueueOutcome.CONFLICT]
        again = await _as_rq_saved(shard, [jobs[place] for place in conflicts])
        for place, result in zip(conflicts, await _write(shard, again, now, retry_seconds), strict=True):
            results[place] = result
    return results


def script_arguments(jobs: Sequence[NewJob], now: float | None) -> list[str | int | bytes]:
    """Return the arguments of `enqueue.lua` for these jobs."""
    written_at = iso(now)
    has_labels = any(map(_labels_of, jobs))
    # Hardly two jobs have the same labels, so these follow each job, and do not tell groups apart.
    alike = [job._replace(labels=None) for job in jobs] if has_labels else jobs
    groups: dict[tuple[object, ...], int] = {}
    numbers = [groups.setdefault((job.function, job[_SHARED_FIELDS]), len(groups) + 1) for job in alike]
    arguments: list[str | int | bytes] = [clock_argument(now), len(groups), "1" if has_labels else ""]
    described = 0
    for job, number in zip(jobs, numbers, strict=True):
        if number > described:
            arguments += _shared(job, written_at, "" if has_labels else _options_digest(job))
            described = number
    if has_labels:
        for job, number in zip(jobs, numbers, strict=True):
            own: tuple[str | bytes, ...] = (job.id, job.data, job.labels or "", _options_digest(job))
            arguments += own if len(groups) == 1 else (number, *own)
    elif len(groups) == 1:
        for job in jobs:
            arguments += (job.id, job.data)
    else:
        for job, number in zip(jobs, numbers, strict=True):
            arguments += (number, job.id, job.data)
    return arguments


async def _write(shard: Shard, jobs: Sequence[NewJob], now: float | None, retry_seconds: float) -> list[EnqueueResult]:
    raw_results = await shard.run(
        script("enqueue"), *script_arguments(jobs, now), replicate=True, needs_memory=True, retry_seconds=retry_seconds
    )
    return [_result(raw) for raw in raw_results]


async def _as_rq_saved(shard: Shard, jobs: Sequence[NewJob]) -> list[NewJob]:
    """Return jobs with their data as Redis holds it: a plain RQ client compresses it when it saves a job."""
    stored = await shard.execute(
        *(("HGET", keys.job(shard.prefix, job.id), "data") for job in jobs), tolerate_wrong_types=True
    )
    return [
        job._replace(data=data) if data and _decompressed(data) == job.data else job
        for job, data in zip(jobs, stored, strict=True)
    ]


def _decompressed(data: bytes) -> bytes | None:
    try:
        return decompress(data)
    except ValueError:
        return None


def _shared(job: NewJob, written_at: str, options: str) -> Sequence[str | int]:
    """Return everything but id, data and labels, as the script expects it; `options` is a digest, or ''."""
    fields: list[str | int] = ["created_at", written_at, "origin", job.queue, "description", job.function]
    fields += ["timeout", job.timeout_seconds, "result_ttl", job.result_ttl_seconds, "wm_feed", int(job.feed)]
    if job.depends_on is not None:
        fields += ["status", "deferred"]
        if job.depends_on:
            fields += ["wm_depends_on", json.dumps(job.depends_on, separators=(",", ":"))]
    elif job.due_at is not None:
        fields += ["status", "scheduled"]
    elif job.limits or job.fair_key is not None:
        fields += ["status", "deferred", "enqueued_at", written_at, "wm_in_lane", 1]
    else:
        fields += ["status", "queued", "enqueued_at", written_at]
    if job.limits or job.fair_key is not None:
        fields += _limit_fields(job)
    if job.at_front and (job.due_at is not None or job.depends_on is not None):
        fields += ["enqueue_at_front", 1]
    if job.retries:
        fields += ["retries_left", job.retries, "retry_intervals", json.dumps(list(job.retry_intervals or (0,)))]
    if job.meta is not None:
        fields += ["meta", job.meta.decode()]
    if job.isolation is not None:
        fields += ["wm_isolation", job.isolation]
    if job.workflow_id is not None:
        fields += ["wm_workflow", job.workflow_id]
    if job.callback is not None:
        fields += ["wm_callback", job.callback]
    at_end = ("c" if job.callback is not None else "") + ("l" if _holds_places(job) else "")
    if at_end:
        fields += ["wm_at_end", at_end]
    if job.trace is not None:
        fields += ["wm_trace", job.trace]
    if options:
        fields += ["wm_options", options]
    unique = (job.unique_key or "", job.unique_milliseconds)
    return (job.queue, *_mode_and_due(job), *unique, job.function, len(fields) // 2, *fields)


def _mode_and_due(job: NewJob) -> tuple[str, str]:
    if job.depends_on is not None:
        return "W", json.dumps([text for dependency in job.depends_on for text in dependency])
    if job.due_at is None and (job.limits or job.fair_key is not None):
        return ("N" if job.at_front else "M"), lane_of(job)
    if job.due_at is None:
        return ("L" if job.at_front else "R"), ""
    return ("A" if job.delay_seconds is None else "D"), repr(job.due_at)


def _limit_fields(job: NewJob) -> list[str | int]:
    fields: list[str | int] = ["wm_lane", lane_of(job)]
    if job.limits:
        limits = [{name: value for name, value in limit._asdict().items() if value is not None} for limit in job.limits]
        fields += ["wm_limits", json.dumps(limits, separators=(",", ":"))]
    if job.fair_key is not None:
        fields += ["wm_fair_key", job.fair_key]
    return fields


def lane_of(job: NewJob) -> str:
    """Return the name of the lane in which a job with limits or a fair key waits: 16 hexadecimal digits."""
    waits_for: tuple[object, ...] = (sorted(limit.key for limit in job.limits), job.fair_key)
    # Jobs of one lane are marked alike, so that a claim need not look at each.
    if job.limits and not _holds_places(job):
        waits_for += ("rates",)
    return blake2b(repr(waits_for).encode(), digest_size=8).hexdigest()


def _holds_places(job: NewJob) -> bool:
    """Return whether the job gives something back when it ends. The rate of a limit is used up when a job begins."""
    return any(limit.concurrency is not None for limit in job.limits)


def _options_digest(job: NewJob) -> str:
    """Return 16 characters that differ between submissions with different options; '' for a job without any."""
    options: tuple[object, ...] = _options_of(job)
    if options == _DEFAULTS:
        return ""
    chosen = [
        (name, value)
        for name, value, default in zip(_OPTIONS, options, _DEFAULTS, strict=True)
        # A delay is the same whenever it begins.
        if value != default and not (name == "due_at" and job.delay_seconds is not None)
    ]
    return blake2b(repr(chosen).encode(), digest_size=8).hexdigest()


def _result(raw: int | list[bytes | int]) -> EnqueueResult:
    if isinstance(raw, list):
        job_id, milliseconds = raw
        assert isinstance(job_id, bytes)
        return DuplicateUniqueKey(job_id.decode(), max(int(milliseconds), 0) / 1000)
    return _OUTCOMES[raw]
