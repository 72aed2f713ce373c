"""Estimates how long jobs run: the mean by function, and the survival function of all jobs."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

BIN_GROWTH = 1.4
"""Ratio of neighbouring edges of the histogram."""
FIRST_BIN_SECONDS = 0.5
"""Upper edge of the first bin."""
BINS = 44
"""Number of edges above 0; they reach beyond two weeks."""
HALF_LIFE_JOBS = 2000.0
"""A job has half its weight after this many further jobs have ended."""
PRIOR_JOBS = 1.0
"""Weight of the prior, in jobs. For an unknown function the prior is the mean of the other functions."""
PRIOR_SERVICE_SECONDS = 30.0
"""Prior of the mean once jobs have ended."""
UNKNOWN_SERVICE_SECONDS = 90.0
"""The mean before any job has ended: about a boot. If it is shorter, too many of the first jobs wait for one worker."""

BIN_EDGES = (0.0, *(FIRST_BIN_SECONDS * BIN_GROWTH**power for power in range(BINS)))


class ServiceTimes:
    """Learns from the queue's counters of ended jobs and their total run time, by function. The counters only grow."""

    def __init__(self) -> None:
        self._ended: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._all_ended = 0.0
        self._all_seconds = 0.0
        self._all_counted = 0
        self._counted: dict[str, tuple[int, float]] = {}
        self._bins = [0.0] * (BINS + 1)
        self._curve: tuple[float, ...] = ()

    def observe(self, ended: Mapping[str, int], seconds: Mapping[str, float]) -> None:
        """Update the estimates with the current counters.

        Jobs of one function that ended between two calls count as equally long. Long jobs end one at a time, so this is
        exact for them.
        """
        all_counted = sum(ended.values())
        if all_counted == self._all_counted:
            return
        self._all_counted = all_counted
        for function, count in ended.items():
            last_count, last_seconds = self._counted.get(function, (0, 0.0))
            total = seconds.get(function, 0.0)
            if count > last_count:
                self._add(function, count - last_count, max(0.0, total - last_seconds))
            if count != last_count:
                self._counted[function] = (count, total)

    def mean_seconds(self, jobs: Mapping[str, int], running: Sequence[tuple[str, float]] = ()) -> float:
        """Return the mean of these jobs (counts by function). The ages of the running ones count as work done."""
        ages: dict[str, float] = {}
        for function, age in running:
            ages[function] = ages.get(function, 0.0) + age
        total = sum(jobs.values())
        if not total:
            return self._overall_mean("")
        return sum(count * self._mean(function, ages.get(function, 0.0)) for function, count in jobs.items()) / total

    @property
    def survival_curve(self) -> tuple[float, ...]:
        """Share of jobs that run longer than each of `BIN_EDGES`; it falls, but never to 0."""
        if not self._curve:
            remaining, shares = sum(self._bins) + PRIOR_JOBS, []
            total = remaining
            for edge, count in zip(BIN_EDGES, self._bins, strict=True):
                # The prior has a very heavy tail, and falls to one half at PRIOR_SERVICE_SECONDS.
                prior = PRIOR_JOBS / (1 + edge / PRIOR_SERVICE_SECONDS)
                shares.append((remaining - PRIOR_JOBS + prior) / total)
                remaining -= count
            self._curve = tuple(shares)
        return self._curve

    def survival(self, age_seconds: float) -> float:
        """Return the share of jobs that run longer than an age: linear between edges, falling as 1 ÷ age beyond."""
        shares = self._curve or self.survival_curve
        high = bisect_right(BIN_EDGES, age_seconds)
        if high == len(BIN_EDGES):
            return shares[-1] * BIN_EDGES[-1] / age_seconds
        low = high - 1
        share = (age_seconds - BIN_EDGES[low]) / (BIN_EDGES[high] - BIN_EDGES[low])
        return shares[low] + share * (shares[high] - shares[low])

    def dump(self) -> dict[str, Any]:
        """Return the estimates for JSON."""
        return {"ended": self._ended, "seconds": self._seconds, "counted": self._counted, "bins": self._bins}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "ServiceTimes":
        """Restore the output of `dump`.

        Raises:
            KeyError, ValueError, TypeError: `dump` did not write it.
        """
        times = cls()
        times._ended = {str(name): float(count) for name, count in state["ended"].items()}
        times._seconds = {str(name): float(total) for name, total in state["seconds"].items()}
        times._all_ended, times._all_seconds = sum(times._ended.values()), sum(times._seconds.values())
        times._counted = {str(name): (int(count), float(total)) for name, (count, total) in state["counted"].items()}
        bins = [float(count) for count in state["bins"]]
        if len(bins) != BINS + 1:
            raise ValueError(f"expected {BINS + 1} bins, got {len(bins)}")
        times._bins = bins
        return times

    def _add(self, function: str, jobs: int, seconds: float) -> None:
        decay = 0.5 ** (jobs / HALF_LIFE_JOBS)
        ended, total = self._ended.get(function, 0.0), self._seconds.get(function, 0.0)
        self._ended[function] = ended * decay + jobs
        self._seconds[function] = total * decay + seconds
        self._all_ended += self._ended[function] - ended
        self._all_seconds += self._seconds[function] - total
        for index, count in enumerate(self._bins):
            self._bins[index] = count * decay
        self._bins[bin_of(seconds / jobs)] += jobs
        self._curve = ()

    def _mean(self, function: str, running_seconds: float) -> float:
        """Return work seen ÷ jobs ended.

        The work includes that of running jobs, so that a function whose jobs never end does not seem short.
        """
        ended = self._ended.get(function, 0.0) + PRIOR_JOBS
        prior = PRIOR_JOBS * self._overall_mean(function)
        return (self._seconds.get(function, 0.0) + running_seconds + prior) / ended

    def _overall_mean(self, without: str) -> float:
        """Return the mean of all functions but one: the prior of that one."""
        if not self._all_ended:
            return UNKNOWN_SERVICE_SECONDS
        ended = self._all_ended - self._ended.get(without, 0.0)
        seconds = self._all_seconds - self._seconds.get(without, 0.0)
        return (max(0.0, seconds) + PRIOR_JOBS * PRIOR_SERVICE_SECONDS) / (max(0.0, ended) + PRIOR_JOBS)


def bin_of(seconds: float) -> int:
    """Return the index of the histogram bin that contains a duration."""
    if seconds < FIRST_BIN_SECONDS:
        return 0
    return min(BINS, int(math.log(seconds / FIRST_BIN_SECONDS) / math.log(BIN_GROWTH)) + 1)
