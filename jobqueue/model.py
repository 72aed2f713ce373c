"""Domain values of the queue: jobs as they are written, claimed and viewed, with their limits and defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS

DEFAULT_QUEUE = "default"
DEFAULT_TIMEOUT_SECONDS = HOUR_SECONDS
RESULT_TTL_SECONDS = 7 * DAY_SECONDS
"""How long a result waits to be pulled before it is deleted."""
PULLED_TTL_SECONDS = HOUR_SECONDS
"""How long a pulled result stays readable."""
FAILURE_TTL_SECONDS = 30 * DAY_SECONDS
"""How long a failed, stopped or cancelled job is kept."""
RQ_RESULT_TTL_SECONDS = 500
"""RQ's default (rq.defaults.DEFAULT_RESULT_TTL), for jobs of plain RQ clients that set none."""
MAX_RESULT_BYTES = 1024 * 1024
MAX_ITERATIONS = 10**9
"""Of the built-in function `sha512`; checked at submission, and by the function itself."""
LEASE_SECONDS = 20.0
"""How long a worker holds a job without renewing its lease."""
MAX_LOSSES = 3
"""A job that was lost with its worker this many times fails, because it may be what crashes the workers."""


class Status(StrEnum):
    """A job's status, as RQ names it."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    DEFERRED = "deferred"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELED = "canceled"
    CREATED = "created"
    RATE_LIMITED = "rate_limited"
    READY_TO_ENQUEUE = "ready_to_enqueue"

    @property
    def ended(self) -> bool:
        """Whether the job has ended: it runs again only if it is requeued."""
        return self in _ENDED


_ENDED = frozenset({Status.FINISHED, Status.FAILED, Status.STOPPED, Status.CANCELED})


class FailureReason(StrEnum):
    """Why a job failed."""

    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    WORKER_LOST = "worker_lost"
    REJECTED = "rejected"


class NewJob(NamedTuple):
    """A job to be enqueued. Hot path: every request makes one, and a tuple takes a third of a frozen dataclass's time.

    Attributes:
        id: 1-64 letters, digits, `_`, `-`.
        function: public name, stored as the record's description; jobs are counted by it.
        data: the call as RQ stores it, here in JSON: [import path, null, args, kwargs].
        timeout_seconds: how long it may run.
        result_ttl_seconds: how long its result waits to be pulled; 0 keeps no result.
        feed: whether its result goes into the completed feed, to be pulled.
        retries, retry_intervals: how often it runs again after a failure, and the seconds in between.
        due_at: Unix time; None for now.
        unique_key, unique_milliseconds: for this long, no other job with the same key is accepted.
        meta: a JSON object; None for none.
    """

    id: str
    function: str
    data: bytes
    queue: str = DEFAULT_QUEUE
    at_front: bool = False
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    result_ttl_seconds: int = RESULT_TTL_SECONDS
    feed: bool = True
    retries: int = 0
    retry_intervals: tuple[int, ...] = ()
    due_at: float | None = None
    unique_key: str | None = None
    unique_milliseconds: int = 0
    meta: bytes | None = None


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that a worker holds a lease on.

    Attributes:
        token: identifies the lease; it is RQ's execution id.
        shard_index: the shard that holds the job.
        data: RQ's `data` field, unchanged: plain or zlib-compressed, JSON or pickle.
        timeout_seconds: None for no limit.
        from_http: whether it was submitted over HTTP; otherwise by a plain RQ client.
        feed: whether its result goes into the completed feed, to be pulled.
        result_ttl_seconds, failure_ttl_seconds: -1 keeps forever, 0 keeps nothing.
        attempt: 1 for the first run.
        unsupported_feature: a feature of a plain RQ job that is not supported: the job must fail as `rejected`.
    """

    id: str
    token: str
    shard_index: int
    queue: str
    data: bytes
    timeout_seconds: int | None
    from_http: bool
    feed: bool
    result_ttl_seconds: int
    failure_ttl_seconds: int
    attempt: int
    unsupported_feature: str | None


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job did not succeed.

    Attributes:
        reason: a `FailureReason`; `exception` if a plain RQ worker recorded the failure.
        message: the last line of the traceback.
        traceback: the recorded text; '' for none.
    """

    reason: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as users see it. Times are RQ's timestamps (UTC, ISO 8601), or None.

    Attributes:
        result: the result as JSON text; None if there is none.
        attempts: how many times it has started.
        meta: None if it is not serialised as JSON.
    """

    id: str
    function: str | None
    queue: str
    status: str
    result: bytes | None
    error: JobError | None
    attempts: int
    created_at: str | None
    enqueued_at: str | None
    started_at: str | None
    ended_at: str | None
    worker: str | None
    meta: Mapping[str, Any] | None
