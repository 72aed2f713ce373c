"""How many jobs wait in each queue, counted a part of the queues at a time: there can be thousands."""

from collections.abc import Collection, Mapping

COUNTED_IN_TURN = 100
"""Queues that are counted each time, besides those that are asked about."""
ASKED_SECONDS = 60.0
"""How long a queue is counted each time after it was asked about."""


class WaitingJobs:
    """What was counted last, and which queues are counted next. Pure.

    New queues and those that were asked about are counted each time, and all others in turn.
    """

    def __init__(self) -> None:
        # In the order in which they were counted.
        self._jobs: dict[str, tuple[int, int]] = {}
        self._asked: dict[str, float] = {}

    def due(self, queues: Collection[str], now: float) -> set[str]:
        """Return which of all queues are to be counted now; what is known of others than these is forgotten."""
        known = self._jobs = {queue: jobs for queue, jobs in self._jobs.items() if queue in queues}
        asked = self._asked = {queue: at for queue, at in self._asked.items() if now - at < ASKED_SECONDS}
        in_turn = [queue for queue in known if queue not in asked][:COUNTED_IN_TURN]
        return {*in_turn, *(queue for queue in queues if queue in asked or queue not in known)}

    def update(self, queued: Mapping[str, int], scheduled: Mapping[str, int]) -> None:
        """Take what was counted, of the same queues."""
        for queue in queued:
            self._jobs.pop(queue, None)
            self._jobs[queue] = queued[queue], scheduled[queue]

    def queued(self, queue: str) -> int:
        """Return how many jobs were queued."""
        return self._jobs.get(queue, (0, 0))[0]

    def ask(self, queue: str, now: float) -> int:
        """Return how many jobs were queued or scheduled, and count the queue each time for a while."""
        self._asked[queue] = now
        return sum(self._jobs.get(queue, (0, 0)))

    def add_one(self, queue: str) -> None:
        """Count one more queued job, until the queue is counted again."""
        queued, scheduled = self._jobs.get(queue, (0, 0))
        self._jobs[queue] = queued + 1, scheduled
