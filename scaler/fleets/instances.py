"""What the scaler writes down of its fleet, and what it sees of it."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Order:
    """What one call asks a fleet for.

    Attributes:
        count: instances at most; the fleet may give fewer.
        offering: what kind of instance it is, in the fleet's own words; a kind that is short is not asked for again
            for a while.
        arguments: the call's arguments, JSON-able. A repeat uses the very same ones.
    """

    count: int
    offering: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Intent:
    """A launch, written down before it is asked for, until its answer is known.

    Attributes:
        token: names the launch: a repeat under the same token gives the same instances.
        at: epoch second.
        epoch: of the leader that wrote it.
    """

    token: str
    at: float
    epoch: int
    order: Order

    def to_json(self) -> str:
        """As it stands in Redis; `count` is read by `intend.lua`."""
        order = self.order
        return json.dumps(
            {
                "at": self.at,
                "epoch": self.epoch,
                "count": order.count,
                "offering": order.offering,
                "arguments": order.arguments,
            }
        )

    @classmethod
    def from_json(cls, token: str, text: str | bytes) -> "Intent":
        """What `to_json` gave."""
        value = json.loads(text)
        order = Order(value["count"], value["offering"], value["arguments"])
        return cls(token, value["at"], value["epoch"], order)


@dataclass(frozen=True, slots=True)
class Instance:
    """A member of the fleet as it is written down. Times are epoch seconds, None: it has not happened.

    Attributes:
        token: of the intent that launched it; '' where nobody knows.
        kind, subnet, zone, market: what it is and where; market is 'spot', 'on-demand', or '' where there is no market.
        version: of what it was launched from; 0 where nobody knows.
        arrived_at: its worker registered.
        lost_at: its worker is not heard of any more.
        missed_at: the fleet does not show it any more.
        closing_at: it is to go, which is never taken back.
        cut_off_at: its worker gets nothing more on any shard: from then on it can only become empty.
        empty_at: nothing runs on it, and nothing ever will: it may be terminated.
        reason: why it is closing.
        replaced: a replacement was launched, under this token.
    """

    id: str
    launched_at: float
    token: str = ""
    kind: str = ""
    subnet: str = ""
    zone: str = ""
    market: str = ""
    version: int = 0
    arrived_at: float | None = None
    lost_at: float | None = None
    missed_at: float | None = None
    closing_at: float | None = None
    cut_off_at: float | None = None
    empty_at: float | None = None
    reason: str = ""
    replaced: str = ""

    @property
    def is_changing(self) -> bool:
        """Whether it boots, goes, or is not where it should be."""
        unusual = (self.lost_at, self.missed_at, self.closing_at)
        return self.arrived_at is None or any(at is not None for at in unusual)

    def to_json(self) -> str:
        """As it stands in Redis: what is not as at the beginning."""
        changed = {name: value for name in _DEFAULTS if (value := getattr(self, name)) != _DEFAULTS[name]}
        return json.dumps({"launched_at": self.launched_at, **changed})

    @classmethod
    def from_json(cls, id_: str, text: str | bytes) -> "Instance":
        """What `to_json` gave; fields of a later version are left out."""
        value = json.loads(text)
        return cls(id_, value["launched_at"], **{name: value[name] for name in value if name in _DEFAULTS})


_DEFAULTS: Mapping[str, Any] = {item.name: item.default for item in fields(Instance) if item.default is not MISSING}


@dataclass(frozen=True, slots=True)
class Sighting:
    """An instance as the fleet shows it.

    Attributes:
        ended: it is gone, or going.
        stopped: it stands still, which no worker ever should.
        interrupted: it was the fleet that took it back.
    """

    id: str
    launched_at: float
    token: str = ""
    kind: str = ""
    subnet: str = ""
    zone: str = ""
    market: str = ""
    version: int = 0
    ended: bool = False
    stopped: bool = False
    interrupted: bool = False

    def as_instance(self) -> Instance:
        """How it is written down at first."""
        return Instance(
            self.id, self.launched_at, self.token, self.kind, self.subnet, self.zone, self.market, self.version
        )
