"""Counterfactual fleets: a what-if simulation of how many jobs there would be if the fleet had another size. Pure.

All sizes receive the same jobs, and a busy slot of a counterfactual fleet finishes as many jobs as one of the real
fleet. So a smaller fleet has more jobs left, and a larger one fewer.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

MAX_FLEET_SIZE = 20_000
"""Upper bound of the simulated sizes."""


def _sizes() -> Iterator[int]:
    size = 1
    while size < MAX_FLEET_SIZE:
        yield size
        size = max(size + 1, int(size * 1.12))


FLEET_SIZES = tuple(_sizes())
"""Simulated sizes. A size between two of them uses the next larger one."""


def size_index(size: int) -> int:
    """Return the index in `FLEET_SIZES` that stands for a fleet's size."""
    return min(bisect_left(FLEET_SIZES, size), len(FLEET_SIZES) - 1)


@dataclass(frozen=True, slots=True)
class DemandSample:
    """The demand at one moment.

    Attributes:
        jobs: number of jobs that wait or run.
        running: number of running jobs among them.
        ended: number of jobs that ended since the queue was created, wherever they ran.
        served: number of jobs that the fleet's workers have ended since the last sample.
        ready: number of workers that serve, idle or busy.
        booting: number of workers that boot.
        slots: number of jobs that a worker runs at a time.
        service_seconds: mean service time.
    """

    now: float
    jobs: int
    running: int
    ended: int
    served: int
    ready: int
    booting: int
    slots: int
    service_seconds: float


@dataclass(frozen=True, slots=True)
class Transition:
    """What happened between two samples, in numbers that apply to a fleet of any size.

    Attributes:
        elapsed_seconds: time between the two samples.
        arrived: number of jobs that arrived.
        running_share: share of the present jobs that run if there are slots for all: very short jobs run only part of
            the time.
        ended_per_slot: number of jobs that a busy slot ended.
    """

    elapsed_seconds: float
    arrived: int
    running_share: float
    ended_per_slot: float

    @classmethod
    def between(cls, last: DemandSample, sample: DemandSample) -> "Transition":
        """Derive the transition from the real fleet, or from the mean service time if the fleet had nothing to run."""
        elapsed_seconds, service_seconds = sample.now - last.now, max(sample.service_seconds, 1e-3)
        # The number of ended jobs does not include failed and canceled ones, but those are gone too.
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

    def remaining_jobs(self, jobs: float, capacity: int) -> float:
        """Return how many of the present and arrived jobs remain in a fleet with this many slots."""
        present = jobs + self.arrived
        return max(0.0, present - min(present * self.running_share, capacity) * self.ended_per_slot)


class CounterfactualFleets:
    """The waiting and running jobs of the first `tracked` of `FLEET_SIZES`; in larger fleets no job would wait.

    Attributes:
        jobs: number of jobs by index in `FLEET_SIZES`.
        unserved: number of jobs that arrived within the last boot time: the jobs of a fleet without workers. No fleet
            has more waiting jobs, because any policy would have launched workers by then.
    """

    def __init__(self, sample: DemandSample) -> None:
        self.jobs = [float(sample.jobs)]
        self.unserved: float = sample.jobs
        self._arrivals = deque([(sample.now, sample.jobs)])

    @property
    def tracked(self) -> int:
        """Number of tracked sizes."""
        return len(self.jobs)

    def track(self, count: int) -> None:
        """Track the first `count` sizes from now on."""
        self.jobs = self.jobs[:count] + [self.jobs[-1]] * (count - len(self.jobs))

    def advance(self, transition: Transition, sample: DemandSample, boot_seconds: float) -> None:
        """Advance all tracked fleets to this sample."""
        self._arrivals.append((sample.now, transition.arrived))
        self.unserved += transition.arrived
        while self._arrivals[0][0] <= sample.now - boot_seconds:
            self.unserved -= self._arrivals.popleft()[1]
        for index, jobs in enumerate(self.jobs):
            capacity = FLEET_SIZES[index] * sample.slots
            remaining = transition.remaining_jobs(jobs, capacity)
            self.jobs[index] = min(remaining, max(float(sample.jobs), capacity + self.unserved))
