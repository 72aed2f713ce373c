"""Leader election: a lease in Redis picks one manager, such as the one whose scaler acts, with an epoch that fences its
writes.

The lease is stored on the queue's first shard. The epoch grows whenever the lease changes hands.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import integer_of, number_of, text_of
from jobqueue.timestamps import clock_argument

LEADER_LEASE_SECONDS = 5.0
"""Time after which another manager can take over from a leader that stopped renewing."""
MAX_LEASE_SECONDS = 60.0
"""An end that lies further ahead is a mistake, or Redis' clock has stepped back: `acquire_lease.lua` calls it free."""
LEASE_TRUSTED_SECONDS = 4.0
"""How long after the request the holder relies on its lease. Shorter than the lease: a call that starts later could
reach the fleet after another manager has become the leader."""


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who leads.

    Attributes:
        is_leader: whether the asking manager leads.
        epoch: fencing epoch; it grows whenever the lease changes hands.
        address: host and port of the leader.
    """

    is_leader: bool
    epoch: int
    address: str


class LeaderElector:
    """One manager's candidacy for the lease.

    Args:
        shard: the shard that stores the lease.
        address: host and port that identify this manager to operators.
        clock: monotonic seconds.
        duty: what the lease is for.

    Attributes:
        name: unique name of this candidate; a restarted manager gets a new one.
    """

    def __init__(
        self,
        shard: Shard,
        address: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        duty: str = "scaler:leader",
    ) -> None:
        self._duty = duty
        self._shard = shard
        self._address = address
        self._clock = clock
        self._held_since = float("-inf")
        self.name = secrets.token_hex(8)

    async def acquire(self, *, now: float | None = None) -> Leadership:
        """Acquire the lease if it is free, or renew it if this manager holds it.

        Raises:
            ShardUnavailable: no manager can lead until the shard is back.
        """
        requested_at = self._clock()
        leadership = await self._request(LEADER_LEASE_SECONDS, now)
        self._held_since = requested_at if leadership.is_leader else float("-inf")
        return leadership

    @property
    def holds_lease(self) -> bool:
        """Whether no other manager can lead yet, because the lease was renewed within `LEASE_TRUSTED_SECONDS`."""
        return self._clock() < self._held_since + LEASE_TRUSTED_SECONDS

    async def release(self) -> None:
        """Release the lease, so that another manager can take over at once.

        Raises:
            ShardUnavailable: the lease expires on its own.
        """
        await self._request(0.0, None)

    async def _request(self, lease_seconds: float, now: float | None) -> Leadership:
        is_leader, epoch, address = await self._shard.run(
            script("acquire_lease"),
            clock_argument(now),
            self.name,
            self._address,
            f"{lease_seconds:g}",
            self._duty,
            replicate=True,
        )
        return Leadership(bool(is_leader), int(epoch), text_of(address))


async def read_leadership(shard: Shard) -> Leadership | None:
    """Return who leads, on any manager; None if no manager leads.

    Raises:
        ShardUnavailable: the first shard is unavailable.
    """
    stored, (seconds, _) = await shard.execute(
        ("HMGET", keys.scaler(shard.prefix, "leader"), "until", "epoch", "address"),
        ("TIME",),
        tolerate_wrong_types=True,
    )
    until, epoch, address = stored or (None, None, None)
    if not 0.0 < (number_of(until) or 0.0) - int(seconds) <= MAX_LEASE_SECONDS:
        return None
    return Leadership(False, integer_of(epoch), text_of(address or b""))
