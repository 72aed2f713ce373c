"""All slots of a worker, as one."""

from collections.abc import Iterator, Sequence
from time import monotonic

from jobqueue.model import ClaimedJob
from worker_node.slot import Slot


class Slots:
    """The slots, and where each job is. Iterates over the slots."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = tuple(slots)

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def busy(self) -> bool:
        """Whether any job is here."""
        return any(slot.busy for slot in self._slots)

    @property
    def running(self) -> int:
        """How many jobs run at this moment."""
        return sum(slot.running() is not None for slot in self._slots)

    def room(self) -> int:
        """How many jobs they take at this moment."""
        now = monotonic()
        return sum(slot.room(now) for slot in self._slots)

    def hand_over(self, jobs: Sequence[ClaimedJob]) -> Sequence[ClaimedJob]:
        """Spreads jobs evenly over the slots that have room.

        Returns:
            the jobs that found none.
        """
        now, left = monotonic(), list(jobs)
        # The fullest first: what is beyond their share goes to those after them.
        with_room = sorted(((slot.room(now), slot) for slot in self._slots), key=lambda pair: pair[0])
        for position, (room, slot) in enumerate(with_room):
            share = min(room, -(-len(left) // (len(with_room) - position)))
            if share > 0:
                slot.submit(left[:share], now)
                del left[:share]
        return left
