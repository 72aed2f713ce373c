"""Exponential backoff with jitter: how long to wait before the next try, and what to log meanwhile."""

import asyncio
import logging

from redis.backoff import EqualJitterBackoff, ExponentialBackoff

log = logging.getLogger(__name__)

MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.1, 2.0
MAX_DOUBLINGS = 30
"""redis-py raises 2 to the number of failures before it applies its maximum, so that a long outage ends in an
OverflowError at the 1,024th failure (findings/redis-py-backoff-overflow.sh)."""


def jittered_seconds(failures: int, first_seconds: float, max_seconds: float) -> float:
    """Return the delay after `failures` failures in a row, counted from 0: doubled each time, less up to a half."""
    return EqualJitterBackoff(cap=max_seconds, base=first_seconds).compute(min(failures, MAX_DOUBLINGS))


def exponential_seconds(failures: int, first_seconds: float, max_seconds: float) -> float:
    """Return the same delay without jitter, for what has no competitor."""
    return ExponentialBackoff(cap=max_seconds, base=first_seconds).compute(min(failures, MAX_DOUBLINGS))


class Backoff:
    """The tries of one loop: jittered pauses between them, and one log line when they begin to fail or succeed again.

    Args:
        event: prefix of the log events, such as `claim` for `claim_unavailable` and `claim_available`.
        shard: the shard's prefix; None for all of Redis.
    """

    def __init__(self, event: str, shard: str | None) -> None:
        self._event = event
        self._shard = shard or "all"
        self._failures = 0

    @property
    def is_failing(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    async def failed(self, error: Exception) -> None:
        """Pause before the next try."""
        if not self.is_failing:
            log.warning("event=%s_unavailable shard=%s error=%r", self._event, self._shard, str(error))
        self._failures += 1
        await asyncio.sleep(jittered_seconds(self._failures - 1, MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS))

    def succeeded(self) -> None:
        """Start over: the next failure counts as the first."""
        if self.is_failing:
            log.info("event=%s_available shard=%s", self._event, self._shard)
            self._failures = 0
