"""The lease that lets one manager's loop act. It lies on the queue's first shard, with an epoch that only grows."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue.scripts import script
from jobqueue.shards import Shard
from jobqueue.timestamps import clock_argument

LEASE_SECONDS = 5.0
KEPT_DECISIONS = 200


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who acts.

    Attributes:
        ours: whether it is this candidate.
        epoch: grows whenever the lease changes hands.
        address: host and port of the acting manager.
    """

    ours: bool
    epoch: int
    address: str


class Candidate:
    """One manager that may act.

    Args:
        shard: where the lease lies.
        address: host and port by which operators know this manager.
    """

    def __init__(self, shard: Shard, address: str) -> None:
        self._shard = shard
        self._address = address
        self._name = secrets.token_hex(8)

    async def stand(self, *, now: float | None = None) -> Leadership:
        """Takes the lease where it is free, renews it where it is ours.

        Raises:
            ShardUnavailable: nobody can lead until the shard is back.
        """
        return await self._ask(LEASE_SECONDS, now)

    async def intend(self, epoch: int, decision: str, launches: Sequence[str], *, now: float | None = None) -> bool:
        """Writes down a decision (JSON) and the ids of the workers that it launches, before anything is done.

        Returns:
            False where the lease is not this candidate's any more, so that nothing may be done.

        Raises:
            ShardUnavailable: nothing may be done either.
        """
        arguments: tuple[str | int, ...] = (
            *(clock_argument(now), self._name, epoch, decision, KEPT_DECISIONS),
            *launches,
        )
        return bool(await self._shard.run(script("intend"), *arguments, replicate=True))

    async def resign(self) -> None:
        """Gives the lease up, so that the other takes over at once.

        Raises:
            ShardUnavailable: it runs out by itself.
        """
        await self._ask(0.0, None)

    async def _ask(self, lease_seconds: float, now: float | None) -> Leadership:
        ours, epoch, address = await self._shard.run(
            script("lead"), clock_argument(now), self._name, self._address, f"{lease_seconds:g}", replicate=True
        )
        return Leadership(bool(ours), int(epoch), address.decode())
