"""What the scaler's leaders hand on to each other: launches, instances, decisions, on the queue's first shard.

Every write carries the lease's epoch: one of a leader that has been succeeded changes nothing.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobqueue import keys
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from scaler.fleets.instances import Instance, Intent
from scaler.state.launch_breaker import LaunchBreaker
from scaler.state.leader_election import LeaderElector
from scaler.state.operator_overrides import Overrides, overrides_key

KEPT_DECISIONS = 200
TERMINATED_MEMORY_SECONDS = 3600.0
"""How long gone instances are remembered: the fleet may show them for a while."""


@dataclass(frozen=True, slots=True)
class ScalerState:
    """All that is written down, at one moment.

    Attributes:
        now: epoch second, by Redis' clock.
        intents: launches whose answer is not known, the oldest first.
        instances: by id.
    """

    now: float
    intents: Sequence[Intent] = ()
    instances: Mapping[str, Instance] = field(default_factory=dict)
    launch_breaker: LaunchBreaker = field(default_factory=LaunchBreaker)
    overrides: Overrides = field(default_factory=Overrides)

    @property
    def pending_launches(self) -> int:
        """Instances that may come of launches whose answer is not known."""
        return sum(intent.request.count for intent in self.intents)


@dataclass(frozen=True, slots=True)
class StateUpdate:
    """What the leader has found out.

    Attributes:
        instances: new, or changed.
        gone: ids of instances that are no more.
        settled: tokens of intents whose answer is known.
        decision: to be remembered.
        notes: other texts to keep, by name.
    """

    instances: Collection[Instance] = ()
    terminated: Collection[str] = ()
    completed_intents: Collection[str] = ()
    decision: Mapping[str, Any] | None = None
    documents: Mapping[str, Any] | None = None

    def script_arguments(self) -> Iterable[str]:
        """What is written, as `amend.lua` takes it."""
        for instance in self.instances:
            yield from ("instance", instance.id, instance.to_json())
        for id_ in self.terminated:
            yield from ("gone", id_, "")
        for token in self.completed_intents:
            yield from ("settled", token, "")
        if self.decision is not None:
            yield from ("decision", "", json.dumps(self.decision))
        for name, value in (self.documents or {}).items():
            yield from (name, "", json.dumps(value))


class LeaseLost(Exception):
    """Another manager has taken the lease over: what was to be written was not, and must not be done."""


class ScalerStore:
    """Reads and writes it for one candidate.

    Every method raises ShardUnavailable where the shard is away: then nothing may be done.
    """

    def __init__(self, shard: Shard, elector: LeaderElector) -> None:
        self._shard = shard
        self._candidate = elector

    async def read(self) -> ScalerState:
        """All that is written down."""
        return await read_state(self._shard)

    async def recently_terminated(self) -> set[str]:
        """Instances that ended within the last hour."""
        (ids,) = await self._shard.execute(("ZRANGE", keys.scaler(self._shard.prefix, "gone"), 0, -1))
        return {id_.decode() for id_ in ids}

    async def read_document(self, name: str) -> Any:
        """A text that was kept; None where there is none."""
        (text,) = await self._shard.execute(("GET", keys.scaler(self._shard.prefix, name)))
        return None if text is None else json.loads(text)

    async def record_intents(self, epoch: int, intents: Sequence[Intent], *, max_instances: int) -> bool:
        """Writes launches down, before anything is done.

        Returns:
            False where there would be more instances than `most`, all living and intended ones counted.

        Raises:
            LeaseLost: nothing was written.
        """
        words = [word for intent in intents for word in (intent.token, intent.to_json())]
        answer = await self._shard.run(
            script("scaler_record_intents"), "", self._candidate.name, epoch, max_instances, *words, replicate=True
        )
        if int(answer) == 0:
            raise LeaseLost
        return int(answer) == 1

    async def save(self, epoch: int, update: StateUpdate) -> None:
        """Writes down what was found out.

        Raises:
            LeaseLost: nothing was written.
        """
        arguments: tuple[str | int | float, ...] = (
            "",
            self._candidate.name,
            epoch,
            KEPT_DECISIONS,
            TERMINATED_MEMORY_SECONDS,
            *update.script_arguments(),
        )
        if not await self._shard.run(script("scaler_save"), *arguments, replicate=True):
            raise LeaseLost


async def read_state(shard: Shard) -> ScalerState:
    """All that is written down, for whoever wants to know.

    Raises:
        ShardUnavailable: nothing is known.
    """
    (seconds, microseconds), intents, instances, caution, orders = await shard.execute(
        ("TIME",),
        ("HGETALL", keys.scaler(shard.prefix, "intents")),
        ("HGETALL", keys.scaler(shard.prefix, "instances")),
        ("GET", keys.scaler(shard.prefix, "caution")),
        ("HGETALL", overrides_key(shard)),
    )
    opened = [Intent.from_json(token, text) for token, text in _texts(intents)]
    return ScalerState(
        now=int(seconds) + int(microseconds) / 1_000_000,
        intents=sorted(opened, key=lambda intent: (intent.recorded_at, intent.token)),
        instances={id_: Instance.from_json(id_, text) for id_, text in _texts(instances)},
        launch_breaker=LaunchBreaker.load(None if caution is None else json.loads(caution)),
        overrides=Overrides.from_fields({name: text.decode() for name, text in _texts(orders)}),
    )


def _texts(flat: Sequence[bytes]) -> Iterable[tuple[str, bytes]]:
    return zip((name.decode() for name in flat[::2]), flat[1::2], strict=True)
