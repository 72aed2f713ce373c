"""Renewal of a worker's job leases on one shard."""

from collections.abc import Callable, Sequence

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.leases import LeaseUpdate, extend
from jobqueue.sharding.shard import Shard

MAX_LEASES_PER_CALL = 1000


class LeaseRenewer:
    """Renews the leases that a worker holds on one shard.

    Args:
        held_leases: returns the leases on the shard with that index.
        on_lost: receives jobs that no longer belong to this worker.
        on_cancelled: receives jobs that were cancelled.
    """

    def __init__(
        self,
        shard: Shard,
        worker: str,
        *,
        lease_seconds: float,
        held_leases: Callable[[int], Sequence[LeaseUpdate]],
        on_lost: Callable[[Sequence[ClaimedJob]], None],
        on_cancelled: Callable[[Sequence[ClaimedJob]], None],
    ) -> None:
        self._shard = shard
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._held_leases = held_leases
        self._on_lost = on_lost
        self._on_cancelled = on_cancelled

    @property
    def interval_seconds(self) -> float:
        """Time between two renewals."""
        return self._lease_seconds / 4

    async def renew(self) -> None:
        """Renew all leases on the shard.

        Raises:
            ShardUnavailable: try again.
        """
        updates = self._held_leases(self._shard.index)
        for start in range(0, len(updates), MAX_LEASES_PER_CALL):
            some = updates[start : start + MAX_LEASES_PER_CALL]
            extension = await extend(self._shard, self._worker, some, lease_seconds=self._lease_seconds)
            if extension.lost:
                self._on_lost(extension.lost)
            if extension.cancelled:
                self._on_cancelled([update.job for update in some if update.job.id in extension.cancelled])
