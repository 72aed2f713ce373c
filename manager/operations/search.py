"""Find the jobs of an operation, a page at a time, with a cursor that holds while jobs come, go and are changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.labeled import labeled_jobs
from jobqueue.inspection.listing import list_jobs
from jobqueue.inspection.newest import newest_jobs
from jobqueue.job_view import JobView
from jobqueue.model import Status
from jobqueue.sharding.shards import Shards
from manager.operations.operation import Operation

STEP_JOBS = 200
"""How many jobs one step looks at."""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of jobs.

    Attributes:
        jobs: those that the operation is to change.
        cursor: for the next page; None if this is the last one.
        shards_missing: how many shards did not answer: the page must be searched again.
        shifts: the cursor counts entries, so that those behind it move up when jobs of the page are changed.
    """

    jobs: Sequence[JobView]
    searched: int
    cursor: str | None
    shards_missing: int = 0
    shifts: bool = False


def sources(operation: Operation) -> Sequence[Status | None]:
    """Return the searches of an operation, one after the other: by status; None by its label."""
    return (None,) if operation.filter.label is not None else operation.statuses


async def find(
    shards: Shards, functions: FunctionRegistry, operation: Operation, sees: Callable[[str], bool] | None
) -> Found:
    """Return the next jobs of an operation.

    Args:
        sees: tells of a queue whether the author's key sees its jobs; None if it sees all.

    Raises:
        InvalidCursor: the position is none of this operation.
        ShardUnavailable: try again.
    """
    at, wanted = operation.progress.position, operation.filter
    source = sources(operation)[at.source]
    if source is None:
        assert wanted.label is not None
        labeled = await labeled_jobs(
            *(shards, functions, wanted.label),
            queue=wanted.queue,
            limit=STEP_JOBS,
            cursor=at.cursor,
            shows=sees,
            max_searched=STEP_JOBS,
        )
        jobs = [job for job in labeled.jobs if operation.concerns(job)]
        # A key that does not see all jobs is not told how many others have the label.
        searched = labeled.searched if sees is None else len(labeled.jobs)
        return Found(jobs, searched, labeled.cursor, labeled.shards_missing)
    if source is Status.QUEUED:
        listed = await list_jobs(
            *(shards, functions), status=source, queue=wanted.queue, limit=STEP_JOBS, cursor=at.cursor, shows=sees
        )
        jobs = [job for job in listed.jobs if operation.concerns(job)]
        return Found(jobs, len(listed.jobs), listed.cursor, shifts=True)
    page = await newest_jobs(
        *(shards.all, functions, source),
        queue=wanted.queue,
        limit=STEP_JOBS,
        max_searched=STEP_JOBS,
        cursor=at.cursor,
        matches=operation.concerns,
        shows=sees,
    )
    return Found(page.jobs, page.searched, page.cursor, page.shards_missing)
