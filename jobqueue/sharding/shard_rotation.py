"""Whose turn it is among the shards: for a moment all that may go to any of them goes to one, and shares its calls.

A call for 30 jobs costs its master little more than a call for one. So what comes in together is not spread over the
shards one by one, but in the course of time, which gives none of them more than another.
"""

import random
import time
from collections.abc import Callable

TIME_SLICE_SECONDS = 0.05
"""Long enough for some dozen calls, and as far as jobs on different shards may get out of the order they came in."""


class ShardRotation:
    """Turns of `TURN_SECONDS`, each shard one in every round, in an order drawn anew for each round.

    So not all nodes are with one shard at a time, and who comes at regular times does not always find the same one.

    Args:
        shard_count: how many take turns.
        clock: seconds, monotonic.
    """

    def __init__(self, shard_count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._count = shard_count
        self._clock = clock
        self._round = -1
        self._order: list[int] = []

    @property
    def slice_number(self) -> int:
        """Of the turn; it grows."""
        return int(self._clock() / TIME_SLICE_SECONDS)

    @property
    def current(self) -> int:
        """The shard's whose turn it is."""
        if self._count == 1:
            return 0  # Without a look at the clock, which takes as long as the rest of a new id.
        place = self._place()
        return self._order[place]

    def order(self) -> list[int]:
        """All shards in the order of this round's turns, from the present one on."""
        first = self._place()
        return self._order[first:] + self._order[:first]

    def _place(self) -> int:
        """Of the present turn in its round, whose order is drawn here when it begins."""
        round_number, place = divmod(self.slice_number, self._count)
        if round_number != self._round:
            self._round, self._order = round_number, random.sample(range(self._count), self._count)
        return place
