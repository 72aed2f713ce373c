"""Deliver callbacks: claim what is due on each shard, send it, record what came of it.

Every manager does so. An entry is leased to one of them at a time, so none waits for another. Hosts are independent: of
each, a few entries are sent at a time, and one that fails is left alone for a while (jobqueue/lua/_lanes.lua).
"""

import asyncio
import contextlib
import importlib
import logging
import random
import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from jobqueue import keys
from jobqueue.backoff import Backoff, jittered_seconds
from jobqueue.callbacks.entry import Entry
from jobqueue.callbacks.outbox import (
    MAX_IN_FLIGHT_PER_HOST,
    Outcome,
    Report,
    claim_callbacks,
    has_due,
    report_callbacks,
)
from jobqueue.errors import JobQueueError
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.stored_values import integer_of
from manager.callbacks.verdict import judge
from outgoing.guard import Guard

if TYPE_CHECKING:
    from manager.callbacks.delivery import Delivery
    from processes.tracing.spans import Tracing

POLL_SECONDS = 0.25
MAX_IN_FLIGHT = 400
"""How many callbacks a manager sends at a time, to all hosts."""
CLAIM_LIMIT = 100
LEASE_MARGIN_SECONDS = 5.0
"""An entry is leased for so much longer than an attempt may take."""
REPORT_SECONDS = 30.0
"""How long a report is tried while its shard is away. Later, the entry is sent again anyway."""
STOP_SECONDS = 5.0
"""How long a manager that stops waits for answers. What has none by then is sent again by another one."""
DROPPED_SECONDS = 10.0
"""How often it is looked whether callbacks were dropped."""

log = logging.getLogger(__name__)


class CallbackSender:
    """Sends the callbacks of all shards.

    Args:
        signing_keys: sign each callback; the newest first.
        retry_intervals: seconds between the attempts.
        timeout_seconds: how long an attempt may take.
        tracing: makes a span for each attempt; None if nothing is traced.
    """

    def __init__(
        self,
        shards: Shards,
        guard: Guard,
        signing_keys: Sequence[bytes],
        *,
        retry_intervals: Sequence[float],
        timeout_seconds: float,
        tracing: "Tracing | None" = None,
    ) -> None:
        self._shards = shards
        self._guard = guard
        self._signing_keys = signing_keys
        self._retry_intervals = retry_intervals
        self._timeout_seconds = timeout_seconds
        self._tracing = tracing
        self._per_host = max(1, MAX_IN_FLIGHT_PER_HOST // len(shards))
        self._delivery: Delivery | None = None
        self._loading = asyncio.Lock()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to deliver, until `stop`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Claim nothing more, wait a little for what is being sent, and close the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=STOP_SECONDS)
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        if self._delivery is not None:
            await self._delivery.close()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                group.create_task(self._serve(shard))
                group.create_task(_watch_dropped(shard))

    async def _serve(self, shard: Shard) -> None:
        backoff, freed = Backoff("callbacks", shard.prefix), asyncio.Event()
        while True:
            freed.clear()
            try:
                entries = await self._claim(shard)
            except (JobQueueError, RedisError, OSError) as error:
                await backoff.failed(error)
                continue
            except Exception:  # The loop's edge: one bad answer must not end the callbacks of all shards.
                log.exception("event=callbacks_crashed shard=%s", shard.prefix)
                await asyncio.sleep(1)
                continue
            backoff.succeeded()
            for entry in entries:
                task = asyncio.create_task(self._deliver(shard, entry, freed))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)
            if not entries:
                # Room that comes free for a host is used at once.
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: in Python 3.11 it forgets a cancellation that comes together with the event.
                    async with asyncio.timeout(POLL_SECONDS):
                        await freed.wait()

    async def _claim(self, shard: Shard) -> list[Entry]:
        room = min(CLAIM_LIMIT, MAX_IN_FLIGHT - len(self._in_flight))
        if room <= 0 or not await has_due(shard):
            return []
        await self._load()
        lease_seconds = self._timeout_seconds + LEASE_MARGIN_SECONDS
        return await claim_callbacks(shard, secrets.token_hex(8), room, self._per_host, lease_seconds=lease_seconds)

    async def _load(self) -> None:
        async with self._loading:
            if self._delivery is None:
                module = await asyncio.to_thread(importlib.import_module, "manager.callbacks.delivery")
                self._delivery = await asyncio.to_thread(
                    module.Delivery, self._guard, self._signing_keys, self._timeout_seconds, self._tracing
                )

    async def _deliver(self, shard: Shard, entry: Entry, freed: asyncio.Event) -> None:
        assert self._delivery is not None
        try:
            attempt, wait_seconds = await self._delivery.send(entry)
            jitter = random.uniform(-1, 1)
            verdict = judge(attempt.status, wait_seconds, entry.tries, self._retry_intervals, jitter)
            report = Report(entry.id, entry.token, verdict.outcome, attempt, verdict.delay_seconds, verdict.host_works)
            await _report(shard, report)
            _log(shard, entry, report)
        except Exception:  # The task's edge: the entry is sent again once its lease is over.
            log.exception("event=callback_crashed shard=%s callback_id=%s", shard.prefix, entry.id)
        finally:
            freed.set()


async def _report(shard: Shard, report: Report) -> None:
    deadline, failures = time.monotonic() + REPORT_SECONDS, 0
    while True:
        try:
            await report_callbacks(shard, [report])
        except (JobQueueError, RedisError, OSError) as error:
            if time.monotonic() > deadline:
                log.warning(
                    "event=callback_unrecorded shard=%s callback_id=%s error=%r",
                    *(shard.prefix, report.callback_id, str(error)),
                )
                return
            await asyncio.sleep(jittered_seconds(failures, 0.1, 2.0))
            failures += 1
        else:
            return


def _log(shard: Shard, entry: Entry, report: Report) -> None:
    attempt = report.attempt
    if report.outcome is Outcome.DELIVERED:
        log.debug(
            "event=callback_delivered shard=%s callback_id=%s host=%s tries=%d milliseconds=%d",
            *(shard.prefix, entry.id, entry.host, entry.tries + 1, attempt.milliseconds),
        )
        return
    reason = attempt.error or f"status {attempt.status}"
    if report.outcome is Outcome.RETRY:
        log.info(
            "event=callback_failed shard=%s callback_id=%s host=%s tries=%d retry_seconds=%.0f reason=%r",
            *(shard.prefix, entry.id, entry.host, entry.tries + 1, report.delay_seconds, reason),
        )
    else:
        log.warning(
            "event=callback_dead shard=%s callback_id=%s host=%s tries=%d reason=%r",
            *(shard.prefix, entry.id, entry.host, entry.tries + 1, reason),
        )


async def _watch_dropped(shard: Shard) -> None:
    """Log when callbacks are dropped: too many wait."""
    known: int | None = None
    while True:
        with contextlib.suppress(JobQueueError, RedisError, OSError):
            key = keys.callback_counts(shard.prefix)
            (count,) = await shard.execute(("HGET", key, "dropped"), tolerate_wrong_types=True)
            dropped = integer_of(count)
            if known is not None and dropped > known:
                log.warning("event=callbacks_dropped shard=%s callbacks=%d", shard.prefix, dropped - known)
            known = dropped
        await asyncio.sleep(DROPPED_SECONDS)
