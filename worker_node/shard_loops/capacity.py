"""Shares the slots' room among the shards' feeders, in turn, so that no shard's jobs wait long behind another's."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

RESERVATION_TIMEOUT_SECONDS = 0.1
"""After this the room that a claim asks for is given to others too: its Redis may be away."""
SHARD_AFFINITY_SECONDS = 0.05
"""So long one shard's claims go before the others': its master then does the next one, and the finishes that belong to
the last ones, with everything that they touch still in its processor's cache."""


@dataclass(eq=False, slots=True)
class Reservation:
    """Room for `jobs` jobs, held while they are being claimed."""

    jobs: int
    timeout: asyncio.TimerHandle | None = None


@dataclass(eq=False, slots=True)
class _Wait:
    shard_index: int
    turn: asyncio.Future[Reservation]


class Capacity:
    """Hands out room: for a moment to one shard, then to whichever has waited longest.

    Args:
        room: how many jobs the slots take at this moment.
        max_batch: how many jobs one claim may ask for.
        clock: seconds, monotonic.
    """

    def __init__(
        self, jobs_wanted: Callable[[], int], max_batch: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._room = jobs_wanted
        self._max_batch = max_batch
        self._clock = clock
        self._reserved = 0
        self._sharing = False
        self._waiting: deque[_Wait] = deque()
        self._served = -1
        self._served_until = 0.0

    @property
    def has_room(self) -> bool:
        """Whether a job that is claimed now could begin."""
        return self._room() > self._reserved

    async def reserve(self, shard_index: int) -> Reservation:
        """Waits for room, and for the shard's turn."""
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
        """The claim is over, or takes too long: what it got is with the slots now."""
        if reservation.timeout is not None:
            reservation.timeout.cancel()
            reservation.timeout = None
            self._reserved -= reservation.jobs
            self.notify()

    def notify(self) -> None:
        """Says that there may be room: what this moment brings goes, together, to whoever has waited longest."""
        if not self._sharing:
            self._sharing = True
            asyncio.get_running_loop().call_soon(self._share)

    def _share(self) -> None:
        self._sharing = False
        while (wait := self._next()) is not None:
            room = self._room()
            free = room - self._reserved
            # What is left beside a claim that is under way is worth a claim of its own only where it is as much.
            if free <= 0 or free < room / 2:
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
            self._waiting.popleft()  # Given up.
        if self._clock() < self._served_until:
            for wait in self._waiting:
                if wait.shard_index == self._served and not wait.turn.done():
                    return wait
        return self._waiting[0] if self._waiting else None

    def _serve(self, shard_index: int) -> None:
        now = self._clock()
        if shard_index != self._served or now >= self._served_until:
            self._served, self._served_until = shard_index, now + SHARD_AFFINITY_SECONDS
