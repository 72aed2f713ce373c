"""The shapes of response bodies, as the OpenAPI document shows them. `documents` makes the bodies themselves."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jobqueue.model import Status
from manager.cluster.health import ClusterState


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WorkId(_Response):
    """A job that was enqueued."""

    work_id: str = Field(alias="Work ID")
    warning: str | None = Field(default=None, description="Only if there is one: why the job does not run for now")


class CompletedResult(_Response):
    """The result of a completed job."""

    work_id: str = Field(alias="Work ID")
    value: Any = Field(alias="Value", description="The function's result; for `sha512` the digest in hexadecimal")


class Acknowledged(_Response):
    """How many results were waiting to be acknowledged."""

    acknowledged: int


class JobStatus(_Response):
    """A job and its status."""

    id: str
    status: Status
    warning: str | None = Field(
        default=None, description="Of a submission, only if there is one: why the job does not run for now"
    )


class JobError(_Response):
    """Why a job failed."""

    reason: str
    message: str = Field(description="Type and first lines of the exception's text; of an exception group the leaves")
    traceback: str


class AttemptError(JobError):
    """Why an attempt of a job failed."""

    ended_at: str | None
    worker: str | None


class ResultNote(_Response):
    """A result that is not shown, and how to read it. In listings, `size_bytes` is about its size in Redis' memory."""

    kind: Literal["json", "pickle", "unknown"]
    size_bytes: int
    note: str


class CallbackNote(_Response):
    """Whom a job tells of its end."""

    host: str = Field(description="Host and port of the URL, whose other parts can be secret; or `listen/NAME`")
    events: list[str]
    last_id: str | None = Field(description="The callback of its last end that was told: see `GET /callbacks/{id}`")


class JobProgress(_Response):
    """How far a job is: `done` of `total`; `at` is a Unix time."""

    done: float
    total: float | None
    text: str
    at: float


class JobResponse(_Response):
    """A job. Times are UTC, ISO 8601."""

    id: str
    function: str | None
    queue: str
    status: Status
    result: Any
    error: JobError | None
    attempts: int
    created_at: str | None
    enqueued_at: str | None
    started_at: str | None
    ended_at: str | None
    worker: str | None
    meta: dict[str, Any] | None
    args: list[Any] | None = Field(description="Long and deep values are shortened; null if they are not shown")
    kwargs: dict[str, Any] | None = Field(description="As `args`")
    arguments_note: str | None = Field(description="Why `args` and `kwargs` are null: listings leave them out")
    timeout: int | None = Field(description="Maximum run time in seconds; null for none")
    retries_left: int
    due_at: str | None = Field(description="When a scheduled job is due")
    progress: JobProgress | None = Field(description="What the job has told last (`workmanager.job.progress`)")
    depends_on: list[str] = Field(description="The jobs that this one waits for, or has waited for")
    result_note: ResultNote | None = Field(description="About a result that is not shown in `result`")
    meta_note: str | None = Field(description="Why `meta` is null")
    function_version: str | None = Field(
        description="Hash of the source of the module whose function ran last; null for a built-in function"
    )
    isolation: Literal["job"] | None = Field(description="`job` if the job asks for a process of its own")
    labels: dict[str, str] = Field(description="By which it can be found")
    callback: CallbackNote | None = Field(description="Whom it tells of its end")


class JobLogLine(_Response):
    """A line of a job's log. `at` is UTC, ISO 8601."""

    id: str
    number: int | None = Field(description="Counted from 1 over all attempts; where numbers are missing, so are lines")
    at: str
    attempt: int
    stream: str = Field(description="`stdout` or `stderr` if the job has printed it, `log` if it has logged it")
    text: str


class JobLog(_Response):
    """Lines of a job's log; `after` requests those that follow. `dropped` lines between them are not kept."""

    lines: list[JobLogLine]
    after: str | None
    dropped: int
    ended: bool = Field(description="Whether the job has ended, so that no line follows after the last")


class JobDetails(JobResponse):
    """A job that is shown alone. Times are UTC, ISO 8601."""

    attempt_errors: list[AttemptError] = Field(
        description="Why its attempts failed, the first one first; at most the last ten"
    )


class JobList(_Response):
    """A page of jobs; `cursor` requests the next page and is null on the last.

    A page has fewer jobs than `limit` where its JSON would exceed 4 MiB. Calls and large results are left out.
    """

    jobs: list[JobResponse]
    cursor: str | None
    incomplete: str | None = Field(
        default=None, description="Of a search by label, only if jobs with the label may be missing in it: why"
    )


class Requeued(_Response):
    """How many jobs were requeued."""

    requeued: int


class QueueResponse(_Response):
    """A queue's jobs by status; `oldest_seconds` is how long the next job has been waiting, null if none is."""

    name: str
    queued: int
    scheduled: int
    deferred: int
    started: int
    finished: int
    failed: int
    canceled: int
    ready_to_enqueue: int
    limited: int = Field(description="About how many of the deferred jobs could run now: their limits leave room")
    oldest_seconds: float | None
    served: bool = Field(description="Whether a worker serves it, or would as soon as the scaler launches one")
    paused: bool = Field(description="Whether workers take no job of it for now")


class PausedQueue(_Response):
    """Whether a queue is paused now."""

    name: str
    paused: bool


class DrainedWorker(_Response):
    """A worker that has been told to drain."""

    name: str
    draining: bool


class QueueList(_Response):
    """All queues."""

    queues: list[QueueResponse]


class WorkerResponse(_Response):
    """A worker; `native` is false for plain RQ workers."""

    name: str
    hostname: str
    pid: int
    queues: list[str]
    state: str
    slots: int
    running: int
    finished: int
    failed: int
    fleet: str
    instance_id: str
    born_at: str | None
    last_heartbeat: str | None
    seconds_since_heartbeat: float | None
    native: bool
    interruption: str = Field(
        description="EC2's notice for its instance: `spot` (the worker drains), `rebalance` (it still works), or empty"
    )
    problems: list[str] = Field(description="Why it cannot run some jobs, in sentences")
    jobs: list[str] = Field(
        description="Jobs that it has run for more than a second, the longest ones first, five at most;"
        " empty for plain RQ workers"
    )


class WorkerList(_Response):
    """All workers."""

    workers: list[WorkerResponse]


class ShardsResponse(_Response):
    """The number of shards, and how many of them are unavailable: their jobs are not counted."""

    total: int
    unavailable: int


class StatusResponse(_Response):
    """The current state of the system."""

    jobs: int = Field(alias="Jobs", description="Jobs that have not ended")
    rate_limited: int | None = Field(
        description="Jobs of plain RQ clients that wait for a place of their rate limit, in all queues;"
        " null for a key that is bound to queues, as the next two"
    )
    workers: int = Field(alias="Workers", description="For a key that is bound to queues: those that serve one of them")
    completed: int | None = Field(description="Results waiting to be pulled")
    leased: int | None = Field(description="Results pulled with a lease and not acknowledged yet")
    queues: dict[str, QueueResponse]
    shards: ShardsResponse
    problems: list[str] = Field(description="What keeps jobs from running, or can lose them, in sentences")


class Liveness(_Response):
    """The process is running."""

    status: str


class Readiness(_Response):
    """Whether the manager accepts jobs."""

    status: str
    shards: ShardsResponse
    time_zone_rules: str = Field(
        description="Version of the time zones' rules, by which schedules run: that of all managers must be the same"
    )
    moving_shards: dict[str, float] | None = Field(
        default=None,
        description="Shards that take no commands while they are moved to another Redis server: for how many seconds",
    )
    refused_servers: dict[str, str] | None = Field(
        default=None, description="Redis servers that must be members of the cluster and are not: why, by address"
    )
    unsound_files: dict[str, str] | None = Field(
        default=None,
        description="Redis servers that may not start again from their append-only file: why, by address",
    )
    cluster: ClusterState | None = Field(default=None, description="The Redis Cluster, if this manager administers one")


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    id: str | None = Field(default=None, description="The job concerned")
    errors: list[dict[str, str]] | None = Field(default=None, description="The invalid fields")
