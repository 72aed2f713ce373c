"""Take entries of the outbox that are due, and record what came of sending them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jobqueue import keys
from jobqueue.callbacks.entry import Entry, entry_of
from jobqueue.model import DAY_SECONDS, FAILURE_TTL_SECONDS
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of, number_of
from jobqueue.timestamps import clock_argument

LEASE_SECONDS = 60.0
"""How long an entry is leased to a listener."""
MAX_IN_FLIGHT_PER_HOST = 8
"""How many callbacks are sent to one host at a time, by all managers; on each shard its share, at least one."""
DELIVERED_TTL_SECONDS = DAY_SECONDS
DEAD_TTL_SECONDS = FAILURE_TTL_SECONDS
"""How long callbacks are kept that were delivered, and that were given up; of each at most 10,000 on a shard."""


class Outcome(StrEnum):
    """What becomes of an entry after an attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to deliver a callback.

    Attributes:
        at: when it began, ISO 8601 in UTC.
        milliseconds: how long it took.
        status: HTTP status of the answer; None for none.
        error: why there was no answer, or none that counts; '' for none.
        answer: beginning of the answer's body.
    """

    at: str
    milliseconds: int
    status: int | None
    error: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an attempt.

    Attributes:
        token: of the entry's lease.
        delay_seconds: until the next attempt, if the outcome is a retry.
        host_works: whether the host can be sent other callbacks; None if the attempt does not tell.
    """

    callback_id: str
    token: str
    outcome: Outcome
    attempt: Attempt
    delay_seconds: float = 0.0
    host_works: bool | None = None


async def has_due(shard: Shard) -> bool:
    """Return whether there is something to claim. Cheaper than a claim, which waits for the replicas.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    first, time = await shard.execute(
        ("ZRANGE", keys.callback_hosts(shard.prefix), 0, 0, "WITHSCORES"), ("TIME",), tolerate_wrong_types=True
    )
    due = number_of(first[1]) if first else None
    return due is not None and due <= int(time[0]) + int(time[1]) / 1_000_000


async def is_waiting_for(shard: Shard, host: str) -> bool:
    """Return whether something waits for a host, or for a listener.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    (count,) = await shard.execute(("ZCARD", keys.callback_lane(shard.prefix, host)), tolerate_wrong_types=True)
    return bool(count)


async def claim_callbacks(
    shard: Shard,
    token: str,
    count: int,
    per_host: int,
    *,
    lease_seconds: float = LEASE_SECONDS,
    host: str = "",
    now: float | None = None,
) -> list[Entry]:
    """Lease up to `count` entries that are due, at most `per_host` at a time of each host, or of this host alone.

    The answer comes once the entries survive the loss of the master: nobody is told of a change that did not happen.

    Raises:
        ShardUnavailable: what was leased nevertheless becomes due again.
    """
    rows: list[list[Any]] = await shard.run(
        script("claim_callbacks"),
        *(clock_argument(now), token, repr(lease_seconds), count, per_host, host),
        replicate=True,
    )
    return [entry_of(name_of(callback_id), flat, token) for callback_id, flat in rows]


async def retry_callbacks(shard: Shard, callback_ids: Sequence[str], *, now: float | None = None) -> list[bool]:
    """Make callbacks due at once, with all their attempts. Return of each whether there is such a callback.

    Raises:
        ShardUnavailable: try again.
    """
    found = await shard.run(script("retry_callbacks"), clock_argument(now), *callback_ids, replicate=True)
    return [bool(each) for each in found]


async def report_callbacks(shard: Shard, reports: Sequence[Report], *, now: float | None = None) -> list[str]:
    """Record attempts. Return the ids of entries whose lease is gone: nothing was recorded for them.

    Raises:
        ShardUnavailable: try again; without, the entries are sent again after their lease.
    """
    arguments: list[str | float] = []
    for report in reports:
        works = "" if report.host_works is None else str(int(report.host_works))
        arguments += [
            report.callback_id,
            report.token,
            report.outcome,
            report.delay_seconds,
            works,
            _line(report.attempt),
        ]
    lost = await shard.run(
        script("report_callbacks"), clock_argument(now), DELIVERED_TTL_SECONDS, DEAD_TTL_SECONDS, *arguments
    )
    return [name_of(callback_id) for callback_id in lost]


def _line(attempt: Attempt) -> str:
    return json.dumps(
        {
            "at": attempt.at,
            "milliseconds": attempt.milliseconds,
            "status": attempt.status,
            "error": attempt.error,
            "answer": attempt.answer,
        }
    )
