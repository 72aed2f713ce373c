"""Reservation of free slots: shares them among the shards' claim loops, so that no shard waits long for another.

Hot path: see benchmarks/README.md#what-limits-each-figure (`cluster_cpu`).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

RESERVATION_TIMEOUT_SECONDS = 0.1
"""A claim that takes longer loses its reservation, because its Redis may be unavailable."""
SHARD_AFFINITY_SECONDS = 0.05
"""For this long, claims on one shard come before those on others: the shard's master handles them, and the finishes of
the jobs before, with everything that they touch still in its processor's cache."""


@dataclass(eq=False, slots=True)
class Reservation:
    """Capacity for `jobs` jobs, reserved while they are being claimed."""

    jobs: int
    timeout: asyncio.TimerHandle | None = None


@dataclass(eq=False, slots=True)
class _Wait:
    shard_index: int
    turn: asyncio.Future[Reservation]


class Capacity:
    """Hands out the slots' free capacity: for `SHARD_AFFINITY_SECONDS` to one shard, then to the one waiting longest.

    Args:
        jobs_wanted: returns how many jobs the slots want at this moment.
        max_batch: the maximum number of jobs in one claim.
        clock: monotonic, in seconds.
    """

    def __init__(
        self, jobs_wanted: Callable[[], int], max_batch: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._jobs_wanted = jobs_wanted
        self._max_batch = max_batch
        self._clock = clock
        self._reserved = 0
        self._sharing = False
        self._waiting: deque[_Wait] = deque()
        self._served = -1
        self._served_until = 0.0

    @property
    def has_unreserved(self) -> bool:
        """Whether the slots want jobs that no claim has reserved."""
        return self._jobs_wanted() > self._reserved

    async def reserve(self, shard_index: int) -> Reservation:
        """Wait for free capacity and for the shard's turn."""
        turn: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Wait(shard_index, turn))
        self.notify()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(turn.result())
            raise

    def release(self, reservation: Reservation) -> None:
        """End a reservation: the claimed jobs are in the slots now, or the claim takes too long. Can be repeated."""
        if reservation.timeout is not None:
            reservation.timeout.cancel()
            reservation.timeout = None
            self._reserved -= reservation.jobs
            self.notify()

    def notify(self) -> None:
        """Note that capacity may have become free; hand it out once all events of this moment have been handled."""
        if not self._sharing:
            self._sharing = True
            asyncio.get_running_loop().call_soon(self._share)

    def _share(self) -> None:
        self._sharing = False
        while (wait := self._next()) is not None:
            wanted = self._jobs_wanted()
            free = wanted - self._reserved
            # While one claim is in flight, start another only if at least half of the capacity is still free.
            if free <= 0 or free < wanted / 2:
                return
            reservation = Reservation(min(free, self._max_batch))
            self._reserved += reservation.jobs
            reservation.timeout = asyncio.get_running_loop().call_later(
                RESERVATION_TIMEOUT_SECONDS, self.release, reservation
            )
            self._waiting.remove(wait)
            self._serve(wait.shard_index)
            wait.turn.set_result(reservation)

    def _next(self) -> _Wait | None:
        while self._waiting and self._waiting[0].turn.done():
            self._waiting.popleft()  # Cancelled.
        if self._clock() < self._served_until:
            for wait in self._waiting:
                if wait.shard_index == self._served and not wait.turn.done():
                    return wait
        return self._waiting[0] if self._waiting else None

    def _serve(self, shard_index: int) -> None:
        now = self._clock()
        if shard_index != self._served or now >= self._served_until:
            self._served, self._served_until = shard_index, now + SHARD_AFFINITY_SECONDS
