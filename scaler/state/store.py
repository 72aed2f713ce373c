"""The scaler's persistent state in Redis: launch intents (a write-ahead log), instances, decisions, estimates.

It is stored on the queue's first shard, so that every leader continues where the last one stopped. Every write is
fenced: it carries the epoch of the leader lease, and the write of a former leader changes nothing.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from jobqueue import keys
from jobqueue.json_text import json_object
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import pairs, text_of
from scaler.fleets.instances import Instance, Intent
from scaler.state.launch_breaker import LaunchBreaker
from scaler.state.leader_election import LeaderElector
from scaler.state.operator_overrides import Overrides

Stored = TypeVar("Stored")
log = logging.getLogger(__name__)

KEPT_DECISIONS = 200
"""Number of decisions that Redis keeps for `GET /scaler`."""
TERMINATED_MEMORY_SECONDS = 3600.0
"""How long terminated instances are remembered, because the fleet can describe them for a while."""


@dataclass(frozen=True, slots=True)
class ScalerState:
    """The stored state at one moment.

    Attributes:
        now: Unix time, by Redis' clock.
        intents: launches whose answer is not known, oldest first.
        instances: recorded instances by id.
    """

    now: float
    intents: Sequence[Intent] = ()
    instances: Mapping[str, Instance] = field(default_factory=dict)
    launch_breaker: LaunchBreaker = field(default_factory=LaunchBreaker)
    overrides: Overrides = field(default_factory=Overrides)

    @property
    def pending_launches(self) -> int:
        """Number of instances that launches with an unknown answer can still bring."""
        return sum(intent.request.count for intent in self.intents)


@dataclass(frozen=True, slots=True)
class StateUpdate:
    """Changes to the stored state, saved in one write.

    Attributes:
        instances: new or changed instances.
        terminated: ids of instances that have terminated.
        completed_intents: tokens of intents whose answer is known.
        decision: entry for the list of decisions.
        documents: other JSON documents by name: `caution` (the launch breaker), `report`, `learned` (the estimates).
    """

    instances: Collection[Instance] = ()
    terminated: Collection[str] = ()
    completed_intents: Collection[str] = ()
    decision: Mapping[str, Any] | None = None
    documents: Mapping[str, Any] | None = None

    def script_arguments(self) -> Iterable[str]:
        """Return the changes in the form that `scaler_save.lua` takes."""
        for instance in self.instances:
            yield from ("instance", instance.id, instance.to_json())
        for id_ in self.terminated:
            yield from ("terminated", id_, "")
        for token in self.completed_intents:
            yield from ("completed_intent", token, "")
        if self.decision is not None:
            yield from ("decision", "", json.dumps(self.decision))
        for name, value in (self.documents or {}).items():
            yield from (name, "", json.dumps(value))


class LeadershipLost(Exception):
    """Another manager holds the leader lease. Nothing was written, and the action must not be carried out."""


class ScalerStore:
    """Reads and writes the state on behalf of one elector.

    Every method raises ShardUnavailable if the first shard is unavailable. Then no action must be carried out.
    """

    def __init__(self, shard: Shard, elector: LeaderElector) -> None:
        self._shard = shard
        self._elector = elector

    async def read(self) -> ScalerState:
        """Read the stored state."""
        return await read_state(self._shard)

    async def recently_terminated(self) -> set[str]:
        """Return the ids of the instances that terminated within `TERMINATED_MEMORY_SECONDS`."""
        command = ("ZRANGE", keys.scaler(self._shard.prefix, "gone"), 0, -1)
        (ids,) = await self._shard.execute(command, tolerate_wrong_types=True)
        return {text_of(id_) for id_ in ids or ()}

    async def read_document(self, name: str) -> Any:
        """Return a stored JSON object; None if there is none.

        Raises:
            ValueError: what is stored is something else.
        """
        (text,) = await self._shard.execute(("GET", keys.scaler(self._shard.prefix, name)), tolerate_wrong_types=True)
        value = json_object(text)
        if text is not None and value is None:
            raise ValueError(f"the scaler's document {name!r} is no JSON object")
        return value

    async def last_report(self) -> Mapping[str, Any]:
        """Return the report on the last round of any leader; {} if there is none that can be read."""
        try:
            return await self.read_document("report") or {}
        except ValueError:
            return {}

    async def last_round_at(self) -> float | None:
        """Return when the last round of any leader was, by Redis' clock; None if that is not known."""
        at = (await self.last_report()).get("at")
        return float(at) if isinstance(at, int | float) else None

    async def record_intents(self, epoch: int, intents: Sequence[Intent], *, max_instances: int) -> bool:
        """Record launches before they are requested.

        Returns:
            False if recorded instances and pending launches would exceed `max_instances`. Then nothing was written.

        Raises:
            LeadershipLost: nothing was written.
        """
        arguments = [text for intent in intents for text in (intent.token, intent.to_json())]
        answer = await self._shard.run(
            script("scaler_record_intents"), "", self._elector.name, epoch, max_instances, *arguments, replicate=True
        )
        if int(answer) == 0:
            raise LeadershipLost
        return int(answer) == 1

    async def save(self, epoch: int, update: StateUpdate) -> None:
        """Save changes.

        Raises:
            LeadershipLost: nothing was written.
        """
        arguments: tuple[str | int | float, ...] = (
            "",
            self._elector.name,
            epoch,
            KEPT_DECISIONS,
            TERMINATED_MEMORY_SECONDS,
            *update.script_arguments(),
        )
        if not await self._shard.run(script("scaler_save"), *arguments, replicate=True):
            raise LeadershipLost


async def read_state(shard: Shard) -> ScalerState:
    """Read the stored state, on any manager.

    Raises:
        ShardUnavailable: the first shard is unavailable.
    """
    (seconds, microseconds), intents, instances, launch_breaker, overrides = await shard.execute(
        ("TIME",),
        ("HGETALL", keys.scaler(shard.prefix, "intents")),
        ("HGETALL", keys.scaler(shard.prefix, "instances")),
        ("GET", keys.scaler(shard.prefix, "caution")),
        ("HGETALL", keys.scaler(shard.prefix, "orders")),
        tolerate_wrong_types=True,
    )
    pending = _readable(Intent.from_json, "intent", intents)
    return ScalerState(
        now=int(seconds) + int(microseconds) / 1_000_000,
        intents=sorted(pending, key=lambda intent: (intent.recorded_at, intent.token)),
        instances={each.id: each for each in _readable(Instance.from_json, "instance", instances)},
        launch_breaker=LaunchBreaker.load(json_object(launch_breaker)),
        overrides=Overrides.from_fields({name: text_of(text) for name, text in pairs(overrides)}),
    )


def _readable(decode: Callable[[str, bytes], Stored], kind: str, flat: Sequence[bytes] | None) -> list[Stored]:
    """Return the records of a hash, without those that cannot be read: one of them must not end the scaling.

    An instance that is left out here is found again by its worker or by the fleet.
    """
    readable = []
    for id_, text in pairs(flat):
        try:
            readable.append(decode(id_, text))
        except ValueError as error:
            _report_unreadable(kind, id_, str(error))
    return readable


@lru_cache(maxsize=1000)
def _report_unreadable(kind: str, id_: str, reason: str) -> None:
    # Cached: once for each record, not in every round.
    log.warning("event=scaler_record_unreadable kind=%s id=%s error=%r", kind, id_, reason)
