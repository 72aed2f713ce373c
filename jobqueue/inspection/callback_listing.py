"""Callbacks as users see them: one, or a page of them, the latest first, over all shards."""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from jobqueue import keys
from jobqueue.callbacks.entry import Entry, entry_of, job_id_of
from jobqueue.inspection.listing import InvalidCursor
from jobqueue.inspection.newest_merge import score_of
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.stored_values import name_of, number_of

MAX_LOOKED_AT = 2000
"""A page ends early, with a cursor, after so many callbacks that do not belong on it."""


class CallbackStatus(StrEnum):
    """WAITING: not tried yet; FAILING: to be tried again; DELIVERED; DEAD: given up."""

    WAITING = "waiting"
    FAILING = "failing"
    DELIVERED = "delivered"
    DEAD = "dead"


_SETS = {
    "waiting": (CallbackStatus.WAITING, CallbackStatus.FAILING),
    "dead": (CallbackStatus.DEAD,),
    "delivered": (CallbackStatus.DELIVERED,),
}
"""The sorted sets, in the order of a listing of all of them, and the statuses of what stands in them."""
Place = tuple[float, str]
"""Score and id: where a page ends."""


@dataclass(frozen=True, slots=True)
class CallbackView:
    """A callback.

    Attributes:
        due_at: Unix time of the next attempt, unless its host is left alone for longer; None if there is none, or if it
            is being sent.
    """

    entry: Entry
    status: CallbackStatus
    due_at: float | None


@dataclass(frozen=True, slots=True)
class CallbackPage:
    """A page of a listing. `cursor` is for the next page; None if this is the last one."""

    callbacks: tuple[CallbackView, ...]
    cursor: str | None


async def list_callbacks(
    shards: Shards,
    *,
    status: CallbackStatus | None = None,
    host: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
    shows: Callable[[str], bool] = lambda _: True,
) -> CallbackPage:
    """Return one page: those that wait, then those that were given up, then those that were delivered.

    Args:
        host: only those for this host and port.
        shows: tells of a queue whether callbacks of its jobs are shown.

    Raises:
        InvalidCursor: `cursor` was not returned by a listing with this status.
        ShardUnavailable: a shard is unavailable.
    """
    names = [name for name, statuses in _SETS.items() if status is None or status in statuses]
    place: Place = (inf, "")
    if cursor is not None:
        first, place = _read_cursor(cursor)
        if first not in names:
            raise InvalidCursor("the cursor belongs to a listing with another status")
        names = names[names.index(first) :]
    found: list[CallbackView] = []
    looked_at = 0
    for name in names:
        while True:
            if len(found) == limit or looked_at >= MAX_LOOKED_AT:
                return CallbackPage(tuple(found), _cursor(name, place))
            rows = await _newest(shards, name, place, limit)
            for shard, score, callback_id in rows:
                place = (score, callback_id)
                looked_at += 1
                view = await view_callback(shard, callback_id)
                if (
                    view is not None
                    and status in (None, view.status)
                    and host in (None, view.entry.host)
                    and shows(view.entry.queue)
                ):
                    found.append(view)
                    if len(found) == limit:
                        break
            if len(rows) < limit and len(found) < limit:
                break
        place = (inf, "")
    return CallbackPage(tuple(found), None)


async def find_callback(shards: Shards, callback_id: str) -> tuple[Shard, CallbackView] | None:
    """Return a callback and its shard; None if there is none.

    Raises:
        ShardUnavailable: the shard is unavailable.
    """
    job_id = job_id_of(callback_id)
    if job_id is None:
        return None
    shard = shards.of(job_id)
    view = await view_callback(shard, callback_id)
    return None if view is None else (shard, view)


async def view_callback(shard: Shard, callback_id: str) -> CallbackView | None:
    """Return a callback of a shard; None if there is none."""
    prefix = shard.prefix
    flat, delivered, dead = await shard.execute(
        ("HGETALL", keys.callback(prefix, callback_id)),
        ("ZSCORE", keys.callbacks(prefix, "delivered"), callback_id),
        ("ZSCORE", keys.callbacks(prefix, "dead"), callback_id),
        tolerate_wrong_types=True,
    )
    if not flat:
        return None
    entry = entry_of(callback_id, flat)
    if dead is not None or delivered is not None:
        status = CallbackStatus.DEAD if dead is not None else CallbackStatus.DELIVERED
        return CallbackView(entry, status, None)
    due, sending = await shard.execute(
        ("ZSCORE", keys.callback_lane(prefix, entry.host), callback_id),
        ("ZSCORE", keys.callbacks_in_flight(prefix, entry.host), callback_id),
        tolerate_wrong_types=True,
    )
    status = CallbackStatus.FAILING if entry.tries else CallbackStatus.WAITING
    return CallbackView(entry, status, None if sending is not None else number_of(due))


async def dead_callbacks(shard: Shard, since: float, after: Place, limit: int) -> list[Place]:
    """Return time and id of callbacks that were given up then or later, the earliest first, those behind `after`."""
    key, bounds = keys.callbacks(shard.prefix, "dead"), (max(since, after[0]), inf)
    rows = await _page(shard, key, bounds, limit, is_reversed=False)
    return [row for row in rows if row > after][:limit]


async def _newest(shards: Shards, name: str, before: Place, limit: int) -> list[tuple[Shard, float, str]]:
    rows: list[tuple[Shard, float, str]] = []
    for shard in shards:
        page = await _page(shard, keys.callbacks(shard.prefix, name), (before[0], -inf), limit, is_reversed=True)
        rows += [(shard, *row) for row in page if before[0] == inf or row < before]
    rows.sort(key=lambda row: row[1:], reverse=True)
    return rows[:limit]


async def _page(
    shard: Shard, key: str, bounds: tuple[float, float], limit: int, *, is_reversed: bool
) -> Sequence[Place]:
    """Return at least `limit` entries behind the first bound's own score, and all with that score, if there are any."""
    order = ("REV",) if is_reversed else ()
    first, last = (_bound(each) for each in bounds)
    (ties,) = await shard.execute(("ZCOUNT", key, first, first), tolerate_wrong_types=True)
    (flat,) = await shard.execute(
        ("ZRANGE", key, first, last, "BYSCORE", *order, "LIMIT", 0, limit + (ties or 0), "WITHSCORES"),
        tolerate_wrong_types=True,
    )
    found = flat or ()
    return [(number_of(score) or 0.0, name_of(member)) for member, score in zip(found[::2], found[1::2], strict=True)]


def _bound(score: float) -> str:
    return {inf: "+inf", -inf: "-inf"}.get(score) or repr(score)


def _cursor(name: str, place: Place) -> str:
    value = [name, None if place[0] == inf else place[0], place[1]]
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[str, Place]:
    try:
        name, score, callback_id = json.loads(urlsafe_b64decode((text + "=" * (-len(text) % 4)).encode("ascii")))
        if name not in _SETS or not isinstance(callback_id, str) or not isinstance(score, int | float | None):
            raise TypeError("a cursor is [set, score, id]")
        return name, (inf if score is None else score_of(score), callback_id)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as error:
        raise InvalidCursor(f"unknown cursor {text!r}") from error
