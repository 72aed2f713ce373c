"""Connect to the queue in the background, then run its maintenance and its schedules until the manager stops.

A manager starts without Redis: until the first connection, every request gets 503.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from jobqueue.errors import LayoutMismatch, ShardUnavailable, WrongDatabase
from jobqueue.maintenance.periodic import Maintenance
from jobqueue.model import ALL_QUEUES
from jobqueue.servers.round_trips import RoundTrips
from jobqueue.servers.topology import Topology
from jobqueue.sharding.shards import Shards
from manager.append_only.keeper import AppendOnlyKeeper
from manager.queue.server_settings import ServerSettings
from manager.queue.service import QueueService
from manager.schedules.firing import ScheduleFiring

FAILURE, USAGE_ERROR = 1, 2
"""Exit codes of a manager."""

log = logging.getLogger(__name__)


class QueueConnection:
    """The queue's service, once Redis has been reached.

    Args:
        redis_url: see `jobqueue.servers.topology.Topology`.
        lease_seconds: how long workers' leases last.
        on_connected: called once, with the shards.
        managed_queues: those that the workers serve which a scaler launches.
        launches_workers: this manager has a scaler.
        on_jobs_waiting: called when jobs wait in one of them, repeatedly while they do.
        on_fatal_error: called with the reason and the exit code if the manager cannot go on: Redis does not have the
            URL's database, its layout or format is not this version's, or the maintenance failed unexpectedly.
        require_cluster: the Redis servers are known to be a cluster.
        keeps_files: nobody else watches the servers' append-only files.
        maintains: nobody else of this manager keeps up the queue and fires its schedules.
    """

    def __init__(
        self,
        redis_url: str,
        lease_seconds: float,
        *,
        managed_queues: Sequence[str] = ALL_QUEUES,
        launches_workers: bool = False,
        on_connected: Callable[[Shards], Awaitable[None]],
        on_jobs_waiting: Callable[[], None],
        on_fatal_error: Callable[[str, int], None],
        require_cluster: bool = False,
        keeps_files: bool = True,
        maintains: bool = True,
    ) -> None:
        self._lease_seconds = lease_seconds
        self._on_connected = on_connected
        self._managed_queues = managed_queues
        self._launches_workers = launches_workers
        self._on_jobs_waiting = on_jobs_waiting
        self._on_fatal_error = on_fatal_error
        self._topology = Topology(
            redis_url, require_cluster=require_cluster, setting="WORKMANAGER_REDIS_URL of a manager"
        )
        self._maintains = maintains
        self._file_keeper = AppendOnlyKeeper(self._topology) if keeps_files else None
        self._server_settings = ServerSettings(self._topology)
        self._service: QueueService | None = None
        self._task: asyncio.Task[None] | None = None
        self.closing = asyncio.Event()
        """Set when the manager is shutting down: requests that wait must answer now."""

    @property
    def service(self) -> QueueService:
        """The queue.

        Raises:
            ShardUnavailable: Redis has not been reached yet.
        """
        if self._service is None:
            raise ShardUnavailable("Redis has not been reached yet")
        return self._service

    @property
    def refused_servers(self) -> Mapping[str, str]:
        """Redis servers that are not used because they are no members of the cluster: why, by address."""
        return self._topology.refused_servers

    @property
    def round_trips(self) -> RoundTrips:
        """Counts the calls to Redis."""
        return self._topology.round_trips

    @property
    def changes_read(self) -> int:
        """How many changes of jobs were read for streams of events."""
        return 0 if self._service is None else self._service.changes.changes_read

    @property
    def unsound_files(self) -> Mapping[str, str]:
        """Why a Redis server may not start again from its append-only file, by address; empty if others watch them."""
        return self._file_keeper.problems if self._file_keeper is not None else {}

    @property
    def risky_settings(self) -> Mapping[str, str]:
        """How a Redis server can lose jobs because of its settings, by address."""
        return self._server_settings.risks

    def start(self) -> None:
        """Start to connect, with retries until it succeeds."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop the maintenance and close the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._service is not None:
            await self._service.close()

    async def _run(self) -> None:
        try:
            shards = await Shards.connect_with_retries(self._topology)
            self._service = QueueService(
                *(shards, self._managed_queues),
                launches_workers=self._launches_workers,
                closing=self.closing,
            )
            log.info("event=queue_connected shards=%d", len(shards))
            await self._on_connected(shards)
            loops = [self._service.monitor.run(), self._server_settings.run()]
            if self._maintains:
                maintenance = Maintenance(
                    shards,
                    lease_seconds=self._lease_seconds,
                    managed_queues=self._managed_queues,
                    on_jobs_waiting=self._on_jobs_waiting,
                )
                loops += [maintenance.run(), ScheduleFiring(shards).run()]
            if self._file_keeper is not None:
                loops.append(self._file_keeper.run())
            await asyncio.gather(*loops)
        except WrongDatabase as error:
            self._on_fatal_error(f"WORKMANAGER_REDIS_URL: {error}", USAGE_ERROR)
        except LayoutMismatch as error:
            self._on_fatal_error(str(error), FAILURE)
        except Exception:
            # The loop's edge: a manager without maintenance must not look healthy.
            log.exception("event=maintenance_stopped")
            self._on_fatal_error("the queue's maintenance has failed: see the log", FAILURE)
