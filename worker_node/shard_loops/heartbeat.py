"""Keeps the worker's leases on one shard alive, and the worker listed there."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from jobqueue.backoff import Backoff
from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.leases import LeaseUpdate, extend
from jobqueue.model import ClaimedJob
from jobqueue.sharding.shard import Shard
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat, unregister

log = logging.getLogger(__name__)

MAX_LEASES_PER_CALL = 1000
UNREGISTER_TIMEOUT_SECONDS = 2.0


class Heartbeater:
    """Renews the leases of one shard's jobs several times within their length.

    Args:
        held: the jobs of a shard, by its index, that are here.
        report: what the worker says of itself.
        on_lost: takes jobs that are not this worker's any more.
        on_cancelled: takes jobs that somebody wants ended.
    """

    def __init__(
        self,
        shard: Shard,
        record: WorkerRecord,
        *,
        lease_seconds: float,
        held_leases: Callable[[int], Sequence[LeaseUpdate]],
        read_heartbeat: Callable[[], WorkerHeartbeat],
        on_lost: Callable[[Sequence[ClaimedJob]], None],
        on_cancelled: Callable[[Sequence[ClaimedJob]], None],
    ) -> None:
        self._shard = shard
        self._record = record
        self._lease_seconds = lease_seconds
        self._held = held_leases
        self._report = read_heartbeat
        self._on_lost = on_lost
        self._on_cancelled = on_cancelled
        self._soon = asyncio.Event()

    def renew_soon(self) -> None:
        """There is news for the shard: a job that has become a long one, or another state of the worker."""
        self._soon.set()

    async def run(self) -> None:
        """Renews until it is cancelled."""
        patience = Backoff("leases", self._shard.prefix)
        listed = False
        while True:
            self._soon.clear()
            try:
                await self._renew()
                if not listed:
                    await register(self._shard, self._record)
                listed = await send_worker_heartbeat(self._shard, self._record.name, self._report())
            except JobQueueError as error:
                await patience.failed(error)
                continue
            patience.succeeded()
            if listed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._soon.wait(), self._lease_seconds / 4)

    async def unregister(self) -> None:
        """Takes the worker off the shard's list; where that cannot be, it drops off by itself."""
        try:
            async with asyncio.timeout(UNREGISTER_TIMEOUT_SECONDS):
                await unregister(self._shard, self._record.name, self._record.queues)
        except (JobQueueError, TimeoutError) as error:
            log.warning("event=unregister_failed shard=%s error=%r", self._shard.prefix, str(error))

    async def _renew(self) -> None:
        updates = self._held(self._shard.index)
        for start in range(0, len(updates), MAX_LEASES_PER_CALL):
            some = updates[start : start + MAX_LEASES_PER_CALL]
            extension = await extend(self._shard, self._record.name, some, lease_seconds=self._lease_seconds)
            if extension.lost:
                self._on_lost([update.job for update in some if update.job.id in extension.lost])
            if extension.cancelled:
                self._on_cancelled([update.job for update in some if update.job.id in extension.cancelled])
