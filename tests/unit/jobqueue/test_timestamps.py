"""Timestamps as RQ writes them."""

import time
from datetime import UTC, datetime

import pytest
from rq.utils import utcformat, utcparse

from jobqueue.timestamps import clock_argument, iso

TIMES = [0.0, 1.5, 1_700_000_000.0, 1_900_000_000.123456, 951_782_400.000001]


@pytest.mark.parametrize("now", TIMES)
def test_timestamps_match_rqs(now: float) -> None:
    moment = datetime.fromtimestamp(now, UTC)
    assert iso(now) == utcformat(moment)
    assert utcparse(iso(now)).replace(tzinfo=UTC) == moment


def test_none_is_the_current_time() -> None:
    before = time.time()
    written = utcparse(iso(None)).replace(tzinfo=UTC).timestamp()
    assert before - 0.001 <= written <= time.time() + 0.001


def test_scripts_use_redis_clock_unless_a_time_is_given() -> None:
    assert clock_argument(None) == ""
    assert [float(clock_argument(now)) for now in TIMES] == TIMES
