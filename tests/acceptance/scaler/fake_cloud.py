"""EC2 in memory, on a virtual clock: idempotent launches, boots, interruptions, forgetfulness, errors, lost answers.

It judges what is asked of it: see `Cloud.wrongs`.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from scaler.fleets.fleet import Cause, FleetError, Profile
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest
from tests.fake_clock import FakeClock

PROFILE = Profile(
    boot_seconds=90.0,
    boot_timeout_seconds=300.0,
    min_billed_seconds=60.0,
    min_idle_seconds=0.0,
    poll_seconds=5.0,
    idle_poll_seconds=30.0,
)
OFFERINGS = ("a/spot", "b/spot", "a/on-demand")


class Killed(Exception):
    """The manager that made the call is no more."""


@dataclass(slots=True)
class Machine:
    """An instance. `boots_at`: when its worker comes, None never; `hidden_until`: not shown before."""

    id: str
    token: str
    offering: str
    version: int
    launched_at: float
    boots_at: float | None
    hidden_until: float
    ended: bool = False
    interrupted: bool = False
    taken_at: float | None = None
    is_busy: Callable[[], bool] = field(default=lambda: False)


class FakeCloud:
    """All instances.

    Args:
        most: instances that may live.
        rates: how probable each fault of a call is.

    Attributes:
        wrongs: what was asked and must not have been, in words.
    """

    def __init__(self, clock: FakeClock, rng: random.Random, *, max_instances: int, rates: dict[str, float]) -> None:
        self._clock = clock
        self.rng = rng
        self._most = max_instances
        self.rates = rates
        self.machines: dict[str, Machine] = {}
        self.short_until: dict[str, float] = {}
        self.violations: list[str] = []
        self.faults: dict[str, int] = {}
        self._launches: dict[str, tuple[LaunchRequest, list[Machine]]] = {}

    @property
    def living(self) -> list[Machine]:
        return [machine for machine in self.machines.values() if not machine.ended]

    def strikes(self, fault: str) -> bool:
        """Whether a fault happens now."""
        if self.rng.random() >= self.rates.get(fault, 0.0):
            return False
        self.faults[fault] = self.faults.get(fault, 0) + 1
        return True

    def run(self, intent: Intent) -> list[Machine]:
        """RunInstances."""
        if intent.token in self._launches:
            order, machines = self._launches[intent.token]
            if order != intent.request:
                self.violations.append(f"{intent.token} was repeated with other arguments")
            if all(machine.ended for machine in machines):
                raise FleetError(Cause.TOKEN_EXPIRED, "IdempotentInstanceTerminated", "it has ended")
            return machines
        if self.short_until.get(intent.request.pool, 0.0) > self._clock.now:
            raise FleetError(Cause.CAPACITY, "InsufficientInstanceCapacity", intent.request.pool)
        number = self.rng.randint(1, intent.request.count) if self.strikes("partial") else intent.request.count
        machines = [self._boot(intent) for _ in range(number)]
        self._launches[intent.token] = (intent.request, machines)
        if len(self.living) > self._most:
            self.violations.append(f"{len(self.living)} instances live at {self._clock.now:.0f}, {self._most} may")
        return machines

    def terminate(self, id_: str) -> None:
        """TerminateInstances, by the scaler."""
        machine = self.machines.get(id_)
        if machine is not None and not machine.ended:
            if machine.is_busy():
                self.violations.append(f"{id_} was terminated at {self._clock.now:.0f} while it ran a job")
            machine.ended = True

    def _boot(self, intent: Intent) -> Machine:
        now, chance = self._clock.now, self.rng
        boots_at = None if self.strikes("never_boots") else now + 60.0 * chance.lognormvariate(0.0, 0.3)
        hidden_until = now + chance.uniform(0.0, 8.0)
        id_ = f"i-{len(self.machines):04d}"
        version = intent.request.arguments["version"]
        self.machines[id_] = Machine(id_, intent.token, intent.request.pool, version, now, boots_at, hidden_until)
        return self.machines[id_]


class FakeCloudFleet:
    """One manager's way to the cloud.

    Args:
        pause: lets time pass while this manager stands still.
        version: of what it launches.
    """

    def __init__(
        self, cloud: FakeCloud, clock: FakeClock, pause: Callable[[float], Awaitable[None]], version: int
    ) -> None:
        self.name = "cloud"
        self.profile = replace(PROFILE, version=version)
        self._cloud = cloud
        self._clock = clock
        self._pause = pause

    def plan(self, count: int, living: Collection[Instance], cooling: Collection[str]) -> list[LaunchRequest]:
        free = [offering for offering in OFFERINGS if offering not in cooling]
        if not free:
            return []
        template = {"version": self.profile.version}
        if len(free) == 1 or count == 1:
            return [LaunchRequest(count, free[0], template)]
        return [LaunchRequest(count - count // 2, free[0], template), LaunchRequest(count // 2, free[1], template)]

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        cloud = self._cloud
        if cloud.strikes("killed_before"):
            raise Killed
        if cloud.strikes("paused"):
            await self._pause(cloud.rng.uniform(6.0, 30.0))
        if cloud.strikes("throttled"):
            raise FleetError(Cause.THROTTLED, "RequestLimitExceeded", "slow down")
        if cloud.strikes("not_sent"):
            raise FleetError(Cause.UNKNOWN, "ConnectTimeoutError", "no answer")
        machines = cloud.run(intent)
        if cloud.strikes("answer_lost"):
            raise FleetError(Cause.UNKNOWN, "ReadTimeoutError", "no answer")
        if cloud.strikes("killed_after"):
            raise Killed
        return [_sighting(machine) for machine in machines]

    async def describe(self) -> Sequence[DescribedInstance]:
        if self._cloud.strikes("look_throttled"):
            raise FleetError(Cause.THROTTLED, "RequestLimitExceeded", "slow down")
        if self._cloud.strikes("forgetful") and self._cloud.living:
            self._cloud.rng.choice(self._cloud.living).hidden_until = self._clock.now + 60.0
        return [_sighting(each) for each in self._cloud.machines.values() if self._clock.now >= each.hidden_until]

    async def terminate(self, ids: Sequence[str]) -> Collection[str]:
        if self._cloud.strikes("throttled"):
            raise FleetError(Cause.THROTTLED, "RequestLimitExceeded", "slow down")
        for id_ in ids:
            self._cloud.terminate(id_)
        if self._cloud.strikes("answer_lost"):
            raise FleetError(Cause.UNKNOWN, "ReadTimeoutError", "no answer")
        return ids

    async def close(self) -> None:
        """The instances go on."""


def _sighting(machine: Machine) -> DescribedInstance:
    _, _, market = machine.offering.partition("/")
    return DescribedInstance(
        machine.id,
        machine.launched_at,
        machine.token,
        kind=machine.offering,
        market=market,
        version=machine.version,
        ended=machine.ended,
        interrupted=machine.interrupted,
    )
