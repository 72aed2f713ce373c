"""Shares the slots' room among the shards' feeders, in turn, so that no shard's jobs wait behind another's."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

LAPSE_SECONDS = 0.1
"""After this the room that a claim asks for is given to others too: its Redis may be away."""


@dataclass(eq=False, slots=True)
class Reservation:
    """Room for `jobs` jobs, held while they are being claimed."""

    jobs: int
    lapse: asyncio.TimerHandle | None = None


class Capacity:
    """Hands out room, first come, first served.

    Args:
        room: how many jobs the slots take at this moment.
        max_batch: how many jobs one claim may ask for.
    """

    def __init__(self, room: Callable[[], int], max_batch: int) -> None:
        self._room = room
        self._max_batch = max_batch
        self._reserved = 0
        self._sharing = False
        self._waiting: deque[asyncio.Future[Reservation]] = deque()

    @property
    def has_room(self) -> bool:
        """Whether a job that is claimed now could begin."""
        return self._room() > self._reserved

    async def reserve(self) -> Reservation:
        """Waits for room, and for one's turn."""
        turn: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self.changed()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.settle(turn.result())
            raise

    def settle(self, reservation: Reservation) -> None:
        """The claim is over, or takes too long: what it got is with the slots now."""
        if reservation.lapse is not None:
            reservation.lapse.cancel()
            reservation.lapse = None
            self._reserved -= reservation.jobs
            self.changed()

    def changed(self) -> None:
        """Says that there may be room: what this moment brings goes, together, to whoever has waited longest."""
        if not self._sharing:
            self._sharing = True
            asyncio.get_running_loop().call_soon(self._share)

    def _share(self) -> None:
        self._sharing = False
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()  # Given up.
                continue
            room = self._room()
            free = room - self._reserved
            # What is left beside a claim that is under way is worth a claim of its own only where it is as much.
            if free <= 0 or free < room / 2:
                return
            reservation = Reservation(min(free, self._max_batch))
            self._reserved += reservation.jobs
            reservation.lapse = asyncio.get_running_loop().call_later(LAPSE_SECONDS, self.settle, reservation)
            self._waiting.popleft().set_result(reservation)
