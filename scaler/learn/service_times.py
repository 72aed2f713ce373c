"""What is learned of how long jobs take: a mean by function, and how many of all jobs outlast a given age."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

BIN_GROWTH = 1.4
"""Ratio of neighbouring edges of the histogram, whose first bin ends at `FIRST_SECONDS`."""
FIRST_BIN_SECONDS = 0.5
BINS = 44
"""Reaches beyond two weeks."""
HALF_LIFE_JOBS = 2000.0
"""A job weighs half as much once so many have ended after it."""
PRIOR_JOBS = 1.0
"""A guess weighs as much as so many jobs: of a function never seen, that it is like the others."""
PRIOR_SERVICE_SECONDS = 30.0

BIN_EDGES = (0.0, *(FIRST_BIN_SECONDS * BIN_GROWTH**power for power in range(BINS)))


class ServiceTimes:
    """Learns from the queue's counters, which only ever grow: jobs ended, and the seconds they took, by function."""

    def __init__(self) -> None:
        self._ended: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._all_ended = 0.0
        self._all_seconds = 0.0
        self._all_counted = 0
        self._counted: dict[str, tuple[int, float]] = {}
        self._bins = [0.0] * (BINS + 1)
        self._survivors: tuple[float, ...] = ()

    def observe(self, ended: Mapping[str, int], seconds: Mapping[str, float]) -> None:
        """Takes the counters as they stand now.

        What ended between two observations counts as equally long, function by function: of long jobs that is each one.
        """
        all_counted = sum(ended.values())
        if all_counted == self._all_counted:
            return
        self._all_counted = all_counted
        for function, number in ended.items():
            before, seconds_before = self._counted.get(function, (0, 0.0))
            total = seconds.get(function, 0.0)
            if number > before:
                self._add(function, number - before, max(0.0, total - seconds_before))
            if number != before:
                self._counted[function] = (number, total)

    def mean_seconds(self, jobs: Mapping[str, int], running: Sequence[tuple[str, float]] = ()) -> float:
        """The mean of these jobs (number by function), the age in seconds of those that still run counted in."""
        ages: dict[str, float] = {}
        for function, age in running:
            ages[function] = ages.get(function, 0.0) + age
        number = sum(jobs.values())
        if not number:
            return self._overall("")
        return sum(count * self._mean(function, ages.get(function, 0.0)) for function, count in jobs.items()) / number

    @property
    def survival_curve(self) -> tuple[float, ...]:
        """The share of jobs that outlasts each of `EDGES`; falls, and never to 0."""
        if not self._survivors:
            left, shares = sum(self._bins) + PRIOR_JOBS, []
            total = left
            for edge, number in zip(BIN_EDGES, self._bins, strict=True):
                # The guess: as heavy a tail as is ever seen, halved at FIRST_GUESS_SECONDS.
                guess = PRIOR_JOBS / (1 + edge / PRIOR_SERVICE_SECONDS)
                shares.append((left - PRIOR_JOBS + guess) / total)
                left -= number
            self._survivors = tuple(shares)
        return self._survivors

    def survival(self, age_seconds: float) -> float:
        """The share of jobs that outlasts an age, above 0: between the edges along a line, beyond them as 1 ÷ age."""
        shares = self.survival_curve
        high = bisect_right(BIN_EDGES, age_seconds)
        if high == len(BIN_EDGES):
            return shares[-1] * BIN_EDGES[-1] / age_seconds
        low = high - 1
        share = (age_seconds - BIN_EDGES[low]) / (BIN_EDGES[high] - BIN_EDGES[low])
        return shares[low] + share * (shares[high] - shares[low])

    def dump(self) -> dict[str, Any]:
        """Everything, as JSON can carry it."""
        return {"ended": self._ended, "seconds": self._seconds, "counted": self._counted, "bins": self._bins}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "ServiceTimes":
        """What `dump` gave.

        Raises:
            KeyError, ValueError, TypeError: it did not.
        """
        times = cls()
        times._ended = {str(name): float(number) for name, number in state["ended"].items()}
        times._seconds = {str(name): float(number) for name, number in state["seconds"].items()}
        times._all_ended, times._all_seconds = sum(times._ended.values()), sum(times._seconds.values())
        times._counted = {str(name): (int(number), float(total)) for name, (number, total) in state["counted"].items()}
        bins = [float(number) for number in state["bins"]]
        if len(bins) != BINS + 1:
            raise ValueError(f"{len(bins)} bins, not {BINS + 1}")
        times._bins = bins
        return times

    def _add(self, function: str, number: int, seconds: float) -> None:
        kept = 0.5 ** (number / HALF_LIFE_JOBS)
        ended, total = self._ended.get(function, 0.0), self._seconds.get(function, 0.0)
        self._ended[function] = ended * kept + number
        self._seconds[function] = total * kept + seconds
        self._all_ended += self._ended[function] - ended
        self._all_seconds += self._seconds[function] - total
        for index, count in enumerate(self._bins):
            self._bins[index] = count * kept
        self._bins[bin_of(seconds / number)] += number
        self._survivors = ()

    def _mean(self, function: str, running_seconds: float) -> float:
        """Work seen ÷ jobs ended: what still runs counts, so that a function that never ends is not taken for short."""
        ended = self._ended.get(function, 0.0) + PRIOR_JOBS
        guess = PRIOR_JOBS * self._overall(function)
        return (self._seconds.get(function, 0.0) + running_seconds + guess) / ended

    def _overall(self, without: str) -> float:
        """The mean of all functions but one: what is thought of that one before it is known."""
        ended = self._all_ended - self._ended.get(without, 0.0)
        seconds = self._all_seconds - self._seconds.get(without, 0.0)
        return (max(0.0, seconds) + PRIOR_JOBS * PRIOR_SERVICE_SECONDS) / (max(0.0, ended) + PRIOR_JOBS)


def bin_of(seconds: float) -> int:
    """The bin of `EDGES` in which a duration lies."""
    if seconds < FIRST_BIN_SECONDS:
        return 0
    return min(BINS, int(math.log(seconds / FIRST_BIN_SECONDS) / math.log(BIN_GROWTH)) + 1)
