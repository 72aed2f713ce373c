"""Hands completed results out: for good, or on a lease that is acknowledged."""

import secrets
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jobqueue import keys
from jobqueue.model import PULLED_TTL_SECONDS
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import clock_argument

MAX_PULL_BYTES = 16 * 1024 * 1024
"""A call ends with the result that reaches this size (in base64): an answer must fit into memory."""

PullOrder = Literal["latest", "oldest"]


@dataclass(frozen=True, slots=True)
class PulledResult:
    """A completed job's id and its result as JSON text."""

    job_id: str
    value: bytes


async def pull(
    shard: Shard,
    limit: int,
    *,
    order: PullOrder = "latest",
    lease_seconds: float = 0.0,
    keep_seconds: int = PULLED_TTL_SECONDS,
    token: str | None = None,
    now: float | None = None,
    retry_seconds: float = 0.0,
) -> list[PulledResult]:
    """Takes up to `most` results out of the shard's feed, fewer where they are large, and at least one if there is any.

    Args:
        lease_seconds: 0 hands out for good; else they come back into the feed, at their place, unless acknowledged.
        keep_seconds: how long a result that was handed out for good stays readable by its id.
        token: a repeat with the same token (as the repeats within `retry_seconds` are) gets the first answer.

    Raises:
        ShardUnavailable: nothing was handed out, unless `outcome_unknown`.
    """
    token = token or secrets.token_hex(8)
    arguments: tuple[str | int, ...] = (clock_argument(now), token, limit, order, repr(lease_seconds), keep_seconds)
    arguments += (MAX_PULL_BYTES,)
    rows = await shard.run(script("pull"), *arguments, replicate=True, retry_seconds=retry_seconds)
    return [PulledResult(job_id.decode(), b64decode(value)) for job_id, value in rows]


async def acknowledge(
    shard: Shard,
    job_ids: Sequence[str],
    *,
    keep_seconds: int = PULLED_TTL_SECONDS,
    now: float | None = None,
    retry_seconds: float = 0.0,
) -> int:
    """Ends the lease of results for good.

    Returns:
        How many of them were waiting for it.

    Raises:
        ShardUnavailable: try again.
    """
    return sum(await acknowledge_each(shard, job_ids, keep_seconds=keep_seconds, now=now, retry_seconds=retry_seconds))


async def acknowledge_each(
    shard: Shard,
    job_ids: Sequence[str],
    *,
    keep_seconds: int = PULLED_TTL_SECONDS,
    now: float | None = None,
    retry_seconds: float = 0.0,
) -> list[bool]:
    """Ends the lease of results for good; says of each whether it was waiting for it.

    Raises:
        ShardUnavailable: try again.
    """
    answers = await shard.run(
        script("ack"), clock_argument(now), keep_seconds, *job_ids, replicate=True, retry_seconds=retry_seconds
    )
    return [bool(answer) for answer in answers]


async def wait_for_results(shard: Shard, seconds: float) -> None:
    """Returns when the shard's feed may hold something, at the latest after `seconds`.

    Raises:
        ShardUnavailable: the master is away.
    """
    bell = keys.feed_wake(shard.prefix)
    await shard.execute(("BLPOP", bell, repr(seconds)), timeout_seconds=seconds + 5.0)
