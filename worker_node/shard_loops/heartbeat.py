"""Heartbeat of a worker on one shard: renews its leases and keeps its record up to date (asynq: heartbeater)."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from jobqueue.backoff import Backoff
from jobqueue.errors import JobQueueError
from jobqueue.sharding.shard import Shard
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat, unregister
from worker_node.shard_loops.job_times import JobTimes
from worker_node.shard_loops.lease_renewer import LeaseRenewer

log = logging.getLogger(__name__)

UNREGISTER_TIMEOUT_SECONDS = 2.0


class Heartbeater:
    """Renews leases and sends heartbeats, several times within the length of a lease.

    Args:
        worker: the record under which the worker is registered.
        times: what is sent with each heartbeat.
        read_heartbeat: returns the worker's current state.
    """

    def __init__(
        self,
        shard: Shard,
        worker: WorkerRecord,
        leases: LeaseRenewer,
        times: JobTimes,
        *,
        read_heartbeat: Callable[[], WorkerHeartbeat],
    ) -> None:
        self._shard = shard
        self._worker = worker
        self._leases = leases
        self._times = times
        self._read_heartbeat = read_heartbeat
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Send the next heartbeat at once: a job has become long-running, or the worker's state has changed."""
        self._awake.set()

    async def run(self) -> None:
        """Renew and send until cancelled."""
        backoff = Backoff("leases", self._shard.prefix)
        registered = False
        while True:
            self._awake.clear()
            try:
                await self._leases.renew()
                if not registered:
                    await register(self._shard, self._worker)
                registered = await send_worker_heartbeat(self._shard, self._worker.name, self._read_heartbeat())
                await self._times.send()
            except JobQueueError as error:
                await backoff.failed(error)
                continue
            backoff.succeeded()
            if registered:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._awake.wait(), self._leases.interval_seconds)

    async def unregister(self) -> None:
        """Send the last times, and remove the worker's record; if that fails, the record expires."""
        try:
            async with asyncio.timeout(UNREGISTER_TIMEOUT_SECONDS):
                await self._times.send()
                await unregister(self._shard, self._worker.name, self._worker.queues)
        except (JobQueueError, TimeoutError) as error:
            log.warning("event=unregister_failed shard=%s error=%r", self._shard.prefix, str(error))
