"""This project's scaling policy in the simulator: the same estimators and the same `decide` as in production."""

import math
from collections.abc import Mapping
from itertools import islice

from scaler.learn.learning import Estimators, QueueSnapshot
from scaler.policy import Estimates, Limits, Observation, decide
from scaler.simulation.engine import ScalingPlan
from scaler.simulation.system import MINIMUM_PAID_SECONDS, Instance, Scenario, SimulatedSystem


def limits_for_scenario(scenario: Scenario, w: float) -> Limits:
    """Return the policy's limits for instances that are billed by the second, with a minimum of a minute."""
    return Limits(
        min_workers=0,
        max_workers=scenario.max_workers,
        slots_per_worker=scenario.slots,
        wait_weight=w,
        min_billed_seconds=MINIMUM_PAID_SECONDS,
        min_idle_seconds=0.0,
    )


class WorkManagerPolicy:
    """Our policy, asked every second, and at once if a job arrives while no instance is alive.

    Args:
        service_time_factor: factor on every service time that the policy observes, to test wrong estimates.
    """

    interval_seconds = 1.0
    wakes_on_arrival = True

    def __init__(
        self,
        limits: Limits,
        *,
        boot_seconds: float = 90.0,
        wait_target_seconds: float | None = None,
        service_time_factor: float = 1.0,
    ) -> None:
        self._service_time_factor = service_time_factor
        self._estimators = Estimators(limits, boot_seconds=boot_seconds, wait_target_seconds=wait_target_seconds)
        self._booting: dict[Instance, None] = {}
        self._ended = 0

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        self._observe_boots(system)
        snapshot = self._snapshot(system)
        observation = Observation(
            now=snapshot.now,
            queued=snapshot.queued,
            oldest_seconds=snapshot.oldest_seconds,
            running_ages=[age for _, age in snapshot.running],
            idle_ages=[system.now - instance.ready_at for instance in system.idle],
            busy=snapshot.ready - len(system.idle),
            draining=0,
            free_slots=system.free_slots,
            booting_ages=[system.now - instance.launched_at for instance in system.booting],
            estimates=self._estimators.observe(snapshot),
        )
        decision = decide(observation, self._estimators.limits)
        self._booting = dict.fromkeys(system.booting)
        old_enough = (each for each in system.idle if system.now - each.ready_at >= decision.min_age_seconds)
        idle_longest = list(islice(old_enough, decision.drain))
        return ScalingPlan(
            decision.launch,
            idle_longest,
            recheck_seconds=decision.recheck_seconds,
            wake_seconds=_seconds_to_launch(observation.estimates),
        )

    def _observe_boots(self, system: SimulatedSystem) -> None:
        for instance in [instance for instance in self._booting if instance not in system.booting]:
            del self._booting[instance]
            if instance.ready_at <= system.now:
                self._estimators.observe_boot(instance.ready_at - instance.launched_at)

    def _snapshot(self, system: SimulatedSystem) -> QueueSnapshot:
        service_seconds: Mapping[str, float] = system.service_seconds_by_function
        if self._service_time_factor != 1.0:
            factor = self._service_time_factor
            service_seconds = {function: total * factor for function, total in service_seconds.items()}
        ended_before, self._ended = self._ended, system.finished_by_function.total()
        return QueueSnapshot(
            now=system.now,
            queued=dict(system.queued_by_function),
            running=system.running_ages(),
            ended=system.finished_by_function,
            ended_seconds=service_seconds,
            served=self._ended - ended_before,
            oldest_seconds=system.now - system.queue[0].submit_seconds if system.queue else 0.0,
            ready=system.alive - len(system.booting),
            booting=len(system.booting),
        )


def _seconds_to_launch(estimates: Estimates) -> float:
    """Return the time until workers are launched for the next batch that is expected."""
    if estimates.batch is None:
        return math.inf
    seconds = estimates.batch.in_seconds - estimates.boot_seconds
    return seconds if seconds > 0 else math.inf
