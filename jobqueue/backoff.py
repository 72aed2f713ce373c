"""Exponential backoff with jitter: how long to wait before the next try, and what to log meanwhile."""

import asyncio
import logging
import time
from collections.abc import Callable

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


class Outage:
    """The failures of a periodic task in a row: tells when they begin and end, so that each is logged once.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = 0.0
        self._kinds: set[str] = set()

    @property
    def seconds(self) -> float:
        """How long the task has been failing."""
        return self._clock() - self._began_at if self._kinds else 0.0

    def begin(self, kind: str = "") -> bool:
        """Note a failure; return whether it is the first of its kind in this outage."""
        if not self._kinds:
            self._began_at = self._clock()
        is_first = kind not in self._kinds
        self._kinds.add(kind)
        return is_first

    def end(self) -> float | None:
        """Note a success; return how many seconds the outage lasted, or None if there was none."""
        seconds = self.seconds if self._kinds else None
        self._kinds.clear()
        return seconds


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
        self._outage = Outage()

    @property
    def is_failing(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    async def failed(self, error: Exception) -> None:
        """Pause before the next try."""
        if self._outage.begin():
            log.warning("event=%s_unavailable shard=%s error=%r", self._event, self._shard, str(error))
        self._failures += 1
        await asyncio.sleep(jittered_seconds(self._failures - 1, MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS))

    def succeeded(self) -> None:
        """Start over: the next failure counts as the first."""
        seconds = self._outage.end()
        if seconds is not None:
            log.info("event=%s_available shard=%s after_seconds=%.1f", self._event, self._shard, seconds)
            self._failures = 0
