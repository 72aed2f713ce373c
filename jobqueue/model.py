"""The values that the queue's verbs take and give."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS

DEFAULT_QUEUE = "default"
DEFAULT_TIMEOUT_SECONDS = HOUR_SECONDS
RESULT_TTL_SECONDS = 7 * DAY_SECONDS
"""How long a result waits to be pulled."""
PULLED_TTL_SECONDS = HOUR_SECONDS
"""How long a pulled result stays readable."""
FAILURE_TTL_SECONDS = 30 * DAY_SECONDS
RQ_RESULT_TTL_SECONDS = 500
"""RQ's own default, for jobs of stock clients that ask for none (rq.defaults.DEFAULT_RESULT_TTL)."""
MAX_RESULT_BYTES = 1024 * 1024
LEASE_SECONDS = 20.0
MAX_LOSSES = 3


class Status(StrEnum):
    """RQ's statuses."""

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
        """Whether the job will not run again by itself."""
        return self in _ENDED


_ENDED = frozenset({Status.FINISHED, Status.FAILED, Status.STOPPED, Status.CANCELED})


class FailureReason(StrEnum):
    """Why a job failed."""

    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    WORKER_LOST = "worker_lost"
    REJECTED = "rejected"


class NewJob(NamedTuple):
    """A job to be written. One is made for every request: a tuple takes a third of a frozen dataclass's time.

    Attributes:
        id: 1-64 letters, digits, `_`, `-`.
        function: public name, kept as the record's description and counted by.
        data: the call as RQ keeps it, here JSON: [importable path, null, args, kwargs].
        timeout_seconds: how long it may run.
        result_ttl_seconds: how long its result waits to be pulled; 0 keeps none.
        feed: whether its result is handed out by pull.
        retries, retry_intervals: how often it runs again after a failure, and the seconds between.
        due_at: seconds since the epoch, None for at once.
        unique_key, unique_milliseconds: no other job with this key is taken for so long.
        meta: JSON of an object, None for none.
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
        token: names the lease; RQ's execution id.
        shard_index: where it lives.
        data: RQ's `data` field as it stands: plain or zlib-compressed, JSON or pickle.
        timeout_seconds: None for no limit.
        from_http: whether it came in over HTTP (else from a stock client).
        feed: whether its result is handed out by pull.
        result_ttl_seconds, failure_ttl_seconds: -1 keeps for ever, 0 keeps nothing.
        attempt: 1 for the first run.
        unsupported: a feature of a stock job that is not supported; such a job is to fail as `rejected`.
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
        reason: None where a stock worker recorded the failure without one that we know.
        message: the traceback's last line.
        traceback: the text that was recorded, '' for none.
    """

    reason: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as users see it. Times are RQ's texts (UTC, ISO 8601), None where there is none.

    Attributes:
        result: JSON text of the result, None where there is none.
        attempts: how often it began to run.
        meta: None where its serializer is not JSON.
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
