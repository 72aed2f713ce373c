"""Faults that a test can inject into the simulated EC2: no capacity, throttling, lost answers, hanging calls."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

ANY_VALUE = "*"
MAX_HOLD_SECONDS = 120.0


class ApiError(Exception):
    """An error answer of the EC2 API.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


@dataclass(slots=True)
class CapacityLimit:
    """A limit on further launches of a kind; `code` and `message` are the error if `remaining` is too low."""

    remaining: int = 0
    instance_type: str = ANY_VALUE
    zone: str = ANY_VALUE
    market: str = ANY_VALUE
    code: str = "InsufficientInstanceCapacity"
    message: str = "We currently do not have sufficient capacity in the Availability Zone you requested."

    def covers(self, instance_type: str, zone: str, market: str) -> bool:
        """Whether the limit applies to this type, zone and market ('spot' or 'on-demand')."""
        pairs = ((self.instance_type, instance_type), (self.zone, zone), (self.market, market))
        return all(mine in (ANY_VALUE, given) for mine, given in pairs)


@dataclass(slots=True)
class CoreQuotas:
    """The account's quotas of cores by market, of all standard families together; None: no limit.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html

    No document was found that says whether a call for several instances gets as many as fit, or none. Here, as with
    capacity, it gets as many as fit.
    """

    on_demand: int | None = None
    spot: int | None = None

    def granted(self, market: str, cores: int, used: int, least: int, most: int) -> int:
        """Return how many instances can be launched.

        Args:
            cores: of one instance.
            used: cores of the instances of this market that exist.

        Raises:
            ApiError: fewer than `least`.
        """
        quota = self.spot if market == "spot" else self.on_demand
        if quota is None:
            return most
        fitting = min(most, (quota - used) // cores)
        if fitting >= max(least, 1):
            return fitting
        if market == "spot":
            raise ApiError("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        raise ApiError(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {quota} allows for the instance"
            " bucket that the specified instance type belongs to.",
        )


@dataclass(slots=True)
class HeldCalls:
    """Calls of one action that hang until they are released, either before or after they take effect.

    Attributes:
        reached: set when a call hangs.
    """

    after_effect: bool
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Hang until the release."""
        self.reached.set()
        self.released.wait(MAX_HOLD_SECONDS)


class Faults:
    """The active faults: none at first. A test can change them at any time.

    Attributes:
        capacity: limits; all that cover a launch apply to it.
        quotas: limits of the account.
        new_instances_hidden_seconds: how long descriptions omit new instances (EC2 is eventually consistent).
    """

    def __init__(self) -> None:
        self.capacity: list[CapacityLimit] = []
        self.quotas = CoreQuotas()
        self.new_instances_hidden_seconds = 0.0
        self._throttled: dict[str, int] = {}
        self._dropped_answers: dict[str, int] = {}
        self._spoiled_answers: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        self._refusal = ApiError("", "")
        self._spoil: Callable[[bytes], bytes] = bytes
        self._holds: dict[str, HeldCalls] = {}
        self._hidden_until: dict[str, float] = {}
        self._lock = threading.Lock()

    def throttle(self, action: str, calls: int) -> None:
        """Throttle the next `calls` calls of the action."""
        self._throttled[action] = calls

    def drop_answers(self, action: str, calls: int = 1) -> None:
        """Let the next `calls` calls of the action take effect, but close their connections instead of answering."""
        self._dropped_answers[action] = calls

    def refuse(self, action: str, calls: int, *, code: str, message: str = "", status: int = 400) -> None:
        """Refuse the next `calls` calls of the action with this error."""
        self._refusal = ApiError(code, message, status)
        self._refused[action] = calls

    def spoil_answers(self, action: str, calls: int, spoil: Callable[[bytes], bytes]) -> None:
        """Let the next `calls` calls of the action take effect, and change their answers, but not their status."""
        self._spoil = spoil
        self._spoiled_answers[action] = calls

    def hide_instances(self, instance_ids: Mapping[str, float]) -> None:
        """Omit these instances from descriptions, each for its number of seconds."""
        self._hidden_until.update({id_: time.monotonic() + seconds for id_, seconds in instance_ids.items()})

    @contextmanager
    def hold(self, action: str, *, after_effect: bool) -> Iterator[HeldCalls]:
        """Make calls of the action hang until the end of the block."""
        hold = self._holds[action] = HeldCalls(after_effect)
        try:
            yield hold
        finally:
            del self._holds[action]
            hold.released.set()

    def raise_if_refused(self, action: str) -> None:
        """Raise ApiError if the call is throttled, or refused for another reason."""
        if self._take(self._refused, action):
            raise self._refusal
        if self._take(self._throttled, action):
            raise ApiError("RequestLimitExceeded", "Request limit exceeded.", 503)

    def wait_if_held(self, action: str, *, after_effect: bool) -> None:
        """Hang if a test holds calls of this action."""
        hold = self._holds.get(action)
        if hold is not None and hold.after_effect == after_effect:
            hold.wait()

    def spoiled(self, action: str, answer: bytes) -> bytes:
        """Return the answer as the caller gets it."""
        return self._spoil(answer) if self._take(self._spoiled_answers, action) else answer

    def drops_answer(self, action: str) -> bool:
        """Whether this call's answer must be dropped."""
        return self._take(self._dropped_answers, action)

    def is_hidden(self, instance_id: str, age_seconds: float) -> bool:
        """Whether descriptions omit the instance now."""
        return age_seconds < self.new_instances_hidden_seconds or time.monotonic() < self._hidden_until.get(
            instance_id, 0.0
        )

    def _take(self, counts: dict[str, int], action: str) -> bool:
        with self._lock:
            left = counts.get(action, 0)
            if left > 0:
                counts[action] = left - 1
            return left > 0
