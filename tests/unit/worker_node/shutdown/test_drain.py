"""Whether a worker drains, why, and until when."""

import math

import pytest

from worker_node.shutdown.drain import SPOT_MARGIN_SECONDS, Drain


def test_the_first_reason_of_a_drain_counts() -> None:
    drain = Drain()
    drain.start_for_spot(120)
    drain.start(30, "signal")
    assert drain.started.is_set()
    assert (drain.reason, drain.interruption) == ("spot", "spot")


def test_a_drain_without_a_deadline_takes_the_first_that_is_set() -> None:
    drain = Drain()
    drain.start(math.inf, "drain_command")
    assert drain.remaining_seconds == math.inf
    drain.start(30, "signal")
    assert drain.remaining_seconds == pytest.approx(30, abs=1)


def test_a_second_deadline_means_stop_at_once() -> None:
    drain = Drain()
    drain.start(60, "signal")
    drain.start(60, "signal")
    assert drain.remaining_seconds <= 0


def test_of_a_spot_notice_and_a_signal_the_earlier_deadline_counts() -> None:
    for spot_seconds, grace_seconds, expected in ((120, 30, 30), (SPOT_MARGIN_SECONDS + 10, 30, 10)):
        drain = Drain()
        drain.start(grace_seconds, "signal")
        drain.start_for_spot(spot_seconds)
        assert drain.remaining_seconds == pytest.approx(expected, abs=1)


def test_a_rebalance_recommendation_starts_no_drain_and_yields_to_a_spot_notice() -> None:
    drain = Drain()
    drain.note_rebalance()
    assert drain.interruption == "rebalance"
    assert not drain.started.is_set()
    drain.start_for_spot(120)
    drain.note_rebalance()
    assert drain.interruption == "spot"
