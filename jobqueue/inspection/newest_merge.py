"""Merging of lists of several shards, in the order of their entries, and cursors: places in that order."""

import asyncio
import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from jobqueue.errors import ShardUnavailable
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import list_views
from jobqueue.inspection.listing import MAX_PAGE_BYTES, InvalidCursor
from jobqueue.inspection.newest_lists import Entry, IdList
from jobqueue.job_view import JobView
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of, sent_name

MIN_READ = 8
"""Entries that are read of a list at a time, at least."""


@dataclass(frozen=True, slots=True)
class Found:
    """An entry, and the shard that it was read from."""

    entry: Entry
    shard: Shard

    @property
    def job_id(self) -> str:
        """The id of the job."""
        # Entries of the registry of started jobs are executions: `id:token`.
        return name_of(self.entry[1]).split(":", 1)[0]


@dataclass(slots=True)
class Merge:
    """Merges lists of several shards.

    Attributes:
        newest_first: the order of all lists.
        wanted: how many entries are probably needed.
        shards_missing: how many shards did not answer.
    """

    newest_first: bool
    wanted: int
    lists: list[IdList] = field(default_factory=list)
    shards_missing: int = 0

    async def runs(self) -> AsyncIterator[list[Found]]:
        """Yield the entries in order, as many at a time as are known to be the next ones."""
        while True:
            await self._fill()
            live = [each for each in self.lists if each.entries]
            if not live:
                return
            ends = [each.entries[-1] for each in live if not each.is_read]
            pick = max if self.newest_first else min
            bound = pick(ends) if ends else None
            found = [Found(entry, each.shard) for each in live for entry in each.take(bound)]
            yield sorted(found, key=lambda each: each.entry, reverse=self.newest_first)

    async def _fill(self) -> None:
        by_shard: dict[int, list[IdList]] = defaultdict(list)
        # Most lists may turn out to be empty, and others take their share then.
        share = max(MIN_READ, 3 * self.wanted // (2 * max(1, sum(not each.is_read for each in self.lists))))
        for each in self.lists:
            if not each.entries and not each.is_read:
                by_shard[each.shard.index].append(each)
        await asyncio.gather(*(self._fill_from(lists, share) for lists in by_shard.values()))

    async def _fill_from(self, lists: Sequence[IdList], share: int) -> None:
        shard = lists[0].shard
        # A list that is read again and again may have all that is wanted.
        counts = [min(share << each.reads, max(share, self.wanted)) for each in lists]
        try:
            commands = [each.command(count) for each, count in zip(lists, counts, strict=True)]
            replies = await shard.execute(*commands, tolerate_wrong_types=True)
            for each, count, reply in zip(lists, counts, replies, strict=True):
                if not each.read(reply, count):
                    await each.read_by_rank(count)
        except ShardUnavailable:
            self.shards_missing += 1
            for each in self.lists:
                if each.shard is shard:
                    each.is_read = True


async def read_views(part: Sequence[Found], functions: FunctionRegistry, hidden: Sequence[str]) -> list[JobView | None]:
    """Return the jobs as a listing shows them; None for each that does not exist."""
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


def cursor_of(entry: Entry | None) -> str | None:
    """Return the cursor of a place in the order."""
    if entry is None:
        return None
    return urlsafe_b64encode(json.dumps([entry[0], name_of(entry[1])]).encode()).decode().rstrip("=")


def entry_of(cursor: str) -> Entry:
    """Return the place that a cursor names.

    Raises:
        InvalidCursor: `cursor_of` has not returned it.
    """
    try:
        score, member = json.loads(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        if not isinstance(score, int | float) or isinstance(score, bool):
            raise TypeError("a cursor is [score, id]")
        return score_of(score), sent_name(member)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidCursor(f"unknown cursor {cursor!r}") from error


def score_of(number: int | float) -> float:
    """Return a number from a cursor as the score of a sorted set.

    Raises:
        ValueError, OverflowError: no score can be so.
    """
    score = float(number)
    if math.isnan(score):
        raise ValueError("Redis has no such score")
    return score
