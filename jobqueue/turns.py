"""Whose turn it is among the shards: for a moment all that may go to any of them goes to one, and shares its calls.

A call for 30 jobs costs its master little more than a call for one. So what comes in together is not spread over the
shards one by one, but in the course of time, which gives none of them more than another.
"""

import random
import time
from collections.abc import Callable

TURN_SECONDS = 0.05
"""Long enough for some dozen calls, and as far as jobs on different shards may get out of the order they came in."""


class Turns:
    """Turns of `TURN_SECONDS`, round and round, in a random order, so that not all nodes are with one shard at a time.

    Args:
        shard_count: how many take turns.
        clock: seconds, monotonic.
    """

    def __init__(self, shard_count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._order = random.sample(range(shard_count), shard_count)
        self._clock = clock

    @property
    def number(self) -> int:
        """Of the turn; it grows."""
        return int(self._clock() / TURN_SECONDS)

    @property
    def index(self) -> int:
        """The shard's whose turn it is."""
        return self._order[self.number % len(self._order)]

    def ring(self) -> list[int]:
        """All shards in the order of their turns, from the present one on."""
        first = self.number % len(self._order)
        return self._order[first:] + self._order[:first]
