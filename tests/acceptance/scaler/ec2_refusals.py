"""EC2's refusals of every class, and the windows of time during which they last."""

import random
from collections.abc import Collection
from dataclasses import dataclass, field

from scaler.fleets.ec2.error_codes import meaning_of
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


def refusal(code: str) -> FleetError:
    """Return the error that the EC2 fleet makes of an error answer."""
    meaning = meaning_of(code, 400)
    return FleetError(meaning.cause, code, "a fault of the test", meaning.advice)


def unreadable() -> FleetError:
    """Return the error that the EC2 fleet makes of an answer that is HTML, or cut short."""
    return FleetError(Cause.UNKNOWN, "UnreadableAnswer", "a fault of the test")


@dataclass(slots=True)
class RefusalWindows:
    """Refusals that last for a while.

    Attributes:
        pools: by capacity pool, the code and the time until which it is refused.
        account: by kind of call, the same for the whole account.
    """

    pools: dict[str, tuple[str, float]] = field(default_factory=dict)
    account: dict[str, tuple[str, float]] = field(default_factory=dict)

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

    def blocks_launches(self, pools: Collection[str], now: float) -> bool:
        """Whether no launch can succeed now."""
        return now < self.account.get(LAUNCH, ("", 0.0))[1] or all(
            now < self.pools.get(pool, ("", 0.0))[1] for pool in pools
        )
