"""Failed jobs, grouped by function and error."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from jobqueue.job_view import JobView

MAX_MESSAGE_CHARACTERS = 300
_VARYING = re.compile(
    r"0x[0-9a-f]+|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b(?=[0-9a-f]*[0-9])[0-9a-f]{8,}\b|[0-9]+",
    re.IGNORECASE,
)
"""Addresses, ids and numbers: they differ between failures of the same kind."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one kind.

    Attributes:
        key: names the group in addresses.
        message: of the latest one.
        first_at, last_at: of those that were looked at.
        queues: theirs.
    """

    key: str
    function: str
    reason: str
    message: str
    count: int
    first_at: str
    last_at: str
    queues: tuple[str, ...]


def group_failures(jobs: Iterable[JobView]) -> list[FailureGroup]:
    """Return the groups, the largest first."""
    members: dict[str, list[JobView]] = {}
    for job in jobs:
        members.setdefault(group_key(job), []).append(job)
    groups = [_group(key, jobs) for key, jobs in members.items()]
    return sorted(groups, key=lambda group: (-group.count, group.function, group.key))


def group_key(job: JobView) -> str:
    """Return the name of the group of a failed job."""
    reason, message = _error_of(job)
    kind = "\0".join((job.function or "", reason, _VARYING.sub("#", message)))
    return hashlib.sha256(kind.encode("utf-8", "replace")).hexdigest()[:16]


def _group(key: str, jobs: list[JobView]) -> FailureGroup:
    times = sorted(job.ended_at or "" for job in jobs)
    latest = max(jobs, key=lambda job: job.ended_at or "")
    reason, message = _error_of(latest)
    queues = tuple(sorted({job.queue for job in jobs}))
    return FailureGroup(key, latest.function or "unknown", reason, message, len(jobs), times[0], times[-1], queues)


def _error_of(job: JobView) -> tuple[str, str]:
    if job.error is None:
        return "", ""
    return job.error.reason, job.error.message[:MAX_MESSAGE_CHARACTERS]
