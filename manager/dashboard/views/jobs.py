"""Jobs as rows of a list, and the life of one job."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobqueue.inspection.attempt_errors import AttemptError
from jobqueue.inspection.counters import QueueCounts
from jobqueue.inspection.listing import LISTABLE_STATUSES
from jobqueue.job_view import JobView
from jobqueue.model import Status
from manager.dashboard.rendering import parse_time

REQUEUABLE = (Status.FAILED, Status.STOPPED, Status.CANCELED)


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job in a list.

    Attributes:
        at: the time that a list of jobs with its status is about.
        run_seconds: how long it has run, so far if it runs still; None if it has not run.
    """

    job: JobView
    at: str | None
    run_seconds: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """A moment in the life of a job.

    Attributes:
        seconds: since the step before; None for the first.
        explained: what went wrong, if something did.
    """

    name: str
    at: str
    seconds: float | None
    explained: str | None = None


def job_row(job: JobView, now: datetime) -> JobRow:
    """Return a job as a list shows it.

    Args:
        now: with its zone.
    """
    at = {
        Status.QUEUED: job.enqueued_at,
        Status.STARTED: job.started_at,
        Status.SCHEDULED: job.due_at,
    }.get(Status(job.status), job.ended_at or job.enqueued_at or job.created_at)
    until = now.isoformat() if job.status == Status.STARTED else job.ended_at
    return JobRow(job, at, _seconds(job.started_at, until))


def job_rows(jobs: Sequence[JobView], now: datetime) -> list[JobRow]:
    """Return jobs as a list shows them; ended ones by their times: those of their list are whole seconds."""
    rows = [job_row(job, now) for job in jobs]
    if all(Status(job.status).ended for job in jobs):
        rows.sort(key=lambda row: row.at or "", reverse=True)
    return rows


def status_counts(total: QueueCounts) -> list[tuple[Status, int | None]]:
    """Return the statuses with the number of their jobs; None where it is not counted."""
    # RQ keeps stopped jobs among the failed ones.
    counted = {status: getattr(total, status, None) for status in LISTABLE_STATUSES}
    return [(status, counted[status]) for status in LISTABLE_STATUSES]


def life_of(job: JobView, attempts: Sequence[AttemptError]) -> list[Step]:
    """Return the steps of a job's life, in the order of time."""
    moments = [(name, at, explained) for name, at, explained in _moments(job, attempts) if parse_time(at) is not None]
    moments.sort(key=lambda each: parse_time(each[1]) or datetime.min)
    steps: list[Step] = []
    for name, at, explained in moments:
        seconds = _seconds(steps[-1].at, at) if steps else None
        steps.append(Step(name, at or "", seconds, explained))
    return steps


def _moments(job: JobView, attempts: Sequence[AttemptError]) -> Iterator[tuple[str, str | None, str | None]]:
    yield "created", job.created_at, None
    yield "enqueued", job.enqueued_at, None
    yield "due", job.due_at, None
    for number, error in enumerate(attempts, 1):
        if error.ended_at != job.ended_at:
            worker = f" on {error.worker}" if error.worker else ""
            yield f"attempt {number} failed{worker}", error.ended_at, f"{error.reason}: {error.message}"
    worker = f" on {job.worker}" if job.worker else ""
    yield f"started{worker}", job.started_at, None
    explained = None if job.error is None else f"{job.error.reason}: {job.error.message}"
    yield job.status, job.ended_at, explained


def _seconds(start: str | None, end: str | None) -> float | None:
    first, last = parse_time(start), parse_time(end)
    return None if first is None or last is None else max(0.0, (last - first).total_seconds())
