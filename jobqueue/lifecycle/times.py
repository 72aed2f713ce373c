"""How long jobs wait and run: histograms by queue and function, kept on the shard of the jobs.

Workers count what has ended, and add it here every few seconds.
"""

import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard

BOUNDS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0)
"""Upper bounds of the buckets, in seconds. They are few, because each pair of queue and function has three of them."""
HISTOGRAMS = ("waiting", "service", "end_to_end")
MAX_PAIRS = 2000
"""How many pairs of queue and function a shard keeps apart; all others are counted together as `OTHERS`."""
OTHERS = ("", "")
WIDTH = len(BOUNDS) + 2
"""How many numbers a histogram has: its buckets, those beyond the last bound, and the sum of all seconds."""

Pair = tuple[str, str]
"""Names of a queue and a function."""


class Example(NamedTuple):
    """A job that took so long: the slowest of the last ones.

    Attributes:
        bucket: its place among the buckets.
        at: when it had ended, Unix time.
    """

    bucket: int
    job_id: str
    seconds: float
    at: float


@dataclass(slots=True)
class Times:
    """The histograms of one pair.

    Attributes:
        numbers: for each of `HISTOGRAMS` in turn, its `WIDTH` numbers.
        examples: for each of them the slowest job of those that were added last; None if there is none.
    """

    numbers: list[float] = field(default_factory=lambda: [0] * (WIDTH * len(HISTOGRAMS)))
    examples: list[Example | None] = field(default_factory=lambda: [None] * len(HISTOGRAMS))

    def observe(self, histogram: int, seconds: float, jobs: int, job_id: str, at: float) -> None:
        """Count `jobs` jobs that took so long, of which one has this id."""
        bucket, start = bisect_left(BOUNDS, seconds), histogram * WIDTH
        self.numbers[start + bucket] += jobs
        self.numbers[start + WIDTH - 1] += seconds * jobs
        slowest = self.examples[histogram]
        if slowest is None or seconds > slowest.seconds:
            self.examples[histogram] = Example(bucket, job_id, round(seconds, 6), round(at, 3))

    def __add__(self, other: "Times") -> "Times":
        numbers = [a + b for a, b in zip(self.numbers, other.numbers, strict=True)]
        newest = [
            max((a, b), key=lambda example: example.at if example else 0.0)
            for a, b in zip(self.examples, other.examples, strict=True)
        ]
        return Times(numbers, newest)

    def buckets(self, histogram: int) -> Sequence[float]:
        """Return the numbers of a histogram's buckets, not cumulated."""
        return self.numbers[histogram * WIDTH : (histogram + 1) * WIDTH - 1]

    def total_seconds(self, histogram: int) -> float:
        """Return the sum of a histogram's seconds."""
        return self.numbers[(histogram + 1) * WIDTH - 1]

    def encode(self) -> str:
        """Return what is stored."""
        return json.dumps({"n": self.numbers, "e": [example or 0 for example in self.examples]}, separators=(",", ":"))


async def add_times(shard: Shard, times: Mapping[Pair, Times]) -> None:
    """Add what was counted.

    Raises:
        ShardUnavailable: it may have been added all the same.
    """
    arguments = [text for pair, one in times.items() for text in (json.dumps(pair), one.encode())]
    await shard.run(script("add_times"), MAX_PAIRS, json.dumps(OTHERS), *arguments)
