"""Everything that requests do with the queue, as one object."""

import asyncio
from collections.abc import Sequence

from jobqueue.lifecycle.pull import PulledResult
from jobqueue.sharding.shards import Shards
from manager.events.change_hub import ChangeHub
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.job_operations import JobOperations
from manager.queue.long_poll import ResultNotifier, StatusPoller
from manager.queue.overview import Overview
from manager.queue.puller import ResultPuller
from manager.queue.queue_monitor import QueueMonitor
from manager.queue.schedule_operations import ScheduleOperations
from manager.queue.submitter import Submitter


class QueueService:
    """The parts that routes use, all on the same shards and circuit breakers.

    Args:
        closing: set when the manager stops.
    """

    def __init__(
        self,
        shards: Shards,
        managed_queues: Sequence[str] = (),
        *,
        launches_workers: bool = False,
        closing: asyncio.Event | None = None,
    ) -> None:
        self.shards = shards
        self.breaker = ShardBreaker()
        self.submitter = Submitter(shards, self.breaker)
        self.puller = ResultPuller(shards, self.breaker)
        self.operations = JobOperations(shards, self.breaker)
        self.schedules = ScheduleOperations(shards, self.breaker)
        self.overview = Overview(shards, self.breaker)
        self.monitor = QueueMonitor(shards, self.breaker, managed_queues, launches_workers=launches_workers)
        self.result_notifier = ResultNotifier(shards)
        self.status_poller = StatusPoller()
        self.changes = ChangeHub(shards, closing or asyncio.Event())

    def return_results(self, results: Sequence[PulledResult]) -> None:
        """Hand out results, which were pulled for good and reached no client, to those who ask next."""
        self.puller.put_back(results)
        self.result_notifier.notify()

    async def close(self) -> None:
        """Stop the background tasks and close the connections."""
        await self.result_notifier.close()
        await self.status_poller.close()
        await self.changes.close()
        await self.shards.close()
