"""What the routes answer: the shapes that the OpenAPI document shows, and the texts that are sent."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.inspection.counters import QueueCounts
from jobqueue.lifecycle.enqueue import DuplicateUniqueKey, EnqueueOutcome
from jobqueue.model import JobView, Status
from jobqueue.workers.registry import WorkerView
from manager.cluster.health import ClusterState
from manager.http.canonical_json import json_fragment
from manager.http.problems import ID_CONFLICT, Problem, duplicate_unique_key, queue_problem, unavailable_problem
from manager.queue.submitter import SubmitResult

MAX_RESULTS = 10_000
"""In one request."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WorkId(_Answer):
    """A job that was taken in."""

    work_id: str = Field(alias="Work ID")


class CompletedResult(_Answer):
    """A result that is handed out."""

    work_id: str = Field(alias="Work ID")
    value: Any = Field(alias="Value", description="The function's result; of sha512 the digest in hexadecimal")


class AcknowledgeBody(BaseModel):
    """Which results were taken over."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ids: list[str] = Field(max_length=MAX_RESULTS)


class Acknowledged(_Answer):
    """How many results were waiting to be acknowledged."""

    acknowledged: int


class JobStatus(_Answer):
    """A job and its status."""

    id: str
    status: Status


class JobError(_Answer):
    """Why a job did not succeed."""

    reason: str
    message: str
    traceback: str


class JobResponse(_Answer):
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


class JobList(_Answer):
    """A page of jobs; `cursor` asks for the next one, null at the end."""

    jobs: list[JobResponse]
    cursor: str | None


class Requeued(_Answer):
    """How many jobs were put back on the queue."""

    requeued: int


class QueueResponse(_Answer):
    """A queue's jobs by status; `oldest_seconds` is how long the next in line has been waiting."""

    name: str
    queued: int
    scheduled: int
    deferred: int
    started: int
    finished: int
    failed: int
    canceled: int
    oldest_seconds: float | None


class QueueList(_Answer):
    """All queues."""

    queues: list[QueueResponse]


class WorkerResponse(_Answer):
    """A worker; `native` is false for stock RQ workers."""

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


class WorkerList(_Answer):
    """All workers."""

    workers: list[WorkerResponse]


class ShardsResponse(_Answer):
    """How many shards there are, and how many of them do not answer: their jobs are not counted."""

    total: int
    unavailable: int


class StatusResponse(_Answer):
    """What the system holds now."""

    jobs: int = Field(alias="Jobs", description="Jobs that have not ended")
    workers: int = Field(alias="Workers")
    completed: int = Field(description="Results that wait to be pulled")
    leased: int = Field(description="Results that were pulled on a lease and are not acknowledged yet")
    queues: dict[str, QueueResponse]
    shards: ShardsResponse


class Liveness(_Answer):
    """The process answers."""

    status: str


class Readiness(_Answer):
    """Whether jobs are taken."""

    status: str
    shards: ShardsResponse
    cluster: ClusterState | None = Field(default=None, description="Where this manager administers one, how it is")


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    id: str | None = Field(default=None, description="The job that this is about")
    errors: list[dict[str, str]] | None = Field(default=None, description="The fields that are wrong")


def job_document(job: JobView) -> dict[str, Any]:
    """A job as an answer."""
    return {
        "id": job.id,
        "function": job.function,
        "queue": job.queue,
        "status": job.status,
        "result": None if job.result is None else orjson.Fragment(job.result),
        "error": None if job.error is None else asdict(job.error),
        "attempts": job.attempts,
        "created_at": job.created_at,
        "enqueued_at": job.enqueued_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "worker": job.worker,
        "meta": None if job.meta is None else json_fragment(job.meta),
    }


def queue_document(name: str, counts: QueueCounts) -> dict[str, Any]:
    """A queue as an answer."""
    return {"name": name, **asdict(counts)}


def workers_document(workers: Iterable[WorkerView]) -> dict[str, Any]:
    """Workers as an answer."""
    return {"workers": [asdict(worker) for worker in workers]}


def unfinished(counts: QueueCounts) -> int:
    """How many jobs have not ended."""
    return counts.queued + counts.scheduled + counts.deferred + counts.started


def problem_for(result: SubmitResult) -> Problem | None:
    """Why a job was not taken in; None where it stands in the queue."""
    match result.answer:
        case EnqueueOutcome.WRITTEN | EnqueueOutcome.REPEATED:
            return None
        case EnqueueOutcome.CONFLICT:
            return Problem(ID_CONFLICT, f"job {result.job_id} was submitted with other content", id=result.job_id)
        case DuplicateUniqueKey(job_id, free_in_seconds):
            return duplicate_unique_key(job_id, free_in_seconds)
        case ShardUnavailable() as error:
            return unavailable_problem(error, result.job_id)
        case JobQueueError() as error:
            return queue_problem(error)
