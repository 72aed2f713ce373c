"""Pull completed results: for good, or on a lease that the consumer acknowledges.

Hot path: see `http_pull` in benchmarks/README.md#what-limits-each-figure.
"""

import logging
import re
import secrets
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from jobqueue import keys
from jobqueue.json_text import why_not_json
from jobqueue.model import PULLED_TTL_SECONDS
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import text_of
from jobqueue.timestamps import clock_argument

MAX_PULL_BYTES = 16 * 1024 * 1024
"""A call stops at the result that reaches this size in total, in base64: the answer must fit into memory."""

_JOB_ID = re.compile(rb"[A-Za-z0-9_-]+")
log = logging.getLogger(__name__)

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
    """Take up to `limit` results from the shard's feed; fewer if they are large, but at least one if there is any.

    Args:
        lease_seconds: 0 hands the results out for good. Otherwise, they return to their place in the feed unless they
            are acknowledged in time.
        keep_seconds: how long a result that was handed out for good stays readable by its id.
        token: a call repeated with the same token (as the repeats within `retry_seconds` are) returns the first answer.

    A result that cannot be read is left out and named in the log. Its job shows why.

    Raises:
        ShardUnavailable: nothing was handed out, unless `outcome_unknown`.
    """
    token = token or secrets.token_hex(8)
    arguments: tuple[str | int, ...] = (clock_argument(now), token, limit, order, repr(lease_seconds), keep_seconds)
    arguments += (MAX_PULL_BYTES,)
    rows = await shard.run(script("pull"), *arguments, replicate=True, retry_seconds=retry_seconds)
    return list(_readable(shard, rows))


def _readable(shard: Shard, rows: Sequence[tuple[bytes, bytes]]) -> Iterator[PulledResult]:
    """Yield the results, without those that would spoil the answer that all of them share."""
    for job_id, encoded in rows:
        try:
            value = b64decode(encoded)
            # One call for each result, a fifth of a microsecond for a small one.
            problem = why_not_json(value)
        except ValueError:
            problem = "it is not in base64"
        if not problem and _JOB_ID.fullmatch(job_id):
            yield PulledResult(job_id.decode(), value)
        else:
            log.warning(
                "event=result_unreadable shard=%s job_id=%s error=%r",
                *(shard.prefix, text_of(job_id), problem or "its id has other characters than A-Z, a-z, 0-9, _ and -"),
            )


async def acknowledge(
    shard: Shard,
    job_ids: Sequence[str],
    *,
    keep_seconds: int = PULLED_TTL_SECONDS,
    now: float | None = None,
    retry_seconds: float = 0.0,
) -> int:
    """Acknowledge leased results: they are not handed out again.

    Returns:
        Number of results that were waiting for it.

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
    """Acknowledge leased results; return for each whether it was waiting for it.

    Raises:
        ShardUnavailable: try again.
    """
    answers = await shard.run(
        script("ack"), clock_argument(now), keep_seconds, *job_ids, replicate=True, retry_seconds=retry_seconds
    )
    return [bool(answer) for answer in answers]


async def wait_for_results(shard: Shard, seconds: float) -> None:
    """Wait until the shard's feed may hold a result, at most `seconds`.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    wake_key = keys.feed_wake(shard.prefix)
    await shard.execute(("BLPOP", wake_key, repr(seconds)), timeout_seconds=seconds + 5.0)
