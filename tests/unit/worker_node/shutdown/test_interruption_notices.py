"""Parsing of EC2 spot notices."""

from datetime import UTC, datetime, timedelta

import pytest

from worker_node.shutdown.interruption_notices import SPOT_WARNING_SECONDS, parse_termination_time

NOW = datetime(2026, 1, 31, 8, 20, tzinfo=UTC)


def test_a_spot_notice_contains_the_termination_time() -> None:
    end = parse_termination_time('{"action": "terminate", "time": "2026-01-31T08:21:30Z"}', NOW)
    assert end == NOW + timedelta(seconds=90)


@pytest.mark.parametrize("notice", ["", "terminate", "[]", "{}", '{"time": 7}', '{"time": "soon"}'])
def test_an_unreadable_spot_notice_counts_as_one_for_two_minutes(notice: str) -> None:
    assert parse_termination_time(notice, NOW) == NOW + timedelta(seconds=SPOT_WARNING_SECONDS)
