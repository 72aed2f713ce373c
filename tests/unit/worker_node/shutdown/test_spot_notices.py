"""What a notice of EC2 means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from worker_node.shutdown.spot_notices import parse_termination_time

NOW = datetime(2026, 1, 31, 8, 20, tzinfo=UTC)


def test_a_spot_notice_names_the_end_of_its_instance() -> None:
    assert parse_termination_time('{"action": "terminate", "time": "2026-01-31T08:22:00Z"}', NOW) == NOW + timedelta(
        minutes=2
    )


@pytest.mark.parametrize("notice", ["", "terminate", "[]", "{}", '{"time": 7}', '{"time": "soon"}'])
def test_a_notice_that_cannot_be_read_is_one_of_two_minutes(notice: str) -> None:
    assert parse_termination_time(notice, NOW) == NOW + timedelta(minutes=2)
