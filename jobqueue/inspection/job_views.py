"""Views of jobs: their records as users see them, by id."""

from collections.abc import Sequence
from dataclasses import replace

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.arguments import MAX_SHOWN_CALL_BYTES, show_arguments
from jobqueue.inspection.record_views import names_of, view_stored
from jobqueue.inspection.stored_jobs import ReadLimits, read_jobs
from jobqueue.job_view import JobView
from jobqueue.sharding.shard import Shard

MAX_META_BYTES = 1024 * 1024
"""Maximum size of the notes that are shown."""
MAX_READ_BYTES = 64 * 1024 * 1024
"""How much one call reads of whole jobs, each of which is bounded already."""
WHOLE = ReadLimits(meta=MAX_META_BYTES, call=MAX_SHOWN_CALL_BYTES, calls_of_all=True, result=16 * 1024 * 1024)
"""What is read of a job that is shown alone. A result has at most 1 MiB, but the last ones of a job lie together."""
LISTED_PART = ReadLimits(meta=64 * 1024, call=4 * 1024, calls_of_all=False, result=64 * 1024)
"""What is read of a job in a listing."""


async def view_jobs(
    shard: Shard, job_ids: Sequence[str], functions: FunctionRegistry, *, hide_arguments_of: Sequence[str] = ()
) -> list[JobView | None]:
    """Return jobs of one shard as users see them, with all that is shown; None for each that does not exist.

    Args:
        hide_arguments_of: patterns of functions whose arguments, and texts of exceptions, are not shown.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    views: list[JobView | None] = []
    while len(views) < len(job_ids):
        rest = job_ids[len(views) :]
        for job_id, stored in zip(rest, await read_jobs(shard, rest, WHOLE, MAX_READ_BYTES), strict=False):
            view = view_stored(job_id, stored, functions, hide_arguments_of)
            if view is not None and stored is not None and not view.unreadable:
                shown = show_arguments(
                    stored.fields.get("data", b""),
                    stored.call_bytes,
                    names_of(view, stored, functions),
                    hide_arguments_of,
                )
                view = replace(view, args=shown.args, kwargs=shown.kwargs, arguments_note=shown.note)
            views.append(view)
    return views


async def list_views(
    shard: Shard,
    job_ids: Sequence[str],
    functions: FunctionRegistry,
    max_bytes: int,
    *,
    hide_arguments_of: Sequence[str] = (),
) -> list[JobView | None]:
    """Return the first of these jobs as a listing shows them, until about `max_bytes` are read.

    Calls, long notes and large results are neither read nor shown.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    stored_jobs = await read_jobs(shard, job_ids, LISTED_PART, max_bytes) if job_ids else []
    return [
        view_stored(job_id, stored, functions, hide_arguments_of)
        for job_id, stored in zip(job_ids, stored_jobs, strict=False)
    ]
