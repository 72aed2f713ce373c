"""Which workers of an earlier version make room for those of the present one. Pure.

Nobody is in a hurry: each that is needed gets a successor first, and goes when that has come. A version whose workers
never come therefore ends no worker that works.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobqueue.workers.registry import WorkerView
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import InstancePhase, phase_of
from scaler.state.store import ScalerState

MAX_UNAVAILABLE_SHARE = 0.25
"""Of those that serve, so many are renewed at a time, one at least."""
OUTDATED = "outdated"


@dataclass(frozen=True, slots=True)
class RollingUpdate:
    """What is to be done.

    Attributes:
        needy: instances that get a successor.
        retired: instances that are to go: their successor has come, or they are not needed, or there is no room for
            one beside them.
        left: how many of an earlier version serve, these among them.
    """

    to_be_replaced: Sequence[Instance] = ()
    to_scale_in: Sequence[Instance] = ()
    outdated_count: int = 0

    @property
    def summary(self) -> str:
        """What the decision says of it."""
        return f"RENEW: {len(self.to_scale_in)} go, {len(self.to_be_replaced)} are succeeded, of {self.outdated_count} of an earlier version"


def plan_rolling_update(
    state: ScalerState,
    instances: Mapping[str, Instance],
    workers: Mapping[str, WorkerView],
    version: int,
    *,
    surplus: int,
    headroom: int,
    quiet: bool,
) -> RollingUpdate:
    """The next share.

    Args:
        version: the present one; 0: there are none.
        spare: so many idle workers are not needed.
        room: so many instances may be launched beside those that there are.
        quiet: nothing else is launched or let go in this round; otherwise only those go whose successor has come.
    """
    phases = {id_: phase_of(instance, workers.get(id_)) for id_, instance in instances.items()}
    outdated = [
        each
        for each in instances.values()
        if 0 < each.version < version
        and phases[each.id] in (InstancePhase.IDLE, InstancePhase.BUSY)
        and not workers[each.id].interruption  # they have successors anyway
    ]
    outdated.sort(key=lambda each: (phases[each.id] is InstancePhase.BUSY, each.launched_at, each.id))
    serving = Counter(
        each.token for each in instances.values() if phases[each.id] in (InstancePhase.IDLE, InstancePhase.BUSY)
    )
    coming = {each.token for each in instances.values() if phases[each.id] is InstancePhase.BOOTING}
    coming.update(intent.token for intent in state.intents)
    retired = [each for each in outdated if each.replacement_token and serving[each.replacement_token]]
    awaiting = [each for each in outdated if each.replacement_token in coming and each not in retired]
    if not quiet:
        return RollingUpdate((), retired, len(outdated))
    missing = sum(each.reason == OUTDATED and not each.replacement_token for each in instances.values())
    number = max(1, int(MAX_UNAVAILABLE_SHARE * serving.total())) - len(awaiting) - missing
    needy: list[Instance] = []
    # Without a successor none goes while new ones fail to boot.
    is_sound = not state.launch_breaker.failed_boots
    for each in [each for each in outdated if each not in retired and each not in awaiting][: max(0, number)]:
        if surplus > 0 and phases[each.id] is InstancePhase.IDLE:
            if is_sound:
                retired.append(each)
                surplus -= 1
        elif headroom > 0:
            needy.append(each)
            headroom -= 1
        elif is_sound:
            retired.append(each)
    return RollingUpdate(needy, retired, len(outdated))
