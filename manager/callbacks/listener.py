"""Callbacks that a listener fetches itself, because nothing outside can reach it: a developer's machine, for example.

They stand in a lane of their own, from which managers send nothing.
"""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Sequence
from typing import Any

from jobqueue.callbacks.entry import Entry, job_id_of
from jobqueue.callbacks.outbox import (
    Attempt,
    Outcome,
    Report,
    claim_callbacks,
    is_waiting_for,
    report_callbacks,
)
from jobqueue.sharding.shards import Shards
from jobqueue.timestamps import iso
from manager.callbacks.message import message
from manager.callbacks.signature import headers

POLL_SECONDS = 0.25
MAX_LEASED = 1000
"""How many callbacks one listener can have fetched and not acknowledged."""


async def hear(
    shards: Shards,
    host: str,
    limit: int,
    signing_keys: Sequence[bytes],
    wait_seconds: float,
    stops: Awaitable[Any],
) -> list[dict[str, Any]]:
    """Lease callbacks to a listener and return them, with headers and body as they would be sent.

    Args:
        wait_seconds: how long to wait for the first one.
        stops: when it is done, nobody waits any more.

    Raises:
        ShardUnavailable: a shard is unavailable; what was leased comes again.
    """
    stopped = asyncio.ensure_future(stops)
    deadline = time.monotonic() + wait_seconds
    try:
        while True:
            entries: list[Entry] = []
            for shard in shards:
                if len(entries) < limit and await is_waiting_for(shard, host):
                    token = secrets.token_hex(8)
                    entries += await claim_callbacks(shard, token, limit - len(entries), MAX_LEASED, host=host)
            left = deadline - time.monotonic()
            if entries or left <= 0 or stopped.done():
                return [_heard(entry, signing_keys) for entry in entries]
            await asyncio.wait({stopped}, timeout=min(POLL_SECONDS, left))
    finally:
        stopped.cancel()


async def acknowledge_heard(shards: Shards, receipts: Sequence[str]) -> int:
    """Record that a listener has taken callbacks. Return how many were still leased to it.

    Raises:
        ShardUnavailable: try again.
    """
    taken = Attempt(iso(None), 0, None, "", "fetched by a listener")
    by_shard: dict[int, list[Report]] = defaultdict(list)
    for receipt in dict.fromkeys(receipts):
        callback_id, _, token = receipt.rpartition(".")
        job_id = job_id_of(callback_id)
        if job_id is not None and token:
            by_shard[shards.of(job_id).index].append(Report(callback_id, token, Outcome.DELIVERED, taken))
    count = 0
    for index, reports in by_shard.items():
        lost = await report_callbacks(shards.all[index], reports)
        count += len(reports) - len(lost)
    return count


def _heard(entry: Entry, signing_keys: Sequence[bytes]) -> dict[str, Any]:
    body = message(entry)
    return {
        "receipt": f"{entry.id}.{entry.token}",
        "headers": headers(entry.id, signing_keys, int(time.time()), body),
        "body": body.decode(),
    }
