"""Shadows: how many jobs there would be had the fleet had another size.

The jobs that come are the same for all sizes, and what a busy slot of the real fleet has ended, a busy slot of a shadow
has ended too. So a smaller fleet is left with more jobs, a larger one with fewer.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

MAX_FLEET_SIZE = 20_000


def _sizes() -> Iterator[int]:
    size = 1
    while size < MAX_FLEET_SIZE:
        yield size
        size = max(size + 1, int(size * 1.12))


FLEET_SIZES = tuple(_sizes())
"""Sizes for which a shadow is kept; those between share the next one's."""


def size_index(size: int) -> int:
    """Where a fleet's size is looked up in `SIZES`."""
    return min(bisect_left(FLEET_SIZES, size), len(FLEET_SIZES) - 1)


@dataclass(frozen=True, slots=True)
class DemandSample:
    """The demand at one moment.

    Attributes:
        jobs: that wait or run.
        running: of these, that run.
        ended: since the beginning.
        ready: workers that serve, idle or busy.
        coming: workers that boot.
        slots: jobs that a worker runs at a time.
        service_seconds: the mean of a job.
    """

    now: float
    jobs: int
    running: int
    ended: int
    ready: int
    booting: int
    slots: int
    service_seconds: float


@dataclass(frozen=True, slots=True)
class Transition:
    """What happened from one sample to the next, in terms that hold for a fleet of any size.

    Attributes:
        elapsed_seconds: between the two.
        arrived: jobs that came.
        running_share: of the jobs there, where a slot is free for each: very short ones run for a part of the time.
        ended_per_slot: jobs that a busy slot ended.
    """

    elapsed_seconds: float
    arrived: int
    running_share: float
    ended_per_slot: float

    @classmethod
    def between(cls, last: DemandSample, sample: DemandSample) -> "Transition":
        """What the real fleet has shown; of a fleet that had nothing to run, what is expected of jobs' mean length."""
        elapsed_seconds, service_seconds = sample.now - last.now, max(sample.service_seconds, 1e-3)
        # Jobs that failed or were canceled are in no count of those that ended, but they have gone.
        ended = max(sample.ended - last.ended, last.jobs - sample.jobs, 0)
        arrived = sample.jobs - last.jobs + ended
        offered = min(last.jobs + arrived, max(last.ready, sample.ready) * sample.slots)
        if not offered:
            return cls(elapsed_seconds, arrived, 1.0, 1 - math.exp(-elapsed_seconds / service_seconds))
        busy = max(last.running, sample.running, ended * service_seconds / elapsed_seconds)
        if not busy:
            return cls(elapsed_seconds, arrived, 1.0, 0.0)
        busy = min(busy, offered)
        return cls(elapsed_seconds, arrived, busy / offered, ended / busy)

    def remaining_jobs(self, jobs: float, room: int) -> float:
        """How many are left of so many jobs, and of those that came, in a fleet with so many slots."""
        there = jobs + self.arrived
        return max(0.0, there - min(there * self.running_share, room) * self.ended_per_slot)


class CounterfactualFleets:
    """The jobs that wait or run in fleets of the first `number` of `SIZES`; in a larger one none would ever wait.

    Attributes:
        jobs: by index in `SIZES`.
        unserved: in a fleet of none: those that came within the last boot. No shadow has more jobs waiting, because by
            then any policy would have launched.
    """

    def __init__(self, sample: DemandSample) -> None:
        self.jobs = [float(sample.jobs)]
        self.unserved: float = sample.jobs
        self._arrivals = deque([(sample.now, sample.jobs)])

    @property
    def tracked(self) -> int:
        """Of sizes that are followed."""
        return len(self.jobs)

    def track(self, number: int) -> None:
        """Follows so many sizes from now on."""
        self.jobs = self.jobs[:number] + [self.jobs[-1]] * (number - len(self.jobs))

    def advance(self, step: Transition, sample: DemandSample, boot_seconds: float) -> None:
        """Takes every shadow to this sample."""
        self._arrivals.append((sample.now, step.arrived))
        self.unserved += step.arrived
        while self._arrivals[0][0] <= sample.now - boot_seconds:
            self.unserved -= self._arrivals.popleft()[1]
        for index, jobs in enumerate(self.jobs):
            room = FLEET_SIZES[index] * sample.slots
            self.jobs[index] = min(step.remaining_jobs(jobs, room), max(float(sample.jobs), room + self.unserved))
