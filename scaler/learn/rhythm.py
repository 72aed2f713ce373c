"""The rhythm of one function's batches: learned from the times at which they began, as a timetable sends them. Pure."""

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from statistics import fmean, median
from typing import Any

REMEMBERED_BATCHES = 12
"""The last batches of a function, small ones included."""
GAPS, ALIKE_GAPS = 5, 4
"""A rhythm is there if this many of the last gaps between batches are alike."""
MAX_JITTER_BOOTS, MAX_JITTER_PERIODS = 0.5, 0.1
"""Gaps are alike if they differ from their median by at most so many boots and periods."""
MIN_BATCH_SHARE = 0.5
"""Batches of less than this share of the largest remembered one are no part of the rhythm: other jobs of the function.
"""
MAX_MISSED = 2
"""After so many batches have not come, the rhythm is over."""


class Rhythm:
    """Batches of one function. A batch begins with the first job after a quiet time.

    Attributes:
        last_arrival_at: when its last job arrived.
        period_seconds: mean time between two batches; 0 without a rhythm.
        jobs: number of jobs of a batch.
    """

    __slots__ = ("_begun", "_jitter_seconds", "_last_at", "jobs", "last_arrival_at", "period_seconds")

    def __init__(self) -> None:
        self.last_arrival_at = 0.0
        self.period_seconds = 0.0
        self.jobs = 0
        self._begun: deque[tuple[float, int]] = deque(maxlen=REMEMBERED_BATCHES)  # when each began, and its jobs
        self._last_at = self._jitter_seconds = 0.0

    def on_arrivals(self, now: float, jobs: int, boot_seconds: float) -> None:
        """Record jobs. Those that come within a boot of each other, or within a quarter of the period, are a batch."""
        if now < self.last_arrival_at:
            self._begun.clear()  # the clock was set back
        quiet_seconds = max(boot_seconds, self.period_seconds / 4)
        if self._begun and now - self.last_arrival_at < quiet_seconds:
            begun_at, before = self._begun[-1]
            self._begun[-1] = (begun_at, before + jobs)
        else:
            self._begun.append((now, jobs))
        self.last_arrival_at = now
        self._learn(boot_seconds)

    def missed(self, now: float) -> int:
        """Return how many batches should have come since the last one."""
        late_seconds = now - self._last_at - self._jitter_seconds
        return max(0, int(late_seconds // self.period_seconds)) if self.period_seconds else 0

    def is_current(self, now: float) -> bool:
        """Whether there is a rhythm, and it has not ended."""
        return self.period_seconds > 0 and self.missed(now) < MAX_MISSED

    def next_at(self, now: float) -> float:
        """Return when the next batch should come. It can be in the past while it is hardly late."""
        return self._last_at + self.period_seconds * (self.missed(now) + 1)

    def dump(self) -> dict[str, Any]:
        """Return the batches for JSON."""
        return {"begun": list(self._begun), "last_arrival_at": self.last_arrival_at}

    @classmethod
    def load(cls, state: Mapping[str, Any], boot_seconds: float) -> "Rhythm":
        """Restore the output of `dump`.

        Raises:
            KeyError, ValueError, TypeError: `dump` did not write it.
        """
        rhythm = cls()
        rhythm._begun.extend((float(at), int(jobs)) for at, jobs in state["begun"])
        rhythm.last_arrival_at = float(state["last_arrival_at"])
        rhythm._learn(boot_seconds)
        return rhythm

    def _learn(self, boot_seconds: float) -> None:
        self.period_seconds = 0.0
        if len(self._begun) <= ALIKE_GAPS:
            return
        least_jobs = MIN_BATCH_SHARE * max(jobs for _, jobs in self._begun)
        batches = [(at, jobs) for at, jobs in self._begun if jobs >= least_jobs][-GAPS - 1 :]
        gaps = [later - earlier for (earlier, _), (later, _) in pairwise(batches)]
        if len(gaps) < ALIKE_GAPS:
            return
        middle = median(gaps)
        jitter_seconds = min(MAX_JITTER_BOOTS * boot_seconds, MAX_JITTER_PERIODS * middle)
        alike = [gap for gap in gaps if abs(gap - middle) <= jitter_seconds]
        if len(alike) < ALIKE_GAPS:
            return
        # The last batch may still grow.
        self.jobs = int(median(jobs for _, jobs in batches[:-1]))
        self.period_seconds, self._jitter_seconds = fmean(alike), jitter_seconds
        self._last_at = batches[-1][0]
