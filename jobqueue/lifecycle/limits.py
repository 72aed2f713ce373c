"""Limits of how many jobs with a key run at a time, or begin in a time (docs/decisions/0030).

All limited jobs lie on the first shard, so that a limit is exact, whatever other limits its jobs have.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.audit import Author, author_argument
from jobqueue.claimed_job import ClaimedJob
from jobqueue.model import Limit
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import integer_of, name_of, number_of, pairs, text_of
from jobqueue.timestamps import clock_argument

SWEEP_LIMITS = 200
"""How many limits one call looks after."""


@dataclass(frozen=True, slots=True)
class LimitView:
    """A limit as operators see it.

    Attributes:
        fixed: whether its numbers were set for all jobs; otherwise they are those of its first job.
        running: how many jobs run under it; None without a `concurrency`, where nobody counts them.
        holders: the ids of those that run longest.
        blocked_lanes: how many lanes of jobs wait for a place of it.
    """

    limit: Limit
    fixed: bool
    running: int | None
    holders: tuple[str, ...]
    blocked_lanes: int


async def save_limit(shard: Shard, limit: Limit, author: Author | None = None, *, now: float | None = None) -> bool:
    """Set the numbers of a limit for all jobs, at once; return whether the limit was there before.

    Raises:
        ShardUnavailable: try again.
    """
    numbers = ("" if value is None else value for value in limit[1:])
    was_there = await shard.run(
        script("save_limit"), clock_argument(now), limit.key, "1", *numbers, author_argument(author), replicate=True
    )
    return bool(was_there)


async def delete_limit(shard: Shard, key: str, author: Author | None = None, *, now: float | None = None) -> bool:
    """Leave a limit's numbers to its jobs again; return whether it was there.

    Raises:
        ShardUnavailable: try again.
    """
    was_there = await shard.run(
        script("save_limit"), clock_argument(now), key, "", "", "", "", "", author_argument(author), replicate=True
    )
    return bool(was_there)


async def park_limit(shard: Shard, job: ClaimedJob, key: str, seconds: float, *, now: float | None = None) -> bool:
    """Let no job begin under a limit of a running job for some seconds; return whether it has that limit.

    Raises:
        ShardUnavailable: try again.
    """
    return bool(await shard.run(script("park_limit"), clock_argument(now), job.id, job.token, key, repr(seconds)))


async def list_limits(shard: Shard, count: int) -> list[LimitView]:
    """Return up to `count` limits, those under which a job has begun last come first.

    Raises:
        ShardUnavailable: try again.
    """
    (found,) = await shard.execute(
        ("ZRANGE", keys.limits(shard.prefix), 0, count - 1, "REV"), tolerate_wrong_types=True
    )
    views = await _view(shard, [name_of(key) for key in found or ()])
    return [view for view in views if view is not None]


async def read_limit(shard: Shard, key: str) -> LimitView | None:
    """Return a limit; None if no job has had it lately, and nobody has set it.

    Raises:
        ShardUnavailable: try again.
    """
    (view,) = await _view(shard, [key])
    return view


def limit_keys(encoded: bytes | None) -> list[str]:
    """Return the keys of a job's limits, from its field `wm_limits`; none if that cannot be read."""
    try:
        return [str(limit["key"]) for limit in json.loads(encoded or b"[]")]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []


async def sweep_limits(shard: Shard, cursor: str) -> tuple[str, int]:
    """Give back places that no job holds any more; return the next cursor ('0' at the end), and how many there were.

    Raises:
        ShardUnavailable: try again.
    """
    next_cursor, given_back = await shard.run(script("sweep_limits"), cursor, SWEEP_LIMITS)
    return text_of(next_cursor), int(given_back)


async def _view(shard: Shard, limit_keys: Sequence[str]) -> list[LimitView | None]:
    commands = [
        command
        for key in limit_keys
        for command in (
            ("HGETALL", keys.limit(shard.prefix, key)),
            ("ZCARD", keys.limit_holders(shard.prefix, key)),
            ("ZRANGE", keys.limit_holders(shard.prefix, key), 0, 9),
            ("SCARD", keys.limit_blocked(shard.prefix, key)),
        )
    ]
    answers = await shard.execute(*commands, tolerate_wrong_types=True) if commands else []
    views: list[LimitView | None] = []
    for place, key in enumerate(limit_keys):
        flat, running, holders, blocked = answers[place * 4 : place * 4 + 4]
        fields = dict(pairs(flat))
        if not fields and not running and not blocked:
            views.append(None)
            continue
        limit = Limit(
            key,
            integer_of(fields["concurrency"]) if "concurrency" in fields else None,
            integer_of(fields["starts"]) if "starts" in fields else None,
            number_of(fields["seconds"]) if "seconds" in fields else None,
            integer_of(fields["burst"]) if "burst" in fields else None,
        )
        ids = tuple(name_of(id_) for id_ in holders or ())
        counted = None if limit.concurrency is None else running or 0
        views.append(LimitView(limit, "fixed" in fields, counted, ids, blocked or 0))
    return views
