"""The hold factor, learned from idle gaps."""

from scaler.learn.idle_gaps import IdleGaps


def _learned(*gaps: float) -> float:
    """Return the hold factor after these gaps of a single worker, in break-evens."""
    learned = IdleGaps()
    for gap in gaps:
        learned.add(gap)
    return learned.cheapest(learned)


def test_at_first_a_worker_is_kept_for_one_break_even() -> None:
    assert _learned() == 1.0


def test_one_long_gap_does_not_yet_say_that_workers_go_at_once() -> None:
    assert 0.1 < _learned(20.0) < 1.0


def test_after_ten_long_gaps_a_worker_goes_almost_at_once() -> None:
    """A hold factor of 0.1 would still cost twenty seconds of idling each time."""
    assert _learned(*[20.0] * 10) <= 0.02


def test_gaps_that_are_just_bridged_keep_the_worker() -> None:
    assert _learned(*[0.4] * 10, *[20.0] * 2) == 0.45
