"""What the scaler learns between two decisions from what the queue counts; the same in production and simulation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scaler.learn.counterfactual_fleets import Sample
from scaler.learn.demand import Demand, Prices
from scaler.learn.service_times import ServiceTimes
from scaler.policy import Lessons, Limits

REMEMBERED_BOOTS = 100
"""More than come in one wave, whose last are its slowest."""
SETTLE_SECONDS = 600.0
LEAST_WEIGHT, MOST_WEIGHT = 0.05, 64.0


@dataclass(frozen=True, slots=True)
class Counts:
    """The system at one moment.

    Attributes:
        queued: jobs that wait, by function.
        running: function and age in seconds of each job that runs.
        ended, ended_seconds: jobs that ended and the seconds they took, by function, since the queue began.
        oldest_seconds: how long the first in line has waited.
        ready, coming: workers that serve, and that boot.
    """

    now: float
    queued: Mapping[str, int]
    running: Sequence[tuple[str, float]]
    ended: Mapping[str, int]
    ended_seconds: Mapping[str, float]
    oldest_seconds: float
    ready: int
    coming: int


class Learning:
    """Takes in one `Counts` after another.

    Args:
        limits: slots and prices; its w is where w starts from.
        wait_target_seconds: where one is given, w follows it.
        boot_seconds: what a boot takes, until some have been seen.
    """

    def __init__(self, limits: Limits, *, boot_seconds: float, wait_target_seconds: float | None = None) -> None:
        self._limits = limits
        self._weight = limits.wait_weight
        self._target_seconds = wait_target_seconds
        self._boot_seconds = boot_seconds
        self._boots = 0
        self._service = ServiceTimes()
        self._demand = Demand()
        self._last_at: float | None = None

    @property
    def limits(self) -> Limits:
        """The limits with w as it stands."""
        return replace(self._limits, wait_weight=self._weight)

    def observe_boot(self, seconds: float) -> None:
        """Takes in that a worker registered so long after its launch."""
        self._boots += 1
        self._boot_seconds += (seconds - self._boot_seconds) / min(self._boots + 1, REMEMBERED_BOOTS)

    def observe(self, counts: Counts) -> Lessons:
        """Takes in what is, and gives what is known with it."""
        self._service.observe(counts.ended, counts.ended_seconds)
        jobs = dict(counts.queued)
        for function, _ in counts.running:
            jobs[function] = jobs.get(function, 0) + 1
        number = sum(jobs.values())
        if self._target_seconds is not None and self._last_at is not None and number:
            late = counts.oldest_seconds > self._target_seconds
            self._weight = steer(self._weight, late=late, elapsed_seconds=counts.now - self._last_at)
        self._last_at = counts.now
        sample = Sample(
            now=counts.now,
            jobs=number,
            running=len(counts.running),
            ended=sum(counts.ended.values()),
            ready=counts.ready,
            coming=counts.coming,
            slots=self._limits.slots_per_worker,
            service_seconds=self._service.mean_seconds(counts.queued or jobs, counts.running),
        )
        launch_seconds = self._limits.launch_seconds(self._boot_seconds)
        self._demand.observe(sample, Prices(launch_seconds, self._boot_seconds, self._weight))
        return Lessons(
            service_seconds=self._service.mean_seconds(counts.queued, counts.running),
            boot_seconds=self._boot_seconds,
            surviving=self._service.surviving,
            patience=self._demand.patience,
            return_seconds=self._demand.return_seconds,
            gap_seconds=self._demand.gap_seconds,
            idle_seconds=self._demand.idle_seconds,
            saved_seconds=self._demand.saved_seconds,
        )

    def dump(self) -> dict[str, Any]:
        """What is worth keeping over a change of leader, as JSON can carry it."""
        return {
            "service": self._service.dump(),
            "demand": self._demand.dump(),
            "weight": self._weight,
            "boot_seconds": self._boot_seconds,
            "boots": self._boots,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `dump` gave.

        Raises:
            KeyError, ValueError, TypeError: it did not; then nothing has changed.
        """
        service, demand = ServiceTimes.load(state["service"]), Demand.load(state["demand"])
        boot_seconds, boots = float(state["boot_seconds"]), int(state["boots"])
        if self._target_seconds is not None:
            self._weight = float(state["weight"])
        self._service, self._demand, self._boot_seconds, self._boots = service, demand, boot_seconds, boots


def steer(weight: float, *, late: bool, elapsed_seconds: float) -> float:
    """The weight that keeps the oldest job within the wait target 19 seconds of 20: raised while it is late.

    Args:
        late: the oldest job has waited longer than the target.
        elapsed_seconds: since the last call, of time in which there were jobs.
    """
    # Nineteen times as fast up as down: they balance when one second in twenty is late.
    steps = elapsed_seconds / SETTLE_SECONDS
    return min(MOST_WEIGHT, max(LEAST_WEIGHT, weight * math.exp(19 * steps if late else -steps)))
