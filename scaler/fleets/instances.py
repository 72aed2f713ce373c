"""What the scaler writes down of its fleet, and what it sees of it."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What one call asks a fleet for.

    Attributes:
        count: instances at most; the fleet may give fewer.
        offering: what kind of instance it is, in the fleet's own words; a kind that is short is not asked for again
            for a while.
        arguments: the call's arguments, JSON-able. A repeat uses the very same ones.
    """

    count: int
    pool: str = ""
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
    recorded_at: float
    epoch: int
    request: LaunchRequest

    def to_json(self) -> str:
        """As it stands in Redis; `count` is read by `intend.lua`."""
        order = self.request
        return json.dumps(
            {
                "at": self.recorded_at,
                "epoch": self.epoch,
                "count": order.count,
                "offering": order.pool,
                "arguments": order.arguments,
            }
        )

    @classmethod
    def from_json(cls, token: str, text: str | bytes) -> "Intent":
        """What `to_json` gave."""
        value = json.loads(text)
        order = LaunchRequest(value["count"], value["offering"], value["arguments"])
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
        undescribed_at: the fleet does not show it any more.
        terminating_at: it is to go, which is never taken back.
        fenced_at: its worker gets nothing more on any shard: from then on it can only become empty.
        drained_at: nothing runs on it, and nothing ever will: it may be terminated.
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
    undescribed_at: float | None = None
    terminating_at: float | None = None
    fenced_at: float | None = None
    drained_at: float | None = None
    reason: str = ""
    replacement_token: str = ""

    @property
    def is_changing(self) -> bool:
        """Whether it boots, goes, or is not where it should be."""
        unusual = (self.lost_at, self.undescribed_at, self.terminating_at)
        return self.arrived_at is None or any(at is not None for at in unusual)

    def to_json(self) -> str:
        """As it stands in Redis: what is not as at the beginning."""
        changed = {
            _STORED_NAMES.get(name, name): value
            for name, default in _DEFAULTS.items()
            if (value := getattr(self, name)) != default
        }
        return json.dumps({"launched_at": self.launched_at, **changed})

    @classmethod
    def from_json(cls, id_: str, text: str | bytes) -> "Instance":
        """What `to_json` gave; fields of a later version are left out."""
        stored = json.loads(text)
        named = {_FIELD_NAMES.get(name, name): value for name, value in stored.items()}
        return cls(id_, named.pop("launched_at"), **{name: named[name] for name in named if name in _DEFAULTS})


_STORED_NAMES = {
    "undescribed_at": "missed_at",
    "terminating_at": "closing_at",
    "fenced_at": "cut_off_at",
    "drained_at": "empty_at",
    "replacement_token": "replaced",
}
"""Names in Redis, which belong to the record format, where they differ from the fields' names."""
_FIELD_NAMES = {stored: name for name, stored in _STORED_NAMES.items()}
_DEFAULTS: Mapping[str, Any] = {item.name: item.default for item in fields(Instance) if item.default is not MISSING}


@dataclass(frozen=True, slots=True)
class DescribedInstance:
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

    def to_instance(self) -> Instance:
        """How it is written down at first."""
        return Instance(
            self.id, self.launched_at, self.token, self.kind, self.subnet, self.zone, self.market, self.version
        )
