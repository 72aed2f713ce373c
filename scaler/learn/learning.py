"""The estimators behind the policy: service times, boot time, demand and the wait weight, learned from queue counters.

Production and simulation run the same code.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scaler.learn.counterfactual_fleets import DemandSample
from scaler.learn.demand import Demand, Prices
from scaler.learn.release_rate import ReleaseRate
from scaler.learn.rhythms import Rhythms
from scaler.learn.service_times import ServiceTimes
from scaler.learn.wait_weight import adjust_wait_weight
from scaler.policy import Estimates, Limits

REMEMBERED_BOOTS = 100
"""Number of boots that the mean boot time covers: more than one wave of launches, because the last of a wave are its
slowest."""


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """The queue and the workers at one moment.

    Attributes:
        queued: waiting jobs by function.
        running: function and age in seconds of each running job.
        ended, ended_seconds: ended jobs and their total run time by function, since the queue was created. They include
            jobs of queues that the fleet does not serve.
        served: number of jobs that the fleet's workers have ended since the last snapshot.
        oldest_seconds: time that the first job of the queue has waited.
        ready, booting: number of workers that serve, and that boot.
    """

    now: float
    queued: Mapping[str, int]
    running: Sequence[tuple[str, float]]
    ended: Mapping[str, int]
    ended_seconds: Mapping[str, float]
    served: int
    oldest_seconds: float
    ready: int
    booting: int


class Estimators:
    """Updates all estimates from a sequence of snapshots.

    Args:
        limits: slots and prices; its wait weight is the initial one.
        wait_target_seconds: if given, the wait weight follows this target.
        boot_seconds: initial estimate of the boot time.
    """

    def __init__(self, limits: Limits, *, boot_seconds: float, wait_target_seconds: float | None = None) -> None:
        self._limits = limits
        self._target_seconds = wait_target_seconds
        self._boot_seconds = boot_seconds
        self._boots = 0
        self._service = ServiceTimes()
        self._releases = ReleaseRate()
        self._demand = Demand()
        self._rhythms = Rhythms()
        self._last_at: float | None = None

    @property
    def limits(self) -> Limits:
        """The limits with the current wait weight."""
        return self._limits

    def observe_boot(self, seconds: float) -> None:
        """Update the mean boot time with one worker's time from launch to registration."""
        self._boots += 1
        self._boot_seconds += (seconds - self._boot_seconds) / min(self._boots + 1, REMEMBERED_BOOTS)

    def observe(self, snapshot: QueueSnapshot) -> Estimates:
        """Update the estimates with the next snapshot, and return them."""
        ages = [age for _, age in snapshot.running]
        self._releases.observe(snapshot.now, snapshot.served, ages, self._service.survival)
        self._service.observe(snapshot.ended, snapshot.ended_seconds)
        jobs = dict(snapshot.queued)
        for function, _ in snapshot.running:
            jobs[function] = jobs.get(function, 0) + 1
        job_count = sum(jobs.values())
        if self._target_seconds is not None and self._last_at is not None and job_count:
            late = snapshot.oldest_seconds > self._target_seconds
            weight = adjust_wait_weight(
                self._limits.wait_weight, late=late, elapsed_seconds=snapshot.now - self._last_at
            )
            self._limits = replace(self._limits, wait_weight=weight)
        self._last_at = snapshot.now
        sample = DemandSample(
            now=snapshot.now,
            jobs=job_count,
            running=len(snapshot.running),
            ended=sum(snapshot.ended.values()),
            served=snapshot.served,
            ready=snapshot.ready,
            booting=snapshot.booting,
            slots=self._limits.slots_per_worker,
            service_seconds=self._service.mean_seconds(snapshot.queued or jobs, snapshot.running),
        )
        limits, boot_seconds = self._limits, self._boot_seconds
        prices = Prices(limits.launch_seconds(boot_seconds), boot_seconds, limits.wait_weight)
        self._demand.observe(sample, prices)
        self._rhythms.observe(snapshot.now, jobs, snapshot.ended, limits.slots_per_worker, boot_seconds)
        return Estimates(
            service_seconds=self._service.mean_seconds(snapshot.queued, snapshot.running),
            boot_seconds=self._boot_seconds,
            survival=self._survival,
            hold_factor=self._demand.hold_factor,
            miss_cost_seconds=self._demand.miss_cost_seconds,
            idle_gap_seconds=self._demand.idle_gap_seconds,
            net_idle_seconds=self._demand.net_idle_seconds,
            saved_seconds=self._demand.saved_seconds,
            batch=self._rhythms.expected(
                snapshot.now,
                prices,
                limits.slots_per_worker,
                limits.min_age_seconds(boot_seconds),
                lambda function: self._service.mean_seconds({function: 1}),
            ),
        )

    def _survival(self, age_seconds: float) -> float:
        """Return the share of jobs like the running ones that run longer than an age."""
        return math.pow(self._service.survival(age_seconds), self._releases.factor)

    def dump(self) -> dict[str, Any]:
        """Return the estimates that the next leader needs, for JSON."""
        return {
            "service": self._service.dump(),
            "demand": self._demand.dump(),
            "rhythms": self._rhythms.dump(),
            "weight": self._limits.wait_weight,
            "boot_seconds": self._boot_seconds,
            "boots": self._boots,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from the output of `dump`.

        Raises:
            KeyError, ValueError, TypeError: `dump` did not write it. The estimates are unchanged.
        """
        service, demand = ServiceTimes.load(state["service"]), Demand.load(state["demand"])
        boot_seconds, boots = float(state["boot_seconds"]), int(state["boots"])
        rhythms = Rhythms.load(state["rhythms"], boot_seconds) if "rhythms" in state else Rhythms()
        if self._target_seconds is not None:
            self._limits = replace(self._limits, wait_weight=float(state["weight"]))
        self._rhythms = rhythms
        self._service, self._demand, self._boot_seconds, self._boots = service, demand, boot_seconds, boots
