"""Selects the instances that a decision drains. Pure."""

from collections.abc import Mapping

from jobqueue.workers.registry import WorkerView
from scaler.fleets.fleet import Profile
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import InstancePhase, phase_of

Instances = Mapping[str, Instance]
Workers = Mapping[str, WorkerView]


def choose_idle(
    instances: Instances, workers: Workers, count: int, profile: Profile, min_age_seconds: float, now: float
) -> list[Instance]:
    """Return idle instances to scale in: interrupted ones first, then earlier versions, then the oldest.

    Excluded are instances within their minimum age or their minimum billing time, and replacements whose predecessor is
    about to release its jobs. Instances of the on-demand base go last.
    """
    awaiting_jobs = {
        instance.replacement_token
        for instance in instances.values()
        if (worker := workers.get(instance.id)) is not None and worker.interruption == "spot" and worker.running
    }
    idle = [
        instance
        for instance in instances.values()
        if phase_of(instance, workers.get(instance.id)) is InstancePhase.IDLE
        and instance.has_served(min_age_seconds, now)
        and now - instance.launched_at >= profile.min_billed_seconds
        and (not instance.token or instance.token not in awaiting_jobs)
    ]
    idle.sort(key=_Order(instances, workers, profile).key)
    return idle[:count]


def choose_over_maximum(instances: Instances, workers: Workers, count: int, profile: Profile) -> list[Instance]:
    """Return serving instances above the maximum: idle ones first. Busy ones finish their jobs before they end."""
    phases = {id_: phase_of(instance, workers.get(id_)) for id_, instance in instances.items()}
    serving = [each for each in instances.values() if phases[each.id] in (InstancePhase.IDLE, InstancePhase.BUSY)]
    order = _Order(instances, workers, profile)
    serving.sort(key=lambda each: (phases[each.id] is InstancePhase.BUSY, order.key(each)))
    return serving[:count]


class _Order:
    """The order in which instances go."""

    def __init__(self, instances: Instances, workers: Workers, profile: Profile) -> None:
        on_demand = sorted(id_ for id_, instance in instances.items() if instance.market == "on-demand")
        self._base = set(on_demand[: profile.on_demand_base])
        self._workers = workers
        self._version = profile.version

    def key(self, each: Instance) -> tuple[bool, bool, bool, float, str]:
        """Return the sort key of an instance with a live worker."""
        return (
            not self._workers[each.id].interruption,
            not 0 < each.version < self._version,
            each.id in self._base,
            each.launched_at,
            each.id,
        )
