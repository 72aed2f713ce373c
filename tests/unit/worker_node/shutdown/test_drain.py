"""Whether a worker leaves, why, and by when."""

from __future__ import annotations

import math

import pytest

from worker_node.shutdown.drain import SPARE_SECONDS, Departure


def test_the_first_reason_stands() -> None:
    departure = Departure()
    departure.begin_for_spot(120)
    departure.begin(30, "signal")
    assert departure.begun.is_set()
    assert (departure.reason, departure.notice) == ("spot", "spot")


def test_a_drain_by_message_has_no_limit_until_one_is_set() -> None:
    departure = Departure()
    departure.begin(math.inf, "told_to_drain")
    assert departure.left_seconds == math.inf
    departure.begin(30, "signal")
    assert departure.left_seconds == pytest.approx(30, abs=1)


def test_a_limit_that_is_set_again_means_at_once() -> None:
    departure = Departure()
    departure.begin(60, "signal")
    departure.begin(60, "signal")
    assert departure.left_seconds <= 0


def test_a_spot_notice_and_a_signal_leave_the_shorter_of_both_times() -> None:
    for seconds_of_spot, seconds_of_signal, shorter in ((120, 30, 30), (SPARE_SECONDS + 10, 30, 10)):
        departure = Departure()
        departure.begin(seconds_of_signal, "signal")
        departure.begin_for_spot(seconds_of_spot)
        assert departure.left_seconds == pytest.approx(shorter, abs=1)


def test_what_ec2_may_do_begins_nothing_and_is_overruled_by_what_it_does() -> None:
    departure = Departure()
    departure.foresee()
    assert departure.notice == "rebalance"
    assert not departure.begun.is_set()
    departure.begin_for_spot(120)
    departure.foresee()
    assert departure.notice == "spot"
