"""A circuit breaker per shard: a shard that failed or is slow is not asked again for a moment.

Without it, every request would find out for itself that a shard is unavailable, after a timeout.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from jobqueue.errors import ShardUnavailable
from jobqueue.sharding.shard import Shard

REFUSE_SECONDS = 0.25
"""How long a shard is left alone after a call to it has failed."""
OPEN_SECONDS = 1.0
"""How long, after such a call, the shard is skipped for work that another shard can do as well. Work that only this
shard can do finds out earlier that it is back."""
SLOW_SECONDS = 0.5
"""A shard with an unanswered call older than this is skipped for work that another shard can do as well."""


class ShardBreaker:
    """The circuit breakers of all shards, open for those that failed a moment ago or are slow.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed_at: dict[int, float] = {}
        # Shard index and start time of each call in flight, the oldest first.
        self._in_flight: dict[object, tuple[int, float]] = {}

    @property
    def any_open(self) -> bool:
        """Whether any shard failed a moment ago or is slow."""
        for _, started in self._in_flight.values():
            # The first call is the oldest. If it is not slow, none is.
            return bool(self._failed_at) or started < self._clock() - SLOW_SECONDS
        return bool(self._failed_at)

    def is_open(self, shard: Shard) -> bool:
        """Return whether the shard failed a moment ago or is slow right now."""
        return self._has_failed_within(OPEN_SECONDS, shard) or shard.index in self._slow()

    def available(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return those of `shards` that are worth asking."""
        return [shard for shard in shards if not self.is_open(shard)]

    @contextmanager
    def guard(self, shard: Shard) -> Iterator[None]:
        """Wrap a call to the shard: refuse it if the last one failed a moment ago, and note how this one ends.

        Raises:
            ShardUnavailable: the call failed, or was refused.
        """
        if self._has_failed_within(REFUSE_SECONDS, shard):
            raise ShardUnavailable(f"{shard} did not answer a moment ago", shard_index=shard.index)
        call = object()
        self._in_flight[call] = (shard.index, self._clock())
        try:
            yield
        except ShardUnavailable:
            self._failed_at[shard.index] = self._clock()
            raise
        finally:
            del self._in_flight[call]
        self._failed_at.pop(shard.index, None)

    def _has_failed_within(self, seconds: float, shard: Shard) -> bool:
        return shard.index in self._failed_at and self._clock() < self._failed_at[shard.index] + seconds

    def _slow(self) -> Iterator[int]:
        if self._in_flight:
            latest_start = self._clock() - SLOW_SECONDS
            for index, started in self._in_flight.values():
                if started >= latest_start:
                    return
                yield index
