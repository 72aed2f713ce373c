"""Which shards are away, remembered for a moment, so that not every request finds out by itself."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from jobqueue.errors import ShardUnavailable
from jobqueue.sharding.shard import Shard

OPEN_SECONDS = 1.0
SLOW_SECONDS = 0.5
"""A shard whose answer has been under way for longer is not asked for what another one can do as well."""


class ShardBreaker:
    """Remembers the shards that did not answer, and those that take their time.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._away_until: dict[int, float] = {}
        # Which shard is asked, and since when; the longest first.
        self._under_way: dict[object, tuple[int, float]] = {}

    @property
    def any_open(self) -> bool:
        """Whether any shard is away."""
        for _, began in self._under_way.values():
            # The others came later.
            return bool(self._away_until) or began < self._clock() - SLOW_SECONDS
        return bool(self._away_until)

    def is_open(self, shard: Shard) -> bool:
        """Whether the shard failed to answer a moment ago, or takes its time right now."""
        return self._has_failed(shard) or shard.index in self._slow()

    def available(self, shards: Sequence[Shard]) -> list[Shard]:
        """The shards worth asking."""
        return [shard for shard in shards if not self.is_open(shard)]

    @contextmanager
    def guard(self, shard: Shard) -> Iterator[None]:
        """Around a question to the shard: asks none that failed a moment ago, and learns from the answer.

        Raises:
            ShardUnavailable: the shard is away.
        """
        if self._has_failed(shard):
            raise ShardUnavailable(f"{shard} did not answer a moment ago", shard_index=shard.index)
        question = object()
        self._under_way[question] = (shard.index, self._clock())
        try:
            yield
        except ShardUnavailable:
            self._away_until[shard.index] = self._clock() + OPEN_SECONDS
            raise
        finally:
            del self._under_way[question]
        self._away_until.pop(shard.index, None)

    def _has_failed(self, shard: Shard) -> bool:
        return self._away_until.get(shard.index, 0.0) > self._clock()

    def _slow(self) -> Iterator[int]:
        if self._under_way:
            latest = self._clock() - SLOW_SECONDS
            for index, began in self._under_way.values():
                if began >= latest:
                    return
                yield index
