"""Time-sliced rotation of the shards: calls that may go to any shard all go to the current one, and share its batches.

A call for 30 jobs costs its master little more than a call for one. So jobs that arrive together are not spread over
the shards one by one. Each shard gets an equal share over time instead.

Hot path: see `cluster_cpu` in benchmarks/README.md#what-limits-each-figure.
"""

import random
import time
from collections.abc import Callable

TIME_SLICE_SECONDS = 0.05
"""Long enough for a few dozen calls. Also how far jobs on different shards may get out of order."""


class ShardRotation:
    """Gives each shard one slice of `TIME_SLICE_SECONDS` in every round, in a new random order each round.

    The random order keeps the managers from all using the same shard at once, and a client that calls at regular
    intervals from always meeting the same one.

    Args:
        shard_count: number of shards.
        clock: returns monotonic seconds.
    """

    def __init__(self, shard_count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._count = shard_count
        self._clock = clock
        self._round = -1
        self._order: list[int] = []

    @property
    def slice_number(self) -> int:
        """Number of the current time slice; it only grows."""
        return int(self._clock() / TIME_SLICE_SECONDS)

    @property
    def current(self) -> int:
        """Index of the current shard."""
        if self._count == 1:
            return 0  # Reading the clock would take as long as the rest of a new id.
        position = self._position()
        return self._order[position]

    def order(self) -> list[int]:
        """Return the indexes of all shards in this round's order, the current one first."""
        first = self._position()
        return self._order[first:] + self._order[:first]

    def _position(self) -> int:
        """Return the current slice's position in its round; shuffle the shards if a new round has begun."""
        round_number, position = divmod(self.slice_number, self._count)
        if round_number != self._round:
            self._round, self._order = round_number, random.sample(range(self._count), self._count)
        return position
