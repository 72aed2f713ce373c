"""Convert values of the queue to response bodies, and the outcome of a submission to a problem."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import orjson

from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.inspection.attempt_errors import AttemptError
from jobqueue.inspection.counters import QueueCounts
from jobqueue.lifecycle.enqueue import DuplicateUniqueKey, EnqueueOutcome
from jobqueue.model import JobView
from jobqueue.workers.registry import WorkerView
from manager.http.canonical_json import json_fragment
from manager.http.problems import ID_CONFLICT, Problem, duplicate_unique_key, queue_problem, unavailable_problem
from manager.queue.submitter import SubmitResult


def job_document(job: JobView) -> dict[str, Any]:
    """Return a job as a response body."""
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


def job_details_document(job: JobView, attempt_errors: Iterable[AttemptError]) -> dict[str, Any]:
    """Return a job that is shown alone as a response body."""
    return {**job_document(job), "attempt_errors": [asdict(error) for error in attempt_errors]}


def queue_document(name: str, counts: QueueCounts) -> dict[str, Any]:
    """Return a queue as a response body."""
    return {"name": name, **asdict(counts)}


def workers_document(workers: Iterable[WorkerView]) -> dict[str, Any]:
    """Return workers as a response body."""
    return {"workers": [asdict(worker) for worker in workers]}


def unfinished(counts: QueueCounts) -> int:
    """Return how many jobs have not ended."""
    return counts.queued + counts.scheduled + counts.deferred + counts.started


def problem_for(result: SubmitResult) -> Problem | None:
    """Return why a job was not enqueued; None if it was."""
    match result.answer:
        case EnqueueOutcome.WRITTEN | EnqueueOutcome.REPEATED:
            return None
        case EnqueueOutcome.CONFLICT:
            return Problem(
                ID_CONFLICT, f"job {result.job_id} was submitted before with different content", id=result.job_id
            )
        case DuplicateUniqueKey(job_id, free_in_seconds):
            return duplicate_unique_key(job_id, free_in_seconds)
        case ShardUnavailable() as error:
            return unavailable_problem(error, result.job_id)
        case JobQueueError() as error:
            return queue_problem(error)
