"""Which workers of an earlier version make room for those of the present one. Pure.

Nobody is in a hurry: each that is needed gets a successor first, and goes when that has come. A version whose workers
never come therefore ends no worker that works.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobqueue.workers.registry import WorkerView
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import Phase, phase_of
from scaler.state.store import Book

SHARE = 0.25
"""Of those that serve, so many are renewed at a time, one at least."""
OUTDATED = "outdated"


@dataclass(frozen=True, slots=True)
class Renewal:
    """What is to be done.

    Attributes:
        needy: instances that get a successor.
        retired: instances that are to go: their successor has come, or they are not needed, or there is no room for
            one beside them.
        left: how many of an earlier version serve, these among them.
    """

    needy: Sequence[Instance] = ()
    retired: Sequence[Instance] = ()
    left: int = 0

    @property
    def words(self) -> str:
        """What the decision says of it."""
        return f"RENEW: {len(self.retired)} go, {len(self.needy)} are succeeded, of {self.left} of an earlier version"


def renew(
    book: Book,
    instances: Mapping[str, Instance],
    workers: Mapping[str, WorkerView],
    version: int,
    *,
    spare: int,
    room: int,
    quiet: bool,
) -> Renewal:
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
        and phases[each.id] in (Phase.IDLE, Phase.BUSY)
        and not workers[each.id].leaving  # they have successors anyway
    ]
    outdated.sort(key=lambda each: (phases[each.id] is Phase.BUSY, each.launched_at, each.id))
    serving = Counter(each.token for each in instances.values() if phases[each.id] in (Phase.IDLE, Phase.BUSY))
    coming = {each.token for each in instances.values() if phases[each.id] is Phase.BOOTING}
    coming.update(intent.token for intent in book.intents)
    retired = [each for each in outdated if each.replaced and serving[each.replaced]]
    awaiting = [each for each in outdated if each.replaced in coming and each not in retired]
    if not quiet:
        return Renewal((), retired, len(outdated))
    missing = sum(each.reason == OUTDATED and not each.replaced for each in instances.values())
    number = max(1, int(SHARE * serving.total())) - len(awaiting) - missing
    needy: list[Instance] = []
    # Without a successor none goes while new ones fail to boot.
    is_sound = not book.caution.failed_boots
    for each in [each for each in outdated if each not in retired and each not in awaiting][: max(0, number)]:
        if spare > 0 and phases[each.id] is Phase.IDLE:
            if is_sound:
                retired.append(each)
                spare -= 1
        elif room > 0:
            needy.append(each)
            room -= 1
        elif is_sound:
            retired.append(each)
    return Renewal(needy, retired, len(outdated))
