"""The counts of the last minutes, with which the present ones are compared."""

from collections import deque

from jobqueue.inspection.counters import ShardCounts

KEPT_SECONDS = 300.0
INTERVAL_SECONDS = 5.0
"""Between two counts that are kept."""


class EarlierCounts:
    """Keeps some of the counts that it is given."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, ShardCounts]] = deque()

    def before(self, now: float, counts: ShardCounts) -> ShardCounts | None:
        """Return the earliest counts that are kept, which are not older than `KEPT_SECONDS`; None if there are none.

        Args:
            now: Unix time.
            counts: of now, of all shards.
        """
        if self._kept and _enqueued(counts) < _enqueued(self._kept[-1][1]):
            self._kept.clear()  # The counters were deleted.
        while self._kept and self._kept[0][0] < now - KEPT_SECONDS:
            self._kept.popleft()
        before = self._kept[0][1] if self._kept else None
        if not self._kept or now - self._kept[-1][0] >= INTERVAL_SECONDS:
            self._kept.append((now, counts))
        return before

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()


def _enqueued(counts: ShardCounts) -> int:
    return sum(counts.functions.enqueued.values())
