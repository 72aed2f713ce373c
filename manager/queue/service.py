"""The queue as the routes see it, once Redis has been reached, and the reaching."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from jobqueue.errors import LayoutMismatch, ShardUnavailable
from jobqueue.maintenance.periodic import Maintenance
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.job_operations import JobOperations
from manager.queue.long_poll import ResultNotifier, StatusPoller
from manager.queue.overview import Overview
from manager.queue.puller import ResultPuller
from manager.queue.submitter import Submitter

log = logging.getLogger(__name__)


class QueueService:
    """Everything that requests do with the queue."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards
        self.breaker = ShardBreaker()
        self.submitter = Submitter(shards, self.breaker)
        self.puller = ResultPuller(shards, self.breaker)
        self.operations = JobOperations(shards, self.breaker)
        self.overview = Overview(shards, self.breaker)
        self.result_notifier = ResultNotifier(shards)
        self.status_poller = StatusPoller()

    async def close(self) -> None:
        """Ends what it runs by itself, and the connections."""
        await self.result_notifier.close()
        await self.status_poller.close()
        await self.shards.close()


class QueueConnection:
    """The queue's service as soon as Redis has been reached; until then every request hears that it has not.

    Args:
        redis_url: see `jobqueue.servers.topology.Topology`.
        lease_seconds: of workers.
        on_connected: called once, with the shards.
        on_job: called when jobs wait; again and again while they do.
        on_failure: called, with the reason, where the program cannot go on: the queue in Redis is not of its kind, or
            its maintenance has failed in a way that nobody foresaw.
    """

    def __init__(
        self,
        redis_url: str,
        lease_seconds: float,
        *,
        on_connected: Callable[[Shards], Awaitable[None]],
        on_job: Callable[[], None],
        on_fatal_error: Callable[[str], None],
    ) -> None:
        self._redis_url = redis_url
        self._lease_seconds = lease_seconds
        self._on_connected = on_connected
        self._on_job = on_job
        self._on_failure = on_fatal_error
        self._service: QueueService | None = None
        self._task: asyncio.Task[None] | None = None
        self.closing = asyncio.Event()
        """Set when the program is about to end: who waits should answer now."""

    @property
    def service(self) -> QueueService:
        """The queue.

        Raises:
            ShardUnavailable: Redis has not been reached yet.
        """
        if self._service is None:
            raise ShardUnavailable("Redis has not been reached yet")
        return self._service

    def start(self) -> None:
        """Begins to connect, and goes on until it has succeeded."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ends the maintenance and the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._service is not None:
            await self._service.close()

    async def _run(self) -> None:
        try:
            shards = await Shards.connect_with_retries(self._redis_url)
            self._service = QueueService(shards)
            log.info("event=queue_connected shards=%d", len(shards))
            await self._on_connected(shards)
            care = Maintenance(shards, self._redis_url, lease_seconds=self._lease_seconds, on_job=self._on_job)
            await care.run()
        except LayoutMismatch as error:
            self._on_failure(str(error))
        except Exception:
            # The loop's edge: without its maintenance a manager must not look healthy.
            log.exception("event=maintenance_failed")
            self._on_failure("the maintenance of the queue has failed: see the log")
