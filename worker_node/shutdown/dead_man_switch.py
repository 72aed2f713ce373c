"""Dead-man switch: stops a worker whose managers are gone for good, because nothing else would end its instance."""

import asyncio
import logging
import time

from jobqueue.errors import JobQueueError
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.manager_heartbeat import seconds_since_manager_heartbeat

CHECKS_PER_TIMEOUT = 20
"""How often the managers' heartbeat is read within the timeout, but at most once a second."""

log = logging.getLogger(__name__)


class DeadManSwitch:
    """Measures the time since the last heartbeat of any manager. An unavailable Redis counts as no heartbeat.

    Args:
        timeout_seconds: starts now if no manager has ever sent a heartbeat.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._last_heartbeat = time.monotonic()

    @property
    def remaining_seconds(self) -> float:
        """Time until the timeout if no heartbeat arrives."""
        return self._last_heartbeat + self._timeout_seconds - time.monotonic()

    async def wait(self, shards: Shards) -> None:
        """Wait for the timeout."""
        interval = max(1.0, self._timeout_seconds / CHECKS_PER_TIMEOUT)
        while (remaining := self.remaining_seconds) > 0:
            await asyncio.sleep(min(remaining, interval))
            await asyncio.gather(*map(self._read_heartbeat, shards))
        log.error("event=manager_heartbeat_timeout timeout_seconds=%.0f", self._timeout_seconds)

    async def _read_heartbeat(self, shard: Shard) -> None:
        try:
            seconds = await seconds_since_manager_heartbeat(shard)
        except JobQueueError:
            return
        if seconds is not None:
            self._last_heartbeat = max(self._last_heartbeat, time.monotonic() - seconds)
