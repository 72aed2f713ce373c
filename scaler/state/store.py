"""What the scaler's leaders hand on to each other: launches, instances, decisions, on the queue's first shard.

Every write carries the lease's epoch: one of a leader that has been succeeded changes nothing.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobqueue.sharding.scripts import script
from jobqueue.sharding.shards import Shard
from scaler.fleets.instances import Instance, Intent
from scaler.state.launch_breaker import Caution
from scaler.state.leader_election import Candidate
from scaler.state.operator_overrides import Orders, orders_key

KEPT_DECISIONS = 200
GONE_SECONDS = 3600.0
"""How long gone instances are remembered: the fleet may show them for a while."""


@dataclass(frozen=True, slots=True)
class Book:
    """All that is written down, at one moment.

    Attributes:
        now: epoch second, by Redis' clock.
        intents: launches whose answer is not known, the oldest first.
        instances: by id.
    """

    now: float
    intents: Sequence[Intent] = ()
    instances: Mapping[str, Instance] = field(default_factory=dict)
    caution: Caution = field(default_factory=Caution)
    orders: Orders = field(default_factory=Orders)

    @property
    def intended(self) -> int:
        """Instances that may come of launches whose answer is not known."""
        return sum(intent.order.count for intent in self.intents)


@dataclass(frozen=True, slots=True)
class Amendment:
    """What the leader has found out.

    Attributes:
        instances: new, or changed.
        gone: ids of instances that are no more.
        settled: tokens of intents whose answer is known.
        decision: to be remembered.
        notes: other texts to keep, by name.
    """

    instances: Collection[Instance] = ()
    gone: Collection[str] = ()
    settled: Collection[str] = ()
    decision: Mapping[str, Any] | None = None
    notes: Mapping[str, Any] | None = None

    def words(self) -> Iterable[str]:
        """What is written, as `amend.lua` takes it."""
        for instance in self.instances:
            yield from ("instance", instance.id, instance.to_json())
        for id_ in self.gone:
            yield from ("gone", id_, "")
        for token in self.settled:
            yield from ("settled", token, "")
        if self.decision is not None:
            yield from ("decision", "", json.dumps(self.decision))
        for name, value in (self.notes or {}).items():
            yield from (name, "", json.dumps(value))


class LeaseLost(Exception):
    """Another manager has taken the lease over: what was to be written was not, and must not be done."""


class Ledger:
    """Reads and writes it for one candidate.

    Every method raises ShardUnavailable where the shard is away: then nothing may be done.
    """

    def __init__(self, shard: Shard, candidate: Candidate) -> None:
        self._shard = shard
        self._candidate = candidate
        self._prefix = f"{shard.prefix}:wm:scaler"

    async def read(self) -> Book:
        """All that is written down."""
        return await read_book(self._shard)

    async def gone(self) -> set[str]:
        """Instances that ended within the last hour."""
        (ids,) = await self._shard.execute(("ZRANGE", f"{self._prefix}:gone", 0, -1))
        return {id_.decode() for id_ in ids}

    async def note(self, name: str) -> Any:
        """A text that was kept; None where there is none."""
        (text,) = await self._shard.execute(("GET", f"{self._prefix}:{name}"))
        return None if text is None else json.loads(text)

    async def intend(self, epoch: int, intents: Sequence[Intent], *, most: int) -> bool:
        """Writes launches down, before anything is done.

        Returns:
            False where there would be more instances than `most`, all living and intended ones counted.

        Raises:
            LeaseLost: nothing was written.
        """
        words = [word for intent in intents for word in (intent.token, intent.to_json())]
        answer = await self._shard.run(
            script("scaler_record_intents"), "", self._candidate.name, epoch, most, *words, replicate=True
        )
        if int(answer) == 0:
            raise LeaseLost
        return int(answer) == 1

    async def amend(self, epoch: int, amendment: Amendment) -> None:
        """Writes down what was found out.

        Raises:
            LeaseLost: nothing was written.
        """
        arguments: tuple[str | int | float, ...] = (
            "",
            self._candidate.name,
            epoch,
            KEPT_DECISIONS,
            GONE_SECONDS,
            *amendment.words(),
        )
        if not await self._shard.run(script("scaler_save"), *arguments, replicate=True):
            raise LeaseLost


async def read_book(shard: Shard) -> Book:
    """All that is written down, for whoever wants to know.

    Raises:
        ShardUnavailable: nothing is known.
    """
    prefix = f"{shard.prefix}:wm:scaler"
    (seconds, microseconds), intents, instances, caution, orders = await shard.execute(
        ("TIME",),
        ("HGETALL", f"{prefix}:intents"),
        ("HGETALL", f"{prefix}:instances"),
        ("GET", f"{prefix}:caution"),
        ("HGETALL", orders_key(shard)),
    )
    opened = [Intent.from_json(token, text) for token, text in _texts(intents)]
    return Book(
        now=int(seconds) + int(microseconds) / 1_000_000,
        intents=sorted(opened, key=lambda intent: (intent.at, intent.token)),
        instances={id_: Instance.from_json(id_, text) for id_, text in _texts(instances)},
        caution=Caution.load(None if caution is None else json.loads(caution)),
        orders=Orders.from_fields({name: text.decode() for name, text in _texts(orders)}),
    )


def _texts(flat: Sequence[bytes]) -> Iterable[tuple[str, bytes]]:
    return zip((name.decode() for name in flat[::2]), flat[1::2], strict=True)
