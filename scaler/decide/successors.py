"""Which instances have been replaced: each has a successor of its own, launched to take its place. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from jobqueue.workers.registry import WorkerView
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import InstancePhase, phase_of
from scaler.state.store import ScalerState


@dataclass(frozen=True, slots=True)
class Successors:
    """How many instances serve, and how many are still expected to, by the token of their launch.

    A launch can bring several successors. Its token stands in the record of each instance that one of them replaces.
    """

    serving: Mapping[str, int]
    awaited: Mapping[str, int]

    @classmethod
    def of(
        cls, state: ScalerState, instances: Mapping[str, Instance], workers: Mapping[str, WorkerView]
    ) -> "Successors":
        """Count the instances and the launches whose answer is not known."""
        phases = {id_: phase_of(instance, workers.get(id_)) for id_, instance in instances.items()}
        serving = Counter(
            instances[id_].token for id_, phase in phases.items() if phase in (InstancePhase.IDLE, InstancePhase.BUSY)
        )
        awaited = Counter(instances[id_].token for id_, phase in phases.items() if phase is InstancePhase.BOOTING)
        for intent in state.intents:
            awaited[intent.token] += intent.request.count
        return cls(serving, awaited)

    def expected(self) -> Collection[str]:
        """Return the tokens of launches that have brought a successor or still can."""
        return {*self.serving, *self.awaited}

    def replaced(self, candidates: Sequence[Instance]) -> list[Instance]:
        """Return the first candidates, as many as have a successor that serves.

        Each successor that is still awaited leaves one of them to work on.
        """
        waiting = Counter(each.replacement_token for each in candidates)
        going = {
            token: min(self.serving.get(token, 0), count - self.awaited.get(token, 0))
            for token, count in waiting.items()
            if token
        }
        replaced = []
        for each in candidates:
            if going.get(each.replacement_token, 0) > 0:
                going[each.replacement_token] -= 1
                replaced.append(each)
        return replaced
