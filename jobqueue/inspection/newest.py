"""Jobs of one status over all shards and queues, the newest first, page by page.

A cursor is a place in the order, not a number of entries: jobs that come or go meanwhile move nothing to another page.
Each page reads a bounded number of entries, however many there are.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.errors import ShardUnavailable
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.listing import REGISTRIES, queue_names
from jobqueue.inspection.newest_lists import Entry, IdList
from jobqueue.inspection.newest_merge import Merge, cursor_of, entry_of, read_views
from jobqueue.job_view import JobView
from jobqueue.model import Status
from jobqueue.sharding.shard import Shard

MAX_SEARCHED = 300
READ_TOGETHER = 50
"""Records that are read in one call: Redis, and whoever else uses this event loop, wait meanwhile."""
NEWEST_STATUSES = tuple(REGISTRIES)
"""Those that can be listed in this way. Queued jobs stand in lists, in the order in which they run."""


@dataclass(frozen=True, slots=True)
class NewestPage:
    """A page.

    Attributes:
        searched: how many entries were looked at.
        cursor: for the next page; None if this is the last one.
        shards_missing: how many shards did not answer.
    """

    jobs: tuple[JobView, ...]
    searched: int
    cursor: str | None
    shards_missing: int


async def newest_jobs(
    shards: Sequence[Shard],
    functions: FunctionRegistry,
    status: Status,
    *,
    queue: str | None = None,
    limit: int = 50,
    max_searched: int = MAX_SEARCHED,
    cursor: str | None = None,
    matches: Callable[[JobView], bool] | None = None,
    shows: Callable[[str], bool] | None = None,
    hide_arguments_of: Sequence[str] = (),
) -> NewestPage:
    """Return jobs of one of `NEWEST_STATUSES`: those first that got it last; scheduled ones by when they are due.

    Args:
        limit: of the jobs that are returned.
        max_searched: of those that are looked at.
        matches: leaves jobs out.
        shows: tells of a queue whether its jobs are shown; None shows all.

    Raises:
        InvalidCursor: `cursor` was not returned by this function.
        ShardUnavailable: no shard answers.
    """
    start = None if cursor is None else entry_of(cursor)
    merge = await _open(shards, status, start, queue, shows, limit if matches is None else max_searched)

    def belongs(job: JobView) -> bool:
        # A registry can still list a job under an earlier status.
        is_listed = (job.unreadable or job.status == status) and (shows is None or shows(job.queue))
        return is_listed and (matches is None or matches(job))

    return await read_page(
        *(merge, functions, start, belongs),
        limit=limit,
        max_searched=max_searched,
        filters=matches is not None,
        hide_arguments_of=hide_arguments_of,
    )


async def read_page(
    merge: Merge,
    functions: FunctionRegistry,
    start: Entry | None,
    belongs: Callable[[JobView], bool],
    *,
    limit: int,
    max_searched: int,
    filters: bool,
    hide_arguments_of: Sequence[str],
) -> NewestPage:
    """Return the next jobs of merged lists.

    Args:
        start: the place after which the page begins; None for the first page.
        belongs: leaves jobs out.
        filters: it leaves out many, so that more are read than are wanted.

    Raises:
        ShardUnavailable: a shard that answered a moment ago does not any more.
    """
    jobs: list[JobView] = []
    searched, last = 0, start
    async for run in merge.runs():
        while run:
            if len(jobs) >= limit or searched >= max_searched:
                return NewestPage(tuple(jobs), searched, cursor_of(last), merge.shards_missing)
            size = min(max_searched - searched, READ_TOGETHER, READ_TOGETHER if filters else limit - len(jobs))
            part, run = run[:size], run[size:]
            for found, view in zip(part, await read_views(part, functions, hide_arguments_of), strict=True):
                if len(jobs) >= limit:
                    return NewestPage(tuple(jobs), searched, cursor_of(last), merge.shards_missing)
                searched, last = searched + 1, found.entry
                if view is not None and belongs(view):
                    jobs.append(view)
    return NewestPage(tuple(jobs), searched, None, merge.shards_missing)


async def _open(
    shards: Sequence[Shard],
    status: Status,
    start: Entry | None,
    queue: str | None,
    shows: Callable[[str], bool] | None,
    wanted: int,
) -> Merge:
    """Find the lists.

    Raises:
        ShardUnavailable: no shard answers.
    """
    merge = Merge(newest_first=status is not Status.SCHEDULED, wanted=wanted)
    answers = await asyncio.gather(*map(queue_names, shards), return_exceptions=True)
    failure: ShardUnavailable | None = None
    for shard, names in zip(shards, answers, strict=True):
        if isinstance(names, ShardUnavailable):
            failure = names
            merge.shards_missing += 1
        elif isinstance(names, BaseException):
            raise names
        else:
            shown = [name for name in names if queue in (None, name) and (shows is None or shows(name))]
            registries = [keys.registry(shard.prefix, REGISTRIES[status], name) for name in shown]
            merge.lists += (IdList(shard, key, start, newest_first=merge.newest_first) for key in registries)
    if failure is not None and merge.shards_missing == len(shards):
        raise failure
    return merge
