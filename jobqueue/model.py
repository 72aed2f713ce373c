"""Domain values of the queue: new jobs, statuses, limits and defaults."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS

DEFAULT_QUEUE = "default"
ALL_QUEUES = ("*",)
"""The queues of a worker that serves every queue, those that do not exist yet included."""

DEFAULT_TIMEOUT_SECONDS = HOUR_SECONDS
RESULT_TTL_SECONDS = 7 * DAY_SECONDS
"""How long a result waits to be pulled before it is deleted."""
PULLED_TTL_SECONDS = HOUR_SECONDS
"""How long a pulled result stays readable."""
FAILURE_TTL_SECONDS = 30 * DAY_SECONDS
"""How long a failed, stopped or cancelled job is kept."""
RQ_RESULT_TTL_SECONDS = 500
"""RQ's default (rq.defaults.DEFAULT_RESULT_TTL), for jobs of plain RQ clients that set none."""
RQ_CALLBACK_TIMEOUT_SECONDS = 60
"""RQ's default (rq.defaults.CALLBACK_TIMEOUT)."""
RQ_TIMEOUT_SECONDS = 180
"""RQ's default (rq.queue.Queue.DEFAULT_TIMEOUT), for such jobs without a timeout."""
MAX_RESULT_BYTES = 1024 * 1024
MAX_ITERATIONS = 10**9
"""Of the built-in function `sha512`; checked at submission, and by the function itself."""
ISOLATED = "job"
"""Value of `isolation` for a job that runs in a process of its own."""
FINISHED, ENDED = "finished", "ended"
"""What a job awaits of one that it depends on: success, or any end."""
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
_UNENDED = frozenset(Status) - _ENDED


def serves(queues: Sequence[str], queue: str) -> bool:
    """Return whether a worker with these queues serves that queue."""
    return queue in queues or tuple(queues) == ALL_QUEUES


def is_over(stored_status: str) -> bool:
    """Return whether a job with this status in its record has ended. One with an unknown status never runs."""
    return stored_status not in _UNENDED


class FailureReason(StrEnum):
    """Why a job failed; for DEPENDENCY_FAILED, why it was canceled."""

    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    WORKER_LOST = "worker_lost"
    REJECTED = "rejected"
    DEPENDENCY_FAILED = "dependency_failed"


class Dependency(NamedTuple):
    """A job that another one waits for.

    Attributes:
        parent_id: its id.
        awaited: `FINISHED` if it must succeed, or else the child is canceled; `ENDED` if any end will do.
    """

    parent_id: str
    awaited: str = FINISHED


class Limit(NamedTuple):
    """How many jobs with the same key may run at a time, or begin in a time. These numbers hold for a new key.

    Attributes:
        concurrency: how many may run at a time; None for any number.
        starts, seconds: how many may begin in this time; None for any number.
        burst: how many of these may begin at once.
    """

    key: str
    concurrency: int | None = None
    starts: int | None = None
    seconds: float | None = None
    burst: int | None = None


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
        delay_seconds: the delay that `due_at` was computed from; None if the instant itself was requested.
        unique_key, unique_milliseconds: for this long, no other job with the same key is accepted.
        meta: a JSON object; None for none.
        isolation: `ISOLATED` for a process of its own.
        depends_on: jobs that it waits for; None if it does not wait. It may be empty: such a job of a workflow begins
            once the whole workflow is written.
        workflow_id: the workflow that it belongs to.
        limits: those under which it runs.
        fair_key: the queue is shared fairly among jobs with different ones.
        callback: whom to tell of its end, as JSON: `url`, `host`, `events`, `include`; None for nobody.
        labels: a JSON object of texts, by which it can be found; None for none.
        trace: the span of its submission (`TraceContext.text`), of which its content is independent; None for none.
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
    delay_seconds: float | None = None
    isolation: str | None = None
    depends_on: tuple[Dependency, ...] | None = None
    workflow_id: str | None = None
    limits: tuple[Limit, ...] = ()
    fair_key: str | None = None
    callback: str | None = None
    labels: str | None = None
    trace: str | None = None
