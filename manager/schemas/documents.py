"""Convert values of the queue to response bodies, and the outcome of a submission to a problem."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

import orjson

from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.inspection.attempt_errors import AttemptError
from jobqueue.inspection.counters import QueueCounts, ShardCounts
from jobqueue.job_view import JobView
from jobqueue.lifecycle.enqueue import DuplicateUniqueKey, EnqueueOutcome
from jobqueue.lifecycle.notes import LogLine, LogPage
from jobqueue.timestamps import iso
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
        "args": job.args,
        "kwargs": job.kwargs,
        "arguments_note": job.arguments_note,
        "timeout": job.timeout_seconds,
        "retries_left": job.retries_left,
        "due_at": job.due_at,
        "depends_on": job.depends_on,
        "progress": job.progress,
        "result_note": None if job.result_note is None else asdict(job.result_note),
        "meta_note": job.meta_note,
        "function_version": job.version,
        "isolation": job.isolation,
        "labels": job.labels,
        "callback": None if job.callback is None else asdict(job.callback),
    }


def job_details_document(job: JobView, attempt_errors: Iterable[AttemptError]) -> dict[str, Any]:
    """Return a job that is shown alone as a response body."""
    return {**job_document(job), "attempt_errors": [asdict(error) for error in attempt_errors]}


def log_line_document(line: LogLine) -> dict[str, Any]:
    """Return a line of a job's log as a part of a response body."""
    return {
        "id": line.id,
        "number": line.number or None,
        "at": iso(line.at_ms / 1000),
        "attempt": line.attempt,
        "stream": line.stream,
        "text": line.text,
    }


def log_document(page: LogPage, after: str | None, ended: bool) -> dict[str, Any]:
    """Return lines of a job's log as a response body."""
    return {
        "lines": [log_line_document(line) for line in page.lines],
        "after": page.lines[-1].id if page.lines else after,
        "dropped": page.dropped,
        "ended": ended,
    }


def queue_documents(counts: ShardCounts, unserved: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the queues as response bodies, by name; `unserved` are those that no worker serves."""
    # A queue may have been paused before it has ever had a job.
    queues = {**dict.fromkeys(counts.paused, QueueCounts()), **counts.queues}
    return {
        name: {
            "name": name,
            **asdict(queue),
            "served": name not in unserved,
            "paused": name in counts.paused,
        }
        for name, queue in sorted(queues.items())
    }


def workers_document(workers: Iterable[WorkerView]) -> dict[str, Any]:
    """Return workers as a response body."""
    return {"workers": [asdict(worker) for worker in workers]}


def unfinished(counts: ShardCounts) -> int:
    """Return how many jobs have not ended."""
    total = counts.total
    waiting = total.queued + total.scheduled + total.deferred + total.ready_to_enqueue + counts.rate_limited
    return waiting + total.started


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
