"""Whether a worker leaves, why, and by when."""

from __future__ import annotations

import math

import pytest

from worker_node.shutdown.drain import SPOT_MARGIN_SECONDS, Drain


def test_the_first_reason_stands() -> None:
    departure = Drain()
    departure.start_for_spot(120)
    departure.start(30, "signal")
    assert departure.started.is_set()
    assert (departure.reason, departure.interruption) == ("spot", "spot")


def test_a_drain_by_message_has_no_limit_until_one_is_set() -> None:
    departure = Drain()
    departure.start(math.inf, "drain_command")
    assert departure.remaining_seconds == math.inf
    departure.start(30, "signal")
    assert departure.remaining_seconds == pytest.approx(30, abs=1)


def test_a_limit_that_is_set_again_means_at_once() -> None:
    departure = Drain()
    departure.start(60, "signal")
    departure.start(60, "signal")
    assert departure.remaining_seconds <= 0


def test_a_spot_notice_and_a_signal_leave_the_shorter_of_both_times() -> None:
    for seconds_of_spot, seconds_of_signal, shorter in ((120, 30, 30), (SPOT_MARGIN_SECONDS + 10, 30, 10)):
        departure = Drain()
        departure.start(seconds_of_signal, "signal")
        departure.start_for_spot(seconds_of_spot)
        assert departure.remaining_seconds == pytest.approx(shorter, abs=1)


def test_what_ec2_may_do_begins_nothing_and_is_overruled_by_what_it_does() -> None:
    departure = Drain()
    departure.note_rebalance()
    assert departure.interruption == "rebalance"
    assert not departure.started.is_set()
    departure.start_for_spot(120)
    departure.note_rebalance()
    assert departure.interruption == "spot"
