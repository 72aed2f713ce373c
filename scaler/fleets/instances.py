"""Value types of a fleet: launch requests and intents, recorded instances, and instances that the fleet describes."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from jobqueue.json_text import json_object

MAX_LAUNCH_COUNT = 1_000_000
"""More than any launch asks for. A larger number in a record is a mistake."""

MAX_OPEN_SECONDS = 160.0
"""How long a launch waits for its answer, or for the description of its instances, at most, while the fleet answers."""


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """One launch call to a fleet.

    Attributes:
        count: maximum number of instances; the fleet can return fewer.
        pool: capacity pool, named by the fleet. A pool without capacity cools down before it is requested again.
        arguments: the call's arguments, JSON-serializable. A repeat sends exactly the same ones.
    """

    count: int
    pool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Intent:
    """Write-ahead record of a launch: stored before the call is sent, deleted once the answer is known.

    Attributes:
        token: idempotency token: a repeat under the same token returns the same instances.
        recorded_at: Unix time.
        epoch: fencing epoch of the leader that recorded it.
    """

    token: str
    recorded_at: float
    epoch: int
    request: LaunchRequest

    def launched_at(self, described_at: float, now: float) -> float:
        """Return the launch time of an instance of which the fleet has told late, by Redis' clock.

        That clock can differ from the fleet's, and can have stepped since the intent was recorded.

        Args:
            described_at: launch time that the fleet describes.
        """
        return min(now, max(self.recorded_at, described_at, now - MAX_OPEN_SECONDS))

    def to_json(self) -> str:
        """Encode for Redis. `scaler_record_intents.lua` reads `count`; the key names belong to the record format."""
        request = self.request
        return json.dumps(
            {
                "at": self.recorded_at,
                "epoch": self.epoch,
                "count": request.count,
                "offering": request.pool,
                "arguments": request.arguments,
            }
        )

    @classmethod
    def from_json(cls, token: str, text: str | bytes) -> "Intent":
        """Decode the output of `to_json`.

        Raises:
            ValueError: it is something else.
        """
        value = json_object(text) or {}
        count, pool, arguments = value.get("count"), value.get("offering"), value.get("arguments")
        recorded_at, epoch = value.get("at"), value.get("epoch")
        if not (isinstance(count, int) and 0 < count <= MAX_LAUNCH_COUNT and isinstance(epoch, int)):
            raise ValueError("an intent has a count and an epoch")
        if not (isinstance(recorded_at, int | float) and isinstance(pool, str) and isinstance(arguments, dict)):
            raise ValueError("an intent has a time, a pool and arguments")
        return cls(token, recorded_at, epoch, LaunchRequest(count, pool, arguments))


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance of the fleet as the scaler records it. Times are Unix times; None: it has not happened.

    Attributes:
        token: token of the intent that launched it; '' if unknown.
        kind, subnet, zone, market: instance type and place; market is 'spot', 'on-demand', or '' if there is no market.
        version: version of the template it was launched from; 0 if unknown.
        arrived_at: its worker registered.
        lost_at: its worker stopped sending heartbeats.
        undescribed_at: the fleet stopped describing it.
        terminating_at: the scaler decided to terminate it; this is irrevocable.
        fenced_at: its worker can claim no more jobs on any shard, so it can only become empty.
        drained_at: nothing runs on it and nothing ever will, so it can be terminated.
        reason: why it is terminating.
        replacement_token: token of the launch that replaces it; '' if there is none.
        process: see `identity_of` in `scaler/fleets/local_processes.py`; '' if unknown, or it is no process.
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
    process: str = ""

    @property
    def is_changing(self) -> bool:
        """Whether it is booting, terminating, or out of contact."""
        transitions = (self.lost_at, self.undescribed_at, self.terminating_at)
        return self.arrived_at is None or any(at is not None for at in transitions)

    def has_served(self, seconds: float, now: float) -> bool:
        """Whether its worker registered at least so many seconds ago."""
        return self.arrived_at is not None and now - self.arrived_at >= seconds

    @property
    def termination_reason(self) -> str:
        """Reason for logs and metrics; 'external' if the instance ended without the scaler's doing."""
        return self.reason or "external"

    def to_json(self) -> str:
        """Encode for Redis: only the fields that differ from their defaults."""
        changed = {
            _STORED_NAMES.get(name, name): value
            for name, default in _DEFAULTS.items()
            if (value := getattr(self, name)) != default
        }
        return json.dumps({"launched_at": self.launched_at, **changed})

    @classmethod
    def from_json(cls, id_: str, text: str | bytes) -> "Instance":
        """Decode the output of `to_json`; ignore fields that a later version added.

        Raises:
            ValueError: it is something else.
        """
        stored = json_object(text) or {}
        launched_at = stored.get("launched_at")
        if not isinstance(launched_at, int | float):
            raise ValueError("an instance has a time of its launch")
        known: dict[str, Any] = {}
        for stored_name, value in stored.items():
            name = _FIELD_NAMES.get(stored_name, stored_name)
            kinds = _KINDS.get(name)
            if kinds is None:
                continue
            if not isinstance(value, kinds):
                raise ValueError(f"the field {name!r} of an instance has another type")
            known[name] = value
        return cls(id_, launched_at, **known)


_STORED_NAMES = {
    "undescribed_at": "missed_at",
    "terminating_at": "closing_at",
    "fenced_at": "cut_off_at",
    "drained_at": "empty_at",
    "replacement_token": "replaced",
}
"""Field names in Redis that differ from the attributes. They belong to the record format."""
_FIELD_NAMES = {stored: name for name, stored in _STORED_NAMES.items()}


_DEFAULTS: Mapping[str, Any] = {item.name: item.default for item in fields(Instance) if item.default is not MISSING}


def _kinds_of(default: Any) -> tuple[type, ...]:
    return (int, float, type(None)) if default is None else (type(default),)


_KINDS = {name: _kinds_of(default) for name, default in _DEFAULTS.items()}
"""The types that the value of a stored field may have."""


@dataclass(frozen=True, slots=True)
class DescribedInstance:
    """An instance as the fleet describes it.

    Attributes:
        ended: it has terminated or is shutting down.
        stopped: it is stopped, which must never happen to a worker.
        interrupted: the fleet reclaimed it (a spot interruption), or its process ended, as it does with its manager.
        process: see `Instance`.
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
    process: str = ""

    def to_instance(self) -> Instance:
        """Return the record of a newly found instance."""
        return Instance(
            self.id,
            self.launched_at,
            self.token,
            self.kind,
            self.subnet,
            self.zone,
            self.market,
            self.version,
            process=self.process,
        )
