"""What has changed is told of the last minutes, and counts are compared only with those that they have grown from."""

from jobqueue.inspection.counters import FunctionCounts, ShardCounts
from manager.dashboard.earlier_counts import INTERVAL_SECONDS, KEPT_SECONDS, EarlierCounts

NOW = 1_800_000_000.0


def counts(enqueued: int) -> ShardCounts:
    return ShardCounts(functions=FunctionCounts(enqueued={"pay": enqueued}))


def test_counts_are_compared_with_those_of_some_minutes_ago_at_most() -> None:
    earlier, first, second = EarlierCounts(), counts(1), counts(2)
    assert earlier.before(NOW, first) is None
    assert earlier.before(NOW + INTERVAL_SECONDS, second) is first
    assert earlier.before(NOW + KEPT_SECONDS, counts(3)) is first
    assert earlier.before(NOW + KEPT_SECONDS + 1, counts(4)) is second


def test_not_all_counts_are_kept() -> None:
    earlier = EarlierCounts()
    earlier.before(NOW, counts(1))
    for second in range(1, 20):
        earlier.before(NOW + second / 4, counts(1))
    assert len(earlier._kept) == 1


def test_counts_that_were_deleted_meanwhile_are_not_compared_with() -> None:
    earlier, anew = EarlierCounts(), counts(1)
    earlier.before(NOW, counts(7))
    assert earlier.before(NOW + 1, anew) is None
    assert earlier.before(NOW + 2, counts(8)) is anew
