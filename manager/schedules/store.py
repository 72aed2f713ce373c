"""Schedules in Redis. Each lies on the shard of its name, as do the jobs that it runs."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jobqueue import keys
from jobqueue.audit import Author, author_argument
from jobqueue.json_text import json_object
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import text_of
from manager.schedules.record import Progress, Schedule, pause_json

MAX_SCHEDULES = 1_000
"""On one shard."""
MAX_ROWS = 100
"""Of a schedule's history."""
REMEMBERED_SECONDS = 3600
"""How long the last instant of a deleted schedule is remembered: one with the same name does not run it again."""
_FIELDS = (
    *("definition", "revision", "paused", "created_at", "changed_at"),
    *("next", "last", "runs", "missed", "missed_at", "held"),
)
_DUE_LIMIT = 1_000
_READ_AT_ONCE = 50
"""Schedules of at most 64 KiB, as they are sent; they are stored with the job in two forms."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What Redis holds of a schedule.

    Attributes:
        schedule: None if it cannot be read, and `problem` says why.
    """

    name: str
    schedule: Schedule | None
    progress: Progress
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes a schedule, and what the audit stream notes of it.

    Attributes:
        action: as the log event is called.
        before, after: the schedule; None where there was none.
    """

    author: Author
    action: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


async def read_schedule(shard: Shard, name: str) -> tuple[Stored | None, Progress, float]:
    """Read one schedule.

    Returns:
        The schedule, if there is one; its progress, of which one that was deleted a moment ago keeps the last instant;
        Redis' time.

    Raises:
        ShardUnavailable: try again.
    """
    values, time = await shard.execute(
        ("HMGET", keys.schedule(shard.prefix, name), *_FIELDS), ("TIME",), tolerate_wrong_types=True
    )
    fields = _record(values)
    return _stored(name, fields), Progress.from_fields(fields), _unix_time(time)


async def read_schedules(shard: Shard) -> list[Stored]:
    """Read all schedules of a shard, by name.

    Raises:
        ShardUnavailable: try again.
    """
    (names,) = await shard.execute(("ZRANGE", keys.schedules(shard.prefix), 0, -1), tolerate_wrong_types=True)
    return await _read(shard, sorted(map(text_of, names or ())))


async def read_due(shard: Shard, *, now: float | None = None) -> tuple[list[Stored], float]:
    """Read the schedules that are due; return them and Redis' time.

    Raises:
        ShardUnavailable: try again.
    """
    key = keys.schedules(shard.prefix)
    first, time = await shard.execute(("ZRANGE", key, 0, 0, "WITHSCORES"), ("TIME",), tolerate_wrong_types=True)
    now = _unix_time(time) if now is None else now
    if not first or float(first[1]) > now:
        return [], now
    (names,) = await shard.execute(("ZRANGE", key, "-inf", repr(now), "BYSCORE", "LIMIT", 0, _DUE_LIMIT))
    return await _read(shard, list(map(text_of, names))), now


async def read_history(shard: Shard, name: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return what a schedule has done, the latest first, and the ids of the runs that may not have ended.

    Raises:
        ShardUnavailable: try again.
    """
    rows, active = await shard.execute(
        ("LRANGE", keys.schedule_history(shard.prefix, name), 0, MAX_ROWS - 1),
        ("LRANGE", keys.schedule_active(shard.prefix, name), 0, -1),
        tolerate_wrong_types=True,
    )
    return [row for text in rows or () if (row := json_object(text)) is not None], list(map(text_of, active or ()))


async def save_schedule(
    shard: Shard,
    schedule: Schedule,
    read: Progress | None,
    new: Progress,
    change: Change,
    *,
    keep_next: bool = False,
) -> str:
    """Store a schedule in place of what was read; None if there was none.

    Args:
        new: next instant, pause and times are stored.
        keep_next: leave the next instant as it is by now.

    Returns:
        'saved', 'changed' (something else is stored now: read it again), or 'full' (there are `MAX_SCHEDULES`).

    Raises:
        ShardUnavailable: try again.
        QueueFull: Redis has no memory for it.
    """
    fields = {
        "definition": schedule.to_json(),
        "paused": "" if new.pause is None else pause_json(new.pause),
        "created_at": repr(new.created_at),
        "changed_at": repr(new.changed_at),
    }
    if not keep_next:
        fields["held"] = ""
    offset = "" if new.pause is not None else repr(schedule.offset_seconds)
    next_instant = "=" if keep_next else instant_argument(new.next)
    return await _save(shard, schedule.name, read, next_instant, offset, change, fields)


async def delete_schedule(shard: Shard, name: str, read: Progress, change: Change) -> str:
    """Delete a schedule. Jobs that it has enqueued stay.

    Returns:
        'saved', or 'changed' (something else is stored now: read it again).

    Raises:
        ShardUnavailable: try again.
    """
    return await _save(shard, name, read, "", "", change, {})


async def _read(shard: Shard, names: Sequence[str]) -> list[Stored]:
    found: list[Stored] = []
    for start in range(0, len(names), _READ_AT_ONCE):
        part = names[start : start + _READ_AT_ONCE]
        commands = [("HMGET", keys.schedule(shard.prefix, name), *_FIELDS) for name in part]
        replies = await shard.execute(*commands, tolerate_wrong_types=True)
        records = (_stored(name, _record(values)) for name, values in zip(part, replies, strict=True))
        found += (stored for stored in records if stored is not None)
    return found


def _record(values: Sequence[bytes | None] | None) -> dict[str, bytes]:
    return {field: value for field, value in zip(_FIELDS, values or (), strict=False) if value is not None}


def _stored(name: str, fields: Mapping[str, bytes]) -> Stored | None:
    if "definition" not in fields:
        return None
    try:
        schedule, problem = _parsed(name, fields["definition"]), ""
    except ValueError as error:
        schedule, problem = None, str(error)
    return Stored(name, schedule, Progress.from_fields(fields), problem)


@lru_cache(maxsize=MAX_SCHEDULES)
def _parsed(name: str, definition: bytes) -> Schedule:
    # Every manager reads a schedule whenever it is due, and its definition seldom changes.
    return Schedule.from_json(name, definition)


async def _save(
    shard: Shard,
    name: str,
    read: Progress | None,
    next_instant: str,
    offset: str,
    change: Change,
    fields: Mapping[str, str],
) -> str:
    noted = ("" if each is None else json.dumps(each) for each in (change.before, change.after))
    answer = await shard.run(
        *(script("save_schedule"), name),
        *(("", "") if read is None else (read.revision, instant_argument(read.next))),
        *(secrets.token_hex(8), next_instant, offset, MAX_SCHEDULES),
        *(author_argument(change.author), change.action, *noted),
        REMEMBERED_SECONDS,
        *(part for pair in fields.items() for part in pair),
        replicate=True,
        needs_memory=bool(fields) and read is None,
    )
    return text_of(answer)


def instant_argument(instant: float | None) -> str:
    """Return an instant as it is stored; '' is none."""
    return "" if instant is None else repr(instant)


def _unix_time(reply: Sequence[bytes]) -> float:
    return int(reply[0]) + int(reply[1]) / 1e6
