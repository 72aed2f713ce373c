"""All slots of a worker, as one."""

from collections.abc import Iterator, Sequence
from time import monotonic

from jobqueue.model import ClaimedJob
from worker_node.slots.slot import Slot


class SlotPool:
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
    def running_count(self) -> int:
        """How many jobs run at this moment."""
        return sum(slot.running() is not None for slot in self._slots)

    def jobs_wanted(self) -> int:
        """How many jobs to ask for: once one slot is low all are filled up, so that they share the trip."""
        now = monotonic()
        rooms = [(slot.jobs_wanted(now), slot) for slot in self._slots]
        return sum(free for free, _ in rooms) if any(free and slot.is_running_low for free, slot in rooms) else 0

    def assign(self, jobs: Sequence[ClaimedJob]) -> Sequence[ClaimedJob]:
        """Spreads jobs evenly over the slots that have room.

        Returns:
            the jobs that found none.
        """
        now, left = monotonic(), list(jobs)
        _spread(left, [(slot.jobs_wanted(now), slot) for slot in self._slots], now)
        if left:
            # More can come than the slots ask for by now: several shards were asked at a time, or jobs became slower.
            _spread(left, [(slot.max_accept(now), slot) for slot in self._slots], now)
        return left


def _spread(left: list[ClaimedJob], places: Sequence[tuple[int, Slot]], now: float) -> None:
    # The fullest first: what is beyond their share goes to those after them.
    ordered = sorted(places, key=lambda pair: pair[0])
    for position, (free, slot) in enumerate(ordered):
        share = min(free, -(-len(left) // (len(ordered) - position)))
        if share > 0:
            slot.assign(left[:share], now)
            del left[:share]
