"""Which shards are away, remembered for a moment, so that not every request finds out by itself."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from jobqueue.errors import ShardUnavailable
from jobqueue.shards import Shard

REMEMBERED_SECONDS = 1.0


class Outages:
    """Remembers the shards that did not answer.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._away_until: dict[int, float] = {}

    @property
    def known(self) -> bool:
        """Whether any shard failed to answer the last time it was asked."""
        return bool(self._away_until)

    def is_away(self, shard: Shard) -> bool:
        """Whether the shard failed to answer a moment ago."""
        return self._away_until.get(shard.index, 0.0) > self._clock()

    def present(self, shards: Sequence[Shard]) -> list[Shard]:
        """The shards worth asking."""
        return [shard for shard in shards if not self.is_away(shard)]

    @contextmanager
    def watch(self, shard: Shard) -> Iterator[None]:
        """Around a question to the shard: asks none that is away, and learns from the answer.

        Raises:
            ShardUnavailable: the shard is away.
        """
        if self.is_away(shard):
            raise ShardUnavailable(f"{shard} did not answer a moment ago", shard_index=shard.index)
        try:
            yield
        except ShardUnavailable:
            self._away_until[shard.index] = self._clock() + REMEMBERED_SECONDS
            raise
        self._away_until.pop(shard.index, None)
