"""What the scaler learns between two decisions from what the queue counts; the same in production and simulation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scaler.learn.counterfactual_fleets import DemandSample
from scaler.learn.demand import Demand, Prices
from scaler.learn.service_times import ServiceTimes
from scaler.policy import Estimates, Limits

REMEMBERED_BOOTS = 100
"""More than come in one wave, whose last are its slowest."""
WAIT_WEIGHT_TIME_CONSTANT_SECONDS = 600.0
MIN_WAIT_WEIGHT, MAX_WAIT_WEIGHT = 0.05, 64.0


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
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
    booting: int


class Estimators:
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

    def observe(self, snapshot: QueueSnapshot) -> Estimates:
        """Takes in what is, and gives what is known with it."""
        self._service.observe(snapshot.ended, snapshot.ended_seconds)
        jobs = dict(snapshot.queued)
        for function, _ in snapshot.running:
            jobs[function] = jobs.get(function, 0) + 1
        number = sum(jobs.values())
        if self._target_seconds is not None and self._last_at is not None and number:
            late = snapshot.oldest_seconds > self._target_seconds
            self._weight = adjust_wait_weight(self._weight, late=late, elapsed_seconds=snapshot.now - self._last_at)
        self._last_at = snapshot.now
        sample = DemandSample(
            now=snapshot.now,
            jobs=number,
            running=len(snapshot.running),
            ended=sum(snapshot.ended.values()),
            ready=snapshot.ready,
            booting=snapshot.booting,
            slots=self._limits.slots_per_worker,
            service_seconds=self._service.mean_seconds(snapshot.queued or jobs, snapshot.running),
        )
        launch_seconds = self._limits.launch_seconds(self._boot_seconds)
        self._demand.observe(sample, Prices(launch_seconds, self._boot_seconds, self._weight))
        return Estimates(
            service_seconds=self._service.mean_seconds(snapshot.queued, snapshot.running),
            boot_seconds=self._boot_seconds,
            survival=self._service.survival,
            hold_factor=self._demand.hold_factor,
            miss_cost_seconds=self._demand.miss_cost_seconds,
            idle_gap_seconds=self._demand.idle_gap_seconds,
            net_idle_seconds=self._demand.net_idle_seconds,
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


def adjust_wait_weight(weight: float, *, late: bool, elapsed_seconds: float) -> float:
    """The weight that keeps the oldest job within the wait target 19 seconds of 20: raised while it is late.

    Args:
        late: the oldest job has waited longer than the target.
        elapsed_seconds: since the last call, of time in which there were jobs.
    """
    # Nineteen times as fast up as down: they balance when one second in twenty is late.
    steps = elapsed_seconds / WAIT_WEIGHT_TIME_CONSTANT_SECONDS
    return min(MAX_WAIT_WEIGHT, max(MIN_WAIT_WEIGHT, weight * math.exp(19 * steps if late else -steps)))
