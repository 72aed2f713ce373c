"""Domain values of the queue: jobs as they are written, claimed and viewed, with their limits and defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

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


class RqCallback(NamedTuple):
    """A function that a plain RQ client wants to be called at its job's end (`rq.Callback`).

    Attributes:
        name: import path of the function.
        timeout_seconds: how long it may run.
    """

    name: str
    timeout_seconds: int


class RqCallbacks(NamedTuple):
    """The callbacks of a job; None for those that it does not have."""

    on_success: RqCallback | None
    on_failure: RqCallback | None
    on_stopped: RqCallback | None


class ClaimedJob(NamedTuple):
    """A job that a worker holds a lease on. Hot path: hence no dataclass, whose creation takes twice as long.

    Attributes:
        token: identifies the lease; it is RQ's execution id.
        shard_index: the shard that holds the job.
        data: RQ's `data` field, unchanged: plain or zlib-compressed, JSON or pickle.
        timeout_seconds: None for no limit.
        from_http: whether it was submitted over HTTP; otherwise by a plain RQ client.
        feed: whether its result goes into the completed feed, to be pulled.
        result_ttl_seconds, failure_ttl_seconds: -1 keeps forever, 0 keeps nothing.
        attempt: 1 for the first run.
        unreadable: why the record cannot be read, so that the job must fail as `rejected`; None if it can.
        isolated: whether it asks for a process of its own.
        rq_features: what it asks for at its end as a job of a plain RQ client, a letter for each thing: `d`, it has
            waited for other jobs; `g`, it belongs to a group; `l`, it holds a place of a rate limit; `r`, it repeats;
            `w`, it has webhooks; `a`, it was lost too often, see `is_abandoned`.
        rq_callbacks: what is called at its end; None for nothing.
        stopped: whether it has been stopped already, and only its `on_stopped` callback is still to be called.
        since: when it was enqueued; of a job that has run before, a space and when it was created follow. As stored.
        trace: the span of its submission, as stored, and a line for each run of a parent that it follows from: the
            parent's id, the token of the lease, and the span of the parent's submission. b'' for none.
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
    unreadable: str | None = None
    isolated: bool = False
    rq_features: str = ""
    rq_callbacks: RqCallbacks | None = None
    stopped: bool = False
    since: bytes = b""
    trace: bytes = b""

    @property
    def is_abandoned(self) -> bool:
        """Whether it was lost with its worker too often: only its `on_failure` callback is still to be called."""
        return "a" in self.rq_features


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job did not succeed.

    Attributes:
        reason: a `FailureReason`; `exception` if a plain RQ worker recorded the failure.
        message: type and first lines of the exception's text, of an exception group the leaves.
        traceback: the recorded text; '' for none.
    """

    reason: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class ResultNote:
    """A result that is not shown.

    Attributes:
        kind: 'json', 'pickle' or 'unknown'.
        size_bytes: in a listing, about as many as it takes in Redis' memory.
        note: why it is not shown, and how to read it.
    """

    kind: str
    size_bytes: int
    note: str


@dataclass(frozen=True, slots=True)
class CallbackNote:
    """Whom a job tells of its end.

    Attributes:
        host: host and port of the URL, whose other parts can be secret; `listen/NAME` for a listener.
        events: the ends that it tells of.
        last_id: id of the callback of its last end that was told; None if there was none yet.
    """

    host: str
    events: tuple[str, ...]
    last_id: str | None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as users see it. Times are RQ's timestamps (UTC, ISO 8601), or None.

    Attributes:
        result: the result as JSON text; None if there is none.
        attempts: how many times it has started.
        meta: None if it is not shown, and `meta_note` says why.
        unreadable: whether the record cannot be read: `error` says why, and `status` is a guess.
        args, kwargs: the call, long values shortened; None if it is not shown, and `arguments_note` says why.
        timeout_seconds: None for no limit.
        due_at: when a scheduled job is due.
        depends_on: ids of the jobs that this one waits for, or has waited for.
        result_note: kind and size of a result that is not shown, and how to read it.
        version: hash of the source of the module whose function ran last; None for a built-in function.
        progress: what the job has told last: `done`, `total`, `text`, and `at` (Unix time); None for nothing.
        isolation: `ISOLATED` if the job asks for a process of its own.
        labels: by which it can be found.
        callback: whom it tells of its end; None for nobody.
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
    unreadable: bool = False
    args: list[Any] | None = None
    kwargs: Mapping[str, Any] | None = None
    arguments_note: str | None = None
    timeout_seconds: int | None = None
    retries_left: int = 0
    due_at: str | None = None
    depends_on: tuple[str, ...] = ()
    result_note: ResultNote | None = None
    meta_note: str | None = None
    version: str | None = None
    isolation: str | None = None
    progress: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    callback: CallbackNote | None = None
