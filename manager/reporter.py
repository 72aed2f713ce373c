"""Chooses the manager that tells of the whole queue: in its metrics, and in alerts.

All managers could; then sums over managers would count everything several times, and each alert would come twice.
"""

import asyncio
import contextlib
import logging

from redis.exceptions import RedisError

from jobqueue.errors import JobQueueError
from jobqueue.sharding.shards import Shards
from scaler.state.leader_election import LeaderElector

RENEWAL_SECONDS = 1.5
DECISION_SECONDS = 2.0
"""How long a scrape waits at the start until it is known who tells."""
STOP_SECONDS = 2.0

log = logging.getLogger(__name__)


class Reporter:
    """This manager's candidacy.

    The lease is on the first shard. While that is away, nobody can take it over, so the manager that has it goes on.
    """

    def __init__(self) -> None:
        self._tells = False
        self._decided = asyncio.Event()
        self._elector: LeaderElector | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def tells(self) -> bool:
        """Whether this manager tells of the whole queue, as far as is known."""
        return self._tells

    async def decided(self) -> bool:
        """Return the same, after the first answer of Redis."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._decided.wait(), DECISION_SECONDS)
        return self._tells

    def start(self, shards: Shards, address: str) -> None:
        """Start to ask for the lease, and to renew it.

        Args:
            address: host and port of this manager.
        """
        self._elector = LeaderElector(shards.all[0], address, duty="reporter")
        self._task = asyncio.create_task(self._run(self._elector))

    async def stop(self) -> None:
        """Give the lease to another manager."""
        if self._task is None or self._elector is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._tells:
            self._tells = False
            with contextlib.suppress(JobQueueError, RedisError, OSError, TimeoutError):
                await asyncio.wait_for(self._elector.release(), STOP_SECONDS)

    async def _run(self, elector: LeaderElector) -> None:
        while True:
            try:
                leadership = await elector.acquire()
            except (JobQueueError, RedisError, OSError) as error:
                log.debug("event=reporter_lease_not_renewed error=%s", error)
            else:
                if leadership.is_leader != self._tells:
                    self._tells = leadership.is_leader
                    log.info("event=reporter_changed tells=%s address=%s", self._tells, leadership.address)
            self._decided.set()
            await asyncio.sleep(RENEWAL_SECONDS)
