"""How the agent's loops bear with a shard that is away: they try again, and say so once."""

import asyncio
import logging
import random

log = logging.getLogger(__name__)

MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.1, 2.0


class Backoff:
    """Jittered, bounded pauses between tries, and one log line for each change between well and unwell.

    Args:
        event: what the log calls it, such as `claim`.
        shard: the shard's prefix; None for all of Redis.
    """

    def __init__(self, event: str, shard: str | None) -> None:
        self._event = event
        self._shard = shard or "all"
        self._pause = 0.0

    @property
    def is_failing(self) -> bool:
        """Whether the last try failed."""
        return self._pause > 0

    async def failed(self, error: Exception) -> None:
        """Pauses before the next try."""
        if not self.is_failing:
            log.warning("event=%s_unavailable shard=%s error=%r", self._event, self._shard, str(error))
        self._pause = min(max(self._pause * 2, MIN_BACKOFF_SECONDS), MAX_BACKOFF_SECONDS)
        await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))

    def succeeded(self) -> None:
        """The next failure is the first again."""
        if self.is_failing:
            log.info("event=%s_available shard=%s", self._event, self._shard)
            self._pause = 0.0
