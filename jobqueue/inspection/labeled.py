"""Jobs with a label over all shards, those first that were submitted last.

Each shard keeps the newest jobs of a label (`_labels.lua`).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.errors import ShardUnavailable
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.newest import read_page
from jobqueue.inspection.newest_lists import IdList
from jobqueue.inspection.newest_merge import Merge, cursor_of, entry_of
from jobqueue.job_view import JobView
from jobqueue.model import Status
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards

MAX_LABELED = 10_000
"""How many jobs of a label each shard keeps (`_labels.lua`)."""
MAX_SEARCHED = 1000
"""How many jobs a page looks at."""
_DROPPED = ""
"""Stands for older jobs of a label that are not kept any more."""


@dataclass(frozen=True, slots=True)
class LabeledPage:
    """A page.

    Attributes:
        cursor: for the next page; None if this is the last one.
        incomplete: why jobs with the label may be missing; None if none are.
        searched: how many were looked at.
        shards_missing: how many shards did not answer.
    """

    jobs: tuple[JobView, ...]
    cursor: str | None
    incomplete: str | None
    searched: int
    shards_missing: int


async def labeled_jobs(
    shards: Shards,
    functions: FunctionRegistry,
    label: str,
    *,
    status: Status | None = None,
    queue: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
    shows: Callable[[str], bool] | None = None,
    max_searched: int | None = None,
    hide_arguments_of: Sequence[str] = (),
) -> LabeledPage:
    """Return jobs with a label, `name:value`, the newest first.

    Args:
        shows: tells of a queue whether its jobs are shown; None shows all.
        max_searched: how many jobs are looked at; by default `MAX_SEARCHED`.

    Raises:
        InvalidCursor: `cursor` was not returned by such a search.
        ShardUnavailable: no shard answers.
    """
    start = None if cursor is None else entry_of(cursor)
    name, _, value = label.partition(":")
    merge = Merge(newest_first=True, wanted=limit)
    merge.lists = [IdList(shard, keys.label(shard.prefix, label), start, newest_first=True) for shard in shards]

    def belongs(job: JobView) -> bool:
        # The id can have been used again for a job without the label.
        if job.labels.get(name) != value or not (shows is None or shows(job.queue)):
            return False
        return status in (None, job.status) and queue in (None, job.queue)

    page = await read_page(
        *(merge, functions, start, belongs),
        limit=limit,
        max_searched=MAX_SEARCHED if max_searched is None else max_searched,
        filters=not (status is None and queue is None and shows is None),
        hide_arguments_of=hide_arguments_of,
    )
    if page.shards_missing == len(shards):
        raise ShardUnavailable("no shard of the queue answers")
    next_cursor = page.cursor
    if next_cursor is not None and shows is not None:
        # The last job that was looked at may be one that is not shown, and so may its id.
        next_cursor = cursor_of((entry_of(next_cursor)[0], b""))
    incomplete = await _why_incomplete(shards, label, page.shards_missing)
    return LabeledPage(page.jobs, next_cursor, incomplete, page.searched, page.shards_missing)


async def _why_incomplete(shards: Shards, label: str, missing: int) -> str | None:
    if missing:
        return f"{missing} of {len(shards)} shards do not answer"
    dropped = await asyncio.gather(*(_has_dropped(shard, label) for shard in shards))
    return f"each shard keeps the newest {MAX_LABELED} jobs of a label, and there were more" if any(dropped) else None


async def _has_dropped(shard: Shard, label: str) -> bool:
    command = ("ZSCORE", keys.label(shard.prefix, label), _DROPPED)
    try:
        (score,) = await shard.execute(command, tolerate_wrong_types=True)
    except ShardUnavailable:
        return False
    return score is not None
