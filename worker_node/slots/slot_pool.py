"""Slot pool: all slots of a worker. It decides how many jobs to claim and spreads them over the slots.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

from collections.abc import Iterator, Sequence
from time import monotonic

from jobqueue.claimed_job import ClaimedJob
from worker_node.slots.slot import Slot
from worker_node.slots.slot_events import RunningJob


class SlotPool:
    """The slots of a worker, in order."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = tuple(slots)

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def busy(self) -> bool:
        """Whether any slot holds a job."""
        return any(slot.busy for slot in self._slots)

    @property
    def running_count(self) -> int:
        """How many jobs are running at this moment."""
        return len(self.running_jobs)

    @property
    def running_jobs(self) -> Sequence[RunningJob]:
        """The jobs that are running at this moment."""
        return [running for slot in self._slots if (running := slot.running()) is not None]

    def jobs_wanted(self) -> int:
        """Return how many jobs to claim: 0 until one slot is running low, then enough to refill all in one call."""
        now = monotonic()
        wanted = [(slot.jobs_wanted(now), slot) for slot in self._slots]
        return sum(jobs for jobs, _ in wanted) if any(jobs and slot.is_running_low for jobs, slot in wanted) else 0

    def assign(self, jobs: Sequence[ClaimedJob]) -> Sequence[ClaimedJob]:
        """Spread jobs evenly over the slots that can take some.

        Returns:
            the jobs that no slot could take.
        """
        now, left = monotonic(), list(jobs)
        _spread(left, [(slot.jobs_wanted(now), slot) for slot in self._slots], now)
        if left:
            # More jobs than wanted can arrive: several shards were asked at once, or jobs have become slower since.
            _spread(left, [(slot.max_accept(now), slot) for slot in self._slots], now)
        return left


def _spread(left: list[ClaimedJob], places: Sequence[tuple[int, Slot]], now: float) -> None:
    # The slot with the fewest places comes first: what it cannot take of its share goes to the slots after it.
    ordered = sorted(places, key=lambda pair: pair[0])
    for position, (free, slot) in enumerate(ordered):
        share = min(free, -(-len(left) // (len(ordered) - position)))
        if share > 0:
            slot.assign(left[:share], now)
            del left[:share]
