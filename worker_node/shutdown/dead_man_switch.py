"""A worker whose managers have gone for good: nobody else would ever end its instance."""

import asyncio
import logging
import time

from jobqueue.errors import JobQueueError
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.manager_heartbeat import seconds_since_manager_heartbeat

CHECKS_PER_TIMEOUT = 20
"""How often it looks within the time that it bears with; and once a second at most."""

log = logging.getLogger(__name__)


class DeadManSwitch:
    """How long no manager has been heard of. A Redis that is away counts as silence.

    Args:
        limit_seconds: how much silence is borne with, from now on where no manager was ever heard of.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._limit_seconds = timeout_seconds
        self._heard_at = time.monotonic()

    @property
    def remaining_seconds(self) -> float:
        """How much longer the silence may last."""
        return self._heard_at + self._limit_seconds - time.monotonic()

    async def wait(self, shards: Shards) -> None:
        """Returns when the limit is reached."""
        while self.remaining_seconds > 0:
            await asyncio.sleep(
                max(0.0, min(self.remaining_seconds, max(1.0, self._limit_seconds / CHECKS_PER_TIMEOUT)))
            )
            await asyncio.gather(*map(self._listen, shards))
        log.error("event=manager_heartbeat_timeout reason=no_manager_heard seconds=%.0f", self._limit_seconds)

    async def _listen(self, shard: Shard) -> None:
        try:
            seconds = await seconds_since_manager_heartbeat(shard)
        except JobQueueError:
            return
        if seconds is not None:
            self._heard_at = max(self._heard_at, time.monotonic() - seconds)
