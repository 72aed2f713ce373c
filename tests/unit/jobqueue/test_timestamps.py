"""Times as RQ writes them."""

import time
from datetime import UTC, datetime

import pytest
from rq.utils import utcformat, utcparse

from jobqueue.timestamps import clock_argument, iso

TIMES = [0.0, 1.5, 1_700_000_000.0, 1_900_000_000.123456, 951_782_400.000001]


@pytest.mark.parametrize("now", TIMES)
def test_times_are_rqs_texts(now: float) -> None:
    moment = datetime.fromtimestamp(now, UTC)
    assert iso(now) == utcformat(moment)
    assert utcparse(iso(now)).replace(tzinfo=UTC) == moment


def test_no_time_is_the_present() -> None:
    before = time.time()
    written = utcparse(iso(None)).replace(tzinfo=UTC).timestamp()
    assert before - 0.001 <= written <= time.time() + 0.001


def test_scripts_ask_redis_for_the_time_unless_they_are_given_one() -> None:
    assert clock_argument(None) == ""
    assert [float(clock_argument(now)) for now in TIMES] == TIMES
