"""Rolling update (instance refresh): select the workers of an earlier template version to replace next. Pure.

A needed worker is drained only once its replacement serves. So a version whose workers never register drains no worker
that is needed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobqueue.workers.registry import WorkerView
from scaler.decide.successors import Successors
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import InstancePhase, phase_of
from scaler.state.store import ScalerState

MAX_REPLACED_SHARE = 0.25
"""Share of the serving workers that can be under replacement at the same time; at least one worker."""
OUTDATED = "outdated"
"""Termination reason of a replaced worker."""


@dataclass(frozen=True, slots=True)
class RollingUpdate:
    """The next step of a rolling update.

    Attributes:
        to_be_replaced: instances that get a replacement.
        to_scale_in: instances that go: their replacement serves, or there is no headroom for a replacement.
        unneeded: instances that go without a replacement, unless a job comes that they could run.
        outdated_count: number of serving workers of an earlier version, including these.
    """

    to_be_replaced: Sequence[Instance] = ()
    to_scale_in: Sequence[Instance] = ()
    unneeded: Sequence[Instance] = ()
    outdated_count: int = 0

    @property
    def summary(self) -> str:
        """Text for the decision's reason."""
        drained, replaced = len(self.to_scale_in) + len(self.unneeded), len(self.to_be_replaced)
        return f"UPDATE: drain {drained}, replace {replaced} of {self.outdated_count} outdated workers"


def plan_rolling_update(
    state: ScalerState,
    instances: Mapping[str, Instance],
    workers: Mapping[str, WorkerView],
    version: int,
    successors: Successors,
    *,
    surplus: int,
    headroom: int,
    min_age_seconds: float,
    quiet: bool,
) -> RollingUpdate:
    """Return the next step.

    Args:
        version: current template version; 0 if there are no versions.
        surplus: number of serving workers that are not needed.
        headroom: number of instances that can still be launched.
        min_age_seconds: minimum age of a worker that goes because it is not needed.
        quiet: nothing else is launched or drained in this round. Otherwise only workers go whose replacement serves.
    """
    phases = {id_: phase_of(instance, workers.get(id_)) for id_, instance in instances.items()}
    outdated = [
        each
        for each in instances.values()
        if 0 < each.version < version
        and phases[each.id] in (InstancePhase.IDLE, InstancePhase.BUSY)
        and not workers[each.id].interruption  # They are replaced anyway.
    ]
    outdated.sort(key=lambda each: (phases[each.id] is InstancePhase.BUSY, each.launched_at, each.id))
    replaced = successors.replaced(outdated)
    awaiting = [each for each in outdated if successors.awaited.get(each.replacement_token) and each not in replaced]
    if not quiet:
        return RollingUpdate((), replaced, (), len(outdated))
    draining = sum(each.reason == OUTDATED and not each.replacement_token for each in instances.values())
    budget = max(0, max(1, int(MAX_REPLACED_SHARE * sum(successors.serving.values()))) - len(awaiting) - draining)
    candidates = [each for each in outdated if each not in replaced and each not in awaiting][:budget]
    idle = [each for each in candidates if phases[each.id] is InstancePhase.IDLE][:surplus]
    rest = [each for each in candidates if each not in idle]
    to_be_replaced, unreplaced = rest[: max(0, headroom)], rest[max(0, headroom) :]
    if state.launch_breaker.failed_boots:
        # While new instances fail to boot, no worker goes without a replacement.
        return RollingUpdate(to_be_replaced, replaced, (), len(outdated))
    unneeded = [each for each in idle if each.has_served(min_age_seconds, state.now)]
    return RollingUpdate(to_be_replaced, [*replaced, *unreplaced], unneeded, len(outdated))
