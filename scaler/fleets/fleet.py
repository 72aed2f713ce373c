"""What the loop asks of whatever the workers run on: processes on this machine, or EC2 instances."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest


@dataclass(frozen=True, slots=True)
class Profile:
    """What a fleet's instances are like.

    Attributes:
        boot_seconds: from launch to registered worker, until some have been seen.
        boot_limit_seconds: an instance whose worker has not registered by then never will.
        min_billed_seconds: what an instance costs at least.
        idle_seconds: an idle worker is kept at least so long.
        poll_seconds: how often to look at the fleet while something changes.
        idle_poll_seconds: and while nothing does.
        slots: jobs that one worker runs at a time.
        on_demand_base: so many instances are bought on demand before any is on the spot market.
        version: of what instances are launched from, which only grows; 0 where there are no versions.
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
    """Why a call to a fleet did not do what was asked.

    `CAPACITY`: there are no such instances at the moment. `THROTTLED`: too many calls; it was not carried out.
    `REFUSED`: it never will be, as things are set up. `SPENT`: what the token launched has ended since.
    `UNKNOWN`: no answer came, or none that says whether it was carried out.
    """

    CAPACITY = "capacity"
    THROTTLED = "throttled"
    REFUSED = "refused"
    TOKEN_EXPIRED = "spent"
    UNKNOWN = "unknown"


class FleetError(Exception):
    """A fleet did not do what it was asked: see `cause` for what can be done.

    Attributes:
        code: the fleet's own word for it.
    """

    def __init__(self, cause: Cause, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.cause = cause
        self.code = code


class Fleet(Protocol):
    """A source of workers."""

    @property
    def name(self) -> str:
        """What its workers give as their fleet when they register."""

    @property
    def profile(self) -> Profile:
        """What its instances are like."""

    def plan(self, count: int, living: Collection[Instance], cooling: Collection[str]) -> list[LaunchRequest]:
        """How to ask for so many instances beside those that live; for fewer where all else is to be avoided.

        Args:
            avoided: offerings that are short at the moment.
        """

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        """Asks for an intent's instances. A repeat gives what the first call gave.

        Args:
            repeated: it may have been asked for before.

        Raises:
            FleetError: see its cause.
        """

    async def describe(self) -> Sequence[DescribedInstance]:
        """All members; one that is left out may live nonetheless.

        Raises:
            FleetError: nothing is known.
        """

    async def terminate(self, ids: Sequence[str]) -> Collection[str]:
        """Ends instances; those that are gone, or going.

        Raises:
            FleetError: nothing is known of any of them.
        """

    async def close(self) -> None:
        """Lets go of what this process started, so that nothing is left behind."""
