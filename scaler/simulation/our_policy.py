"""This project's own policy on the virtual clock: the same learning and the same `decide` that production runs."""

from itertools import islice

from scaler.learn.learning import Counts, Learning
from scaler.policy import Limits, Observation, decide
from scaler.simulation.engine import MINIMUM_PAID_SECONDS, Cloud, Instance, Plan, World


def cloud_limits(world: World, w: float) -> Limits:
    """On instances paid by the second, for a minute at least."""
    return Limits(
        min_workers=0,
        max_workers=world.max_workers,
        slots_per_worker=world.slots,
        wait_weight=w,
        minimum_paid_seconds=MINIMUM_PAID_SECONDS,
        idle_seconds=0.0,
    )


class WorkManager:
    """Asked every second, and at once when a job comes while nothing lives.

    Args:
        error: what every service time that the policy is told of is multiplied by.
    """

    interval_seconds = 1.0
    eager = True

    def __init__(
        self,
        limits: Limits,
        *,
        boot_seconds: float = 90.0,
        wait_target_seconds: float | None = None,
        error: float = 1.0,
    ) -> None:
        self._error = error
        self._learning = Learning(limits, boot_seconds=boot_seconds, wait_target_seconds=wait_target_seconds)
        self._booting: dict[Instance, None] = {}

    def plan(self, cloud: Cloud) -> Plan:
        now = cloud.now
        for instance in [instance for instance in self._booting if instance not in cloud.booting]:
            del self._booting[instance]
            if instance.ready_at <= now:
                self._learning.observe_boot(instance.ready_at - instance.launched_at)
        ready, running = cloud.alive - len(cloud.booting), cloud.running_ages()
        oldest_seconds = now - cloud.queue[0].submit_seconds if cloud.queue else 0.0
        queued = dict(cloud.queued_by_function)
        seconds = cloud.finished_seconds
        if self._error != 1.0:
            seconds = {function: total * self._error for function, total in seconds.items()}
        lessons = self._learning.observe(
            Counts(now, queued, running, cloud.finished, seconds, oldest_seconds, ready, len(cloud.booting))
        )
        observation = Observation(
            now=now,
            queued=queued,
            oldest_seconds=oldest_seconds,
            running_ages=[age for _, age in running],
            idle=len(cloud.idle),
            busy=ready - len(cloud.idle),
            draining=0,
            free_slots=cloud.free_slots,
            booting_ages=[now - instance.launched_at for instance in cloud.booting],
            lessons=lessons,
        )
        decision = decide(observation, self._learning.limits)
        self._booting = dict.fromkeys(cloud.booting)
        return Plan(decision.launch, list(islice(cloud.idle, decision.drain)), recheck_seconds=decision.recheck_seconds)
