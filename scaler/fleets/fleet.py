"""The interface of a fleet: a provider of instances for workers, such as local processes or EC2 instances."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest


@dataclass(frozen=True, slots=True)
class Profile:
    """Properties of a fleet's instances.

    Attributes:
        boot_seconds: initial estimate of the time from launch to the registration of the worker.
        boot_timeout_seconds: an instance whose worker has not registered by then is given up.
        min_billed_seconds: minimum billing time of an instance.
        min_idle_seconds: minimum time before an unneeded worker is drained.
        poll_seconds: interval between two `describe` calls while instances change.
        idle_poll_seconds: interval while no instance changes.
        slots: number of jobs that one worker runs at a time.
        on_demand_base: number of instances that are launched on demand before any on the spot market.
        version: version of the template that instances are launched from; it only grows. 0 if there are no versions.
    """

    boot_seconds: float
    boot_timeout_seconds: float
    min_billed_seconds: float
    min_idle_seconds: float
    poll_seconds: float
    idle_poll_seconds: float
    slots: int = 1
    on_demand_base: int = 0
    version: int = 0


class Cause(StrEnum):
    """Why a call to a fleet failed.

    `CAPACITY`: the pool has no instances at the moment. `POOL_REFUSED`: this pool fails until the setup changes; others
    can work. `THROTTLED`: too many calls; the call was not carried out. `REFUSED`: all calls fail until the setup
    changes. `TOKEN_EXPIRED`: nothing can come of this launch any more. `GONE`: the fleet says that what the call names
    has ended or does not exist, which can be wrong for a while, or true of a part of it. `UNKNOWN`: there was no
    answer, or none that says whether the call was carried out.
    """

    CAPACITY = "capacity"
    POOL_REFUSED = "pool_refused"
    THROTTLED = "throttled"
    REFUSED = "refused"
    TOKEN_EXPIRED = "token_expired"
    GONE = "gone"
    UNKNOWN = "unknown"


class FleetError(Exception):
    """A call to a fleet failed; `cause` says whether to retry.

    Attributes:
        code: the fleet's own error code.
        advice: what an operator can do; '' if there is nothing to do but wait.
    """

    def __init__(self, cause: Cause, code: str, message: str, advice: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.cause = cause
        self.code = code
        self.advice = advice

    @property
    def explained(self) -> str:
        """The error and what to do, for logs."""
        text = str(self).rstrip(".")
        return f"{text}; to do: {self.advice}" if self.advice else text


class Fleet(Protocol):
    """A provider of instances, each of which runs one worker."""

    @property
    def name(self) -> str:
        """Name under which the fleet's workers register."""

    @property
    def profile(self) -> Profile:
        """Properties of the fleet's instances."""

    def plan(
        self,
        count: int,
        living: Collection[Instance],
        cooling: Collection[str],
        pending: Collection[LaunchRequest] = (),
    ) -> list[LaunchRequest]:
        """Return the calls that launch `count` further instances; fewer if no more pools can be asked.

        Args:
            living: existing instances.
            cooling: capacity pools that are cooling down.
            pending: calls whose answer is not known yet.
        """

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        """Launch an intent's instances. A repetition returns the instances of the first call.

        Args:
            repeated: the intent may have been requested before.

        Raises:
            FleetError: see its cause.
        """

    async def describe(self) -> Sequence[DescribedInstance]:
        """Describe all instances. An instance that is not described can still exist.

        Raises:
            FleetError: nothing is known.
        """

    async def terminate(self, ids: Sequence[str]) -> Mapping[str, FleetError | None]:
        """Terminate instances.

        Returns:
            By id: None if the instance has terminated or is shutting down; otherwise why this one cannot be terminated.
            Ask again for those that are missing.

        Raises:
            FleetError: it is not known whether any of them terminates.
        """

    async def close(self) -> None:
        """Release what this process started, so that nothing is left behind."""
