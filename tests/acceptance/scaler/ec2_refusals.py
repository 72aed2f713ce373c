"""EC2's refusals of every class, and the windows of time during which they last."""

import random
from collections.abc import Collection
from dataclasses import dataclass, field

from botocore.exceptions import NoCredentialsError

from scaler.fleets.ec2.error_codes import meaning_of
from scaler.fleets.ec2.errors import to_fleet_error
from scaler.fleets.fleet import Cause, FleetError

LAUNCH, DESCRIBE, TERMINATE = "launch", "describe", "terminate"
POOL_CODES = (
    *("InsufficientInstanceCapacity", "UnfulfillableCapacity", "VcpuLimitExceeded", "SpotMaxPriceTooLow"),
    *("InsufficientFreeAddressesInSubnet", "InvalidSubnetID.NotFound", "InvalidParameterValue", "Unsupported"),
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
)
"""What EC2 says of one capacity pool."""
ACCOUNT_CODES = (
    *("ExpiredToken", "UnauthorizedOperation", "RequestLimitExceeded", "ServiceUnavailable", "InternalError"),
    *("OptInRequired", "SomethingNew"),
)
"""What EC2 says of every call."""
REPEAT_CODES = (*ACCOUNT_CODES, "IdempotentParameterMismatch", "InsufficientInstanceCapacity")


CORES = {"a": 4, "b": 8}
"""Cores of an instance by its type, the first part of its pool."""


def refusal(code: str) -> FleetError:
    """Return the error that the EC2 fleet makes of an error answer."""
    meaning = meaning_of(code, 400)
    return FleetError(meaning.cause, code, "a fault of the test", meaning.advice)


def no_credentials() -> FleetError:
    """Return the error that the EC2 fleet makes when the metadata service gives it no credentials."""
    return to_fleet_error(NoCredentialsError())


def unreadable() -> FleetError:
    """Return the error that the EC2 fleet makes of an answer that is HTML, or cut short."""
    return FleetError(Cause.UNKNOWN, "UnreadableAnswer", "a fault of the test")


@dataclass(slots=True)
class RefusalWindows:
    """Refusals that last for a while.

    Attributes:
        pools: by capacity pool, the code and the time until which it is refused.
        account: by kind of call, the same for the whole account.
        least_version: the managers' role allows launches from this version of the template on.
    """

    pools: dict[str, tuple[str, float]] = field(default_factory=dict)
    account: dict[str, tuple[str, float]] = field(default_factory=dict)
    least_version: int = 0

    def refuse_pool(self, pool: str, rng: random.Random, now: float) -> None:
        """Begin to refuse a pool."""
        self.pools[pool] = rng.choice(POOL_CODES), now + rng.uniform(60.0, 400.0)

    def refuse_account(self, rng: random.Random, now: float) -> None:
        """Begin to refuse some kinds of calls."""
        code, until = rng.choice(ACCOUNT_CODES), now + rng.uniform(20.0, 120.0)
        kinds = [kind for kind in (LAUNCH, DESCRIBE, TERMINATE) if rng.random() < 0.6]
        self.account.update(dict.fromkeys(kinds, (code, until)))

    def raise_if_refused(self, kind: str, now: float) -> None:
        """Raise FleetError if calls of this kind are refused."""
        code, until = self.account.get(kind, ("", 0.0))
        if now < until:
            raise refusal(code)

    def raise_if_pool_refused(self, pool: str, now: float) -> None:
        """Raise FleetError if launches from this pool are refused."""
        code, until = self.pools.get(pool, ("", 0.0))
        if now < until:
            raise refusal(code)

    def raise_if_forbidden(self, version: int) -> None:
        """Raise FleetError if the managers' role does not allow launches from this version of the template."""
        if version < self.least_version:
            raise refusal("UnauthorizedOperation")

    def blocks_launches(self, pools: Collection[str], now: float) -> bool:
        """Whether no launch can succeed now."""
        return now < self.account.get(LAUNCH, ("", 0.0))[1] or all(
            now < self.pools.get(pool, ("", 0.0))[1] for pool in pools
        )


@dataclass(slots=True)
class CoreQuotas:
    """Quotas of cores, one for each market, as EC2 has them:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits and
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html. A change takes effect at once.

    No document was found that says whether a call for several instances gets as many as fit, or none: both happen here.

    Attributes:
        cores: quota by market; none is enough for all workers at all times.
    """

    cores: dict[str, int] = field(default_factory=lambda: {"spot": 64, "on-demand": 32})

    def change(self, rng: random.Random) -> None:
        """Change one quota; 0 is that of a new account's spot market."""
        self.cores[rng.choice(("spot", "on-demand"))] = rng.choice((0, 4, 8, 16, 32, 64))

    def granted(self, pool: str, count: int, living: Collection[str], rng: random.Random) -> int:
        """Return how many of `count` instances can be launched.

        Args:
            living: pools of the instances that exist.

        Raises:
            FleetError: none.
        """
        free = self._free(pool, living)
        fitting = min(count, free // CORES[pool.partition("/")[0]])
        if fitting < 1 or (fitting < count and rng.random() < 0.5):
            raise refusal("MaxSpotInstanceCountExceeded" if pool.endswith("/spot") else "VcpuLimitExceeded")
        return fitting

    def blocks(self, pool: str, living: Collection[str]) -> bool:
        """Whether not even one instance can be launched."""
        return self._free(pool, living) < CORES[pool.partition("/")[0]]

    def _free(self, pool: str, living: Collection[str]) -> int:
        market = pool.partition("/")[2]
        used = sum(CORES[each.partition("/")[0]] for each in living if each.partition("/")[2] == market)
        return self.cores[market] - used
