"""EC2 in memory, on a fake clock: idempotent launches, boots, interruptions, incomplete answers, errors, lost answers.

It checks what the scaler requests: see `FakeCloud.violations`.
"""

import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scaler.fleets.fleet import Cause, FleetError, Profile
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest
from tests.acceptance.scaler.ec2_refusals import (
    ACCOUNT_CODES,
    DESCRIBE,
    LAUNCH,
    POOL_CODES,
    REPEAT_CODES,
    TERMINATE,
    CoreQuotas,
    RefusalWindows,
    no_credentials,
    refusal,
    unreadable,
)
from tests.fake_clock import FakeClock

PROFILE = Profile(
    boot_seconds=90.0,
    boot_timeout_seconds=300.0,
    min_billed_seconds=60.0,
    min_idle_seconds=0.0,
    poll_seconds=5.0,
    idle_poll_seconds=30.0,
)
POOLS = ("a/spot", "b/spot", "a/on-demand")
CALLS_SECONDS, MAX_CALLS = 300.0, 100
"""The scaler makes at most 20 calls a minute, on average over some minutes."""
DISRUPTIONS = frozenset(
    {
        *("killed", "killed_before", "killed_after", "hung", "paused", "throttled", "not_sent", "answer_lost"),
        *("refused", "role_not_known", "metadata_slow", "clock_wrong", "failover"),
    }
)
"""Faults of single moments that can put a launch off."""


class Killed(Exception):
    """The manager that made the call was killed."""


@dataclass(slots=True)
class Machine:
    """An instance.

    Attributes:
        boots_at: when its worker registers; None: never.
        hidden_until: time until which it is not described.
        reclaimed_at: when a spot interruption ends it; None if there is none.
        protected_until: time until which it cannot be terminated.
        is_busy: whether its worker runs a job.
    """

    id: str
    token: str
    pool: str
    version: int
    launched_at: float
    boots_at: float | None
    hidden_until: float
    ended: bool = False
    interrupted: bool = False
    reclaimed_at: float | None = None
    protected_until: float = 0.0
    is_busy: Callable[[], bool] = field(default=lambda: False)


class FakeCloud:
    """All instances of the cloud.

    Args:
        max_instances: limit that the scaler must keep.
        rates: probability of each fault.

    Attributes:
        refusals: what is refused for a while.
        quotas: how many cores there can be.
        disrupted_at: time of the last fault that can put a launch off.
        launched: number of successful calls by capacity pool.
        violations: descriptions of requests that break a guarantee.
        held, fenced: ids of the instances whose workers were held, because they are not needed, and fenced.
        registered_at: returns when the worker of an instance registered; None if it did not.
        faults: number of faults that happened, by name.
    """

    def __init__(self, clock: FakeClock, rng: random.Random, *, max_instances: int, rates: dict[str, float]) -> None:
        self._clock = clock
        self.rng = rng
        self._max_instances = max_instances
        self.rates = rates
        self.machines: dict[str, Machine] = {}
        self.refusals = RefusalWindows()
        self.quotas = CoreQuotas()
        self.disrupted_at = 0.0
        self.launched: Counter[str] = Counter()
        self.violations: list[str] = []
        self.held: set[str] = set()
        self.fenced: set[str] = set()
        self.registered_at: Callable[[str], float | None] = lambda _: None
        self.faults: dict[str, int] = {}
        self._launches: dict[str, tuple[LaunchRequest, list[Machine]]] = {}
        self._called_at: deque[float] = deque()

    @property
    def living(self) -> list[Machine]:
        return [machine for machine in self.machines.values() if not machine.ended]

    def served_seconds(self, id_: str) -> float:
        """Return for how long the worker of an instance has been registered."""
        registered_at = self.registered_at(id_)
        return 0.0 if registered_at is None else self._clock.now - registered_at

    def happens(self, fault: str) -> bool:
        """Decide at random whether a fault happens now, and count it."""
        if self.rng.random() >= self.rates.get(fault, 0.0):
            return False
        self.faults[fault] = self.faults.get(fault, 0) + 1
        if fault in DISRUPTIONS:
            self.disrupted_at = self._clock.now
        return True

    def end_faults(self, rates: dict[str, float]) -> None:
        """End all refusals; from now on, only these faults happen."""
        self.rates = rates
        self.refusals = RefusalWindows()
        self.quotas = CoreQuotas()
        for machine in self.machines.values():
            machine.protected_until = 0.0

    def begin_call(self, kind: str) -> None:
        """Note a call, and raise FleetError if such calls are refused now."""
        now = self._clock.now
        self._called_at.append(now)
        while self._called_at[0] <= now - CALLS_SECONDS:
            self._called_at.popleft()
        if len(self._called_at) == MAX_CALLS + 1:
            self.violations.append(f"{MAX_CALLS + 1} calls within {CALLS_SECONDS:.0f} s, at {now:.0f}")
        self.refusals.raise_if_refused(kind, now)

    def run(self, intent: Intent) -> list[Machine]:
        """Carry out RunInstances."""
        if intent.token in self._launches:
            request, machines = self._launches[intent.token]
            if request != intent.request:
                self.violations.append(f"{intent.token} was repeated with other arguments")
            if self.happens("repeat_refused"):
                raise refusal(self.rng.choice(REPEAT_CODES))
            ended = [machine.ended for machine in machines]
            # No document says which it is if only some have ended.
            if all(ended) or (any(ended) and self.rng.random() < 0.5):
                raise refusal("IdempotentInstanceTerminated")
            self.launched[request.pool] += 1
            return machines
        pool = intent.request.pool
        self.refusals.raise_if_pool_refused(pool, self._clock.now)
        number = self.quotas.granted(pool, intent.request.count, [each.pool for each in self.living], self.rng)
        number = self.rng.randint(1, number) if self.happens("partial") else number
        machines = [self._boot(intent) for _ in range(number)]
        self._launches[intent.token] = (intent.request, machines)
        self.launched[intent.request.pool] += 1
        if len(self.living) > self._max_instances:
            self.violations.append(
                f"{len(self.living)} instances at {self._clock.now:.0f}, more than {self._max_instances}"
            )
        return machines

    def blocks_launches(self) -> bool:
        """Whether no launch can succeed now."""
        living = [each.pool for each in self.living]
        possible = [pool for pool in POOLS if not self.quotas.blocks(pool, living)]
        return not possible or self.refusals.blocks_launches(possible, self._clock.now)

    def terminate(self, id_: str) -> FleetError | None:
        """Carry out TerminateInstances for one instance; return why it cannot be terminated."""
        machine, now = self.machines.get(id_), self._clock.now
        if machine is not None and not machine.ended:
            if machine.is_busy():
                self.violations.append(f"{id_} was terminated at {now:.0f} while it ran a job")
            is_late = now - machine.launched_at > PROFILE.boot_timeout_seconds
            if machine.boots_at is not None and self.registered_at(id_) is None and not is_late:
                self.violations.append(f"{id_} was terminated at {now:.0f} while it booted")
            if now < machine.hidden_until:
                return refusal("InvalidInstanceID.NotFound")
            if now < machine.protected_until:
                return refusal("OperationNotPermitted")
            machine.ended = True
        return None

    def _boot(self, intent: Intent) -> Machine:
        now, rng = self._clock.now, self.rng
        boots_at = None if self.happens("never_boots") else now + 60.0 * rng.lognormvariate(0.0, 0.3)
        hidden_until = now + rng.uniform(0.0, 90.0 if self.happens("described_late") else 8.0)
        protected_until = now + rng.uniform(120.0, 900.0) if self.happens("protected") else 0.0
        id_ = f"i-{len(self.machines):04d}"
        version = intent.request.arguments["version"]
        self.machines[id_] = Machine(
            *(id_, intent.token, intent.request.pool, version, now, boots_at, hidden_until),
            protected_until=protected_until,
        )
        return self.machines[id_]


class FakeCloudFleet:
    """One manager's client of the cloud.

    Args:
        pause: lets time pass while this manager is paused.
        version: template version of the instances that it launches.

    Attributes:
        silent_until: until then, the metadata service gives this manager no credentials.
    """

    def __init__(
        self, cloud: FakeCloud, clock: FakeClock, pause: Callable[[float], Awaitable[None]], version: int
    ) -> None:
        self.name = "cloud"
        self.profile = replace(PROFILE, version=version)
        self._cloud = cloud
        self._clock = clock
        self._pause = pause
        self.silent_until = 0.0

    def plan(
        self,
        count: int,
        living: Collection[Instance],
        cooling: Collection[str],
        pending: Collection[LaunchRequest] = (),
    ) -> list[LaunchRequest]:
        available = [pool for pool in POOLS if pool not in cooling]
        if not available:
            return []
        template = {"version": self.profile.version}
        if len(available) == 1 or count == 1:
            return [LaunchRequest(count, available[0], template)]
        first, second, *_ = available
        return [LaunchRequest(count - count // 2, first, template), LaunchRequest(count // 2, second, template)]

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        cloud = self._cloud
        if cloud.happens("killed_before"):
            raise Killed
        if cloud.happens("paused"):
            await self._pause(cloud.rng.uniform(6.0, 30.0))
        await self._get_credentials()
        cloud.begin_call(LAUNCH)
        cloud.refusals.raise_if_forbidden(intent.request.arguments["version"])
        if cloud.happens("role_not_known"):
            raise refusal("UnauthorizedOperation")
        if cloud.happens("throttled"):
            raise refusal("RequestLimitExceeded")
        if cloud.happens("refused"):
            raise refusal(cloud.rng.choice((*POOL_CODES, *ACCOUNT_CODES)))
        if cloud.happens("not_sent"):
            raise FleetError(Cause.UNKNOWN, "ConnectTimeoutError", "no answer")
        machines = cloud.run(intent)
        if cloud.happens("answer_lost"):
            raise FleetError(Cause.UNKNOWN, "ReadTimeoutError", "no answer")
        if cloud.happens("killed_after"):
            raise Killed
        return [_described(machine) for machine in machines]

    async def describe(self) -> Sequence[DescribedInstance]:
        await self._get_credentials()
        self._cloud.begin_call(DESCRIBE)
        if self._cloud.happens("describe_throttled"):
            raise refusal("RequestLimitExceeded")
        if self._cloud.happens("describe_unreadable"):
            raise unreadable()
        if self._cloud.happens("describe_incomplete") and self._cloud.living:
            self._cloud.rng.choice(self._cloud.living).hidden_until = self._clock.now + 60.0
        return [_described(each) for each in self._cloud.machines.values() if self._clock.now >= each.hidden_until]

    async def terminate(self, ids: Sequence[str]) -> Mapping[str, FleetError | None]:
        await self._get_credentials()
        self._cloud.begin_call(TERMINATE)
        if self._cloud.happens("throttled"):
            raise refusal("RequestLimitExceeded")
        outcomes = {id_: self._cloud.terminate(id_) for id_ in ids}
        if self._cloud.happens("answer_lost"):
            raise FleetError(Cause.UNKNOWN, "ReadTimeoutError", "no answer")
        return outcomes

    async def close(self) -> None:
        """Do nothing: the instances keep running."""

    async def _get_credentials(self) -> None:
        """Ask the metadata service, which can be slow, or silent for a while."""
        if self._cloud.happens("metadata_slow"):
            await self._pause(self._cloud.rng.uniform(2.0, 20.0))
        if self._clock.now < self.silent_until:
            raise no_credentials()


def _described(machine: Machine) -> DescribedInstance:
    _, _, market = machine.pool.partition("/")
    return DescribedInstance(
        machine.id,
        machine.launched_at,
        machine.token,
        kind=machine.pool,
        market=market,
        version=machine.version,
        ended=machine.ended,
        interrupted=machine.interrupted,
    )
