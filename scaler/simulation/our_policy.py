"""This project's scaling policy in the simulator: the same estimators and the same `decide` as in production."""

from itertools import islice

from scaler.learn.learning import Estimators, QueueSnapshot
from scaler.policy import Limits, Observation, decide
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

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        now = system.now
        for instance in [instance for instance in self._booting if instance not in system.booting]:
            del self._booting[instance]
            if instance.ready_at <= now:
                self._estimators.observe_boot(instance.ready_at - instance.launched_at)
        ready, running = system.alive - len(system.booting), system.running_ages()
        oldest_seconds = now - system.queue[0].submit_seconds if system.queue else 0.0
        queued = dict(system.queued_by_function)
        seconds = system.service_seconds_by_function
        if self._service_time_factor != 1.0:
            seconds = {function: total * self._service_time_factor for function, total in seconds.items()}
        estimates = self._estimators.observe(
            QueueSnapshot(
                now, queued, running, system.finished_by_function, seconds, oldest_seconds, ready, len(system.booting)
            )
        )
        observation = Observation(
            now=now,
            queued=queued,
            oldest_seconds=oldest_seconds,
            running_ages=[age for _, age in running],
            idle=len(system.idle),
            busy=ready - len(system.idle),
            draining=0,
            free_slots=system.free_slots,
            booting_ages=[now - instance.launched_at for instance in system.booting],
            estimates=estimates,
        )
        decision = decide(observation, self._estimators.limits)
        self._booting = dict.fromkeys(system.booting)
        return ScalingPlan(
            decision.launch, list(islice(system.idle, decision.drain)), recheck_seconds=decision.recheck_seconds
        )
