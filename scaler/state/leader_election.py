"""The lease that lets one manager's loop act. It lies on the queue's first shard, with an epoch that only grows."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import clock_argument

LEADER_LEASE_SECONDS = 5.0
LEASE_TRUSTED_SECONDS = 4.0
"""How long after it was asked for a lease is trusted without asking: what is begun later may come too late."""


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who acts.

    Attributes:
        ours: whether it is this candidate.
        epoch: grows whenever the lease changes hands.
        address: host and port of the acting manager.
    """

    is_leader: bool
    epoch: int
    address: str


class LeaderElector:
    """One manager that may act.

    Args:
        shard: where the lease lies.
        address: host and port by which operators know this manager.
        clock: seconds that only grow.

    Attributes:
        name: tells it from all others, also from itself after a restart.
    """

    def __init__(self, shard: Shard, address: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._shard = shard
        self._address = address
        self._clock = clock
        self._stood_at = float("-inf")
        self.name = secrets.token_hex(8)

    async def acquire(self, *, now: float | None = None) -> Leadership:
        """Takes the lease where it is free, renews it where it is ours.

        Raises:
            ShardUnavailable: nobody can lead until the shard is back.
        """
        asked_at = self._clock()
        leadership = await self._ask(LEADER_LEASE_SECONDS, now)
        self._stood_at = asked_at if leadership.is_leader else float("-inf")
        return leadership

    @property
    def holds_lease(self) -> bool:
        """Whether nobody else can lead yet: so long after standing the lease has not run out."""
        return self._clock() < self._stood_at + LEASE_TRUSTED_SECONDS

    async def release(self) -> None:
        """Gives the lease up, so that the other takes over at once.

        Raises:
            ShardUnavailable: it runs out by itself.
        """
        await self._ask(0.0, None)

    async def _ask(self, lease_seconds: float, now: float | None) -> Leadership:
        ours, epoch, address = await self._shard.run(
            script("scaler_acquire_lease"),
            clock_argument(now),
            self.name,
            self._address,
            f"{lease_seconds:g}",
            replicate=True,
        )
        return Leadership(bool(ours), int(epoch), address.decode())


async def read_leadership(shard: Shard) -> Leadership | None:
    """Who acts, for whoever wants to know; None where nobody does.

    Raises:
        ShardUnavailable: nothing is known.
    """
    (until, epoch, address), (seconds, _) = await shard.execute(
        ("HMGET", leader_key(shard), "until", "epoch", "address"), ("TIME",)
    )
    if until is None or float(until) <= int(seconds):
        return None
    return Leadership(False, int(epoch), address.decode())


def leader_key(shard: Shard) -> str:
    """Where the lease lies."""
    return keys.scaler(shard.prefix, "leader")
