"""Jobs of one status over all shards and queues, the newest first, page by page.

A cursor is a place in the order, not a number of entries: jobs that come or go meanwhile move nothing to another page.
Each page reads a bounded number of entries, however many there are.
"""

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from jobqueue.errors import ShardUnavailable
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import list_views
from jobqueue.inspection.listing import MAX_PAGE_BYTES, REGISTRIES, InvalidCursor, queue_names
from jobqueue.inspection.newest_lists import Entry, IdList
from jobqueue.model import JobView, Status
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.stored_values import name_of, sent_name

MAX_SEARCHED = 300
READ_TOGETHER = 50
"""Records that are read in one call: Redis, and whoever else uses this event loop, wait meanwhile."""
MIN_READ = 8
"""Entries that are read of a list at a time, at least."""
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
    shards: Shards,
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
    start = None if cursor is None else _entry_of(cursor)
    merge = _Merge(status, start)
    await merge.open(shards, queue, shows, limit if matches is None else max_searched)
    jobs: list[JobView] = []
    searched, last = 0, start
    async for run in merge.runs():
        while run:
            if len(jobs) >= limit or searched >= max_searched:
                return NewestPage(tuple(jobs), searched, _cursor_of(last), merge.shards_missing)
            size = min(max_searched - searched, READ_TOGETHER, READ_TOGETHER if matches else limit - len(jobs))
            part, run = run[:size], run[size:]
            for found, view in zip(part, await _views(part, functions, hide_arguments_of), strict=True):
                if len(jobs) >= limit:
                    return NewestPage(tuple(jobs), searched, _cursor_of(last), merge.shards_missing)
                searched, last = searched + 1, found.entry
                if view is not None and _belongs(view, status, shows) and (matches is None or matches(view)):
                    jobs.append(view)
    return NewestPage(tuple(jobs), searched, None, merge.shards_missing)


@dataclass(frozen=True, slots=True)
class _Found:
    entry: Entry
    shard: Shard

    @property
    def job_id(self) -> str:
        # Entries of the registry of started jobs are executions: `id:token`.
        return name_of(self.entry[1]).split(":", 1)[0]


@dataclass(slots=True)
class _Merge:
    """Merges the lists of all shards and queues.

    Attributes:
        start: the place after which the page begins; None for the first page.
    """

    status: Status
    start: Entry | None
    lists: list[IdList] = field(default_factory=list)
    shards_missing: int = 0
    _wanted: int = 0

    async def open(self, shards: Shards, queue: str | None, shows: Callable[[str], bool] | None, wanted: int) -> None:
        """Find the lists.

        Raises:
            ShardUnavailable: no shard answers.
        """
        answers = await asyncio.gather(*map(queue_names, shards), return_exceptions=True)
        failure: ShardUnavailable | None = None
        for shard, names in zip(shards, answers, strict=True):
            if isinstance(names, ShardUnavailable):
                failure = names
                self.shards_missing += 1
            elif isinstance(names, BaseException):
                raise names
            else:
                self.lists += (
                    IdList(shard, REGISTRIES[self.status], name, self.start, newest_first=self._newest_first)
                    for name in names
                    if queue in (None, name) and (shows is None or shows(name))
                )
        if failure is not None and self.shards_missing == len(shards):
            raise failure
        self._wanted = wanted

    async def runs(self) -> AsyncIterator[list[_Found]]:
        """Yield the entries in order, as many at a time as are known to be the next ones."""
        while True:
            await self._fill()
            live = [each for each in self.lists if each.entries]
            if not live:
                return
            ends = [each.entries[-1] for each in live if not each.is_read]
            pick = max if self._newest_first else min
            bound = pick(ends) if ends else None
            found = [_Found(entry, each.shard) for each in live for entry in each.take(bound)]
            yield sorted(found, key=lambda each: each.entry, reverse=self._newest_first)

    async def _fill(self) -> None:
        by_shard: dict[int, list[IdList]] = defaultdict(list)
        # Most lists may turn out to be empty, and others take their share then.
        count = max(MIN_READ, 3 * self._wanted // (2 * max(1, sum(not each.is_read for each in self.lists))))
        for each in self.lists:
            if not each.entries and not each.is_read:
                by_shard[each.shard.index].append(each)
        await asyncio.gather(*(self._fill_from(lists, count) for lists in by_shard.values()))

    async def _fill_from(self, lists: Sequence[IdList], count: int) -> None:
        shard = lists[0].shard
        try:
            commands = [each.command(count) for each in lists]
            replies = await shard.execute(*commands, tolerate_wrong_types=True)
            crowded = [each for each, reply in zip(lists, replies, strict=True) if not each.read(reply, count)]
            for each in crowded:
                await each.read_by_rank(count)
        except ShardUnavailable:
            self.shards_missing += 1
            for each in self.lists:
                if each.shard is shard:
                    each.is_read = True

    @property
    def _newest_first(self) -> bool:
        return self.status is not Status.SCHEDULED


async def _views(part: Sequence[_Found], functions: FunctionRegistry, hidden: Sequence[str]) -> list[JobView | None]:
    places: dict[int, list[int]] = defaultdict(list)
    for place, found in enumerate(part):
        places[found.shard.index].append(place)
    views: list[JobView | None] = [None] * len(part)

    async def read(mine: Sequence[int]) -> None:
        shard = part[mine[0]].shard
        while mine:
            ids = [part[place].job_id for place in mine]
            read = await list_views(shard, ids, functions, MAX_PAGE_BYTES, hide_arguments_of=hidden)
            for place, view in zip(mine, read, strict=False):
                views[place] = view
            mine = mine[len(read) :]

    await asyncio.gather(*map(read, places.values()))
    return views


def _belongs(job: JobView, status: Status, shows: Callable[[str], bool] | None) -> bool:
    # A registry can still list a job under an earlier status.
    return (job.unreadable or job.status == status) and (shows is None or shows(job.queue))


def _cursor_of(entry: Entry | None) -> str | None:
    if entry is None:
        return None
    return urlsafe_b64encode(json.dumps([entry[0], name_of(entry[1])]).encode()).decode().rstrip("=")


def _entry_of(cursor: str) -> Entry:
    try:
        score, member = json.loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        if not isinstance(score, int | float) or isinstance(score, bool):
            raise TypeError("a cursor is [score, id]")
        return float(score), sent_name(member)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidCursor(f"unknown cursor {cursor!r}") from error
