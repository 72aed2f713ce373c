"""What a test can have go wrong in the simulated EC2."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

ANY_VALUE = "*"


class ApiError(Exception):
    """An error answer of EC2.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


@dataclass(slots=True)
class CapacityLimit:
    """How many more instances there are of a kind; `code` and `message` are the error where there are too few."""

    remaining: int = 0
    instance_type: str = ANY_VALUE
    zone: str = ANY_VALUE
    market: str = ANY_VALUE
    code: str = "InsufficientInstanceCapacity"
    message: str = "We currently do not have sufficient capacity in the Availability Zone you requested."

    def covers(self, instance_type: str, zone: str, market: str) -> bool:
        """Whether instances of this type, zone and market ('spot' or 'on-demand') are of that kind."""
        pairs = ((self.instance_type, instance_type), (self.zone, zone), (self.market, market))
        return all(mine in (ANY_VALUE, given) for mine, given in pairs)


@dataclass(slots=True)
class HeldCalls:
    """Calls of an action that hang until they are released: before they take effect, or after.

    Attributes:
        reached: set when one hangs.
    """

    after_effect: bool
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Hangs."""
        self.reached.set()
        self.released.wait(120)


class Faults:
    """All that goes wrong now. A test changes it at any time; everything is right at first.

    Attributes:
        capacity: limits of which all that cover a launch apply.
        unseen_seconds: how long new instances are missing from descriptions (EC2 is eventually consistent).
    """

    def __init__(self) -> None:
        self.capacity: list[CapacityLimit] = []
        self.new_instances_hidden_seconds = 0.0
        self._throttled: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._holds: dict[str, HeldCalls] = {}
        self._forgotten: dict[str, float] = {}
        self._lock = threading.Lock()

    def throttle(self, action: str, calls: int) -> None:
        """The next so many calls of the action are refused as too many."""
        self._throttled[action] = calls

    def drop_answers(self, action: str, calls: int = 1) -> None:
        """The next so many calls of the action take effect, and their connections are cut instead of an answer."""
        self._lost[action] = calls

    def hide_instances(self, instance_ids: Mapping[str, float]) -> None:
        """Descriptions leave these instances out, each for so many seconds."""
        self._forgotten.update({id_: time.monotonic() + seconds for id_, seconds in instance_ids.items()})

    @contextmanager
    def hold(self, action: str, *, after_effect: bool) -> Iterator[HeldCalls]:
        """Calls of the action hang until the end of the block."""
        hold = self._holds[action] = HeldCalls(after_effect)
        try:
            yield hold
        finally:
            del self._holds[action]
            hold.released.set()

    def raise_if_throttled(self, action: str) -> None:
        """Raises ApiError where the call is refused."""
        if self._take(self._throttled, action):
            raise ApiError("RequestLimitExceeded", "Request limit exceeded.", 503)

    def wait_if_held(self, action: str, *, after_effect: bool) -> None:
        """Hangs where the call is to."""
        hold = self._holds.get(action)
        if hold is not None and hold.after_effect == after_effect:
            hold.wait()

    def drops_answer(self, action: str) -> bool:
        """Whether this call's answer is lost."""
        return self._take(self._lost, action)

    def is_hidden(self, instance_id: str, age_seconds: float) -> bool:
        """Whether descriptions leave the instance out at this moment."""
        return age_seconds < self.new_instances_hidden_seconds or time.monotonic() < self._forgotten.get(
            instance_id, 0.0
        )

    def _take(self, counts: dict[str, int], action: str) -> bool:
        with self._lock:
            left = counts.get(action, 0)
            if left > 0:
                counts[action] = left - 1
            return left > 0
