"""Whatever goes wrong in an hour, all jobs are done, limits hold, no busy worker is ended, and nothing is left.

`WORKMANAGER_TEST_HOURS=300` plays so many; each is named by its seed, and the same one goes the same way again.
"""

import os

import pytest

from jobqueue.shards import Shards
from tests.acceptance.scaler.hour import Hour
from tests.timed import Clock, set_clock

HOURS = int(os.environ.get("WORKMANAGER_TEST_HOURS", "20"))


@pytest.mark.parametrize("seed", range(HOURS))
async def test_an_hour_of_faults(redis_url: str, seed: int) -> None:
    clock = Clock()
    shards = set_clock(await Shards.connect(redis_url), clock)
    hour = Hour(shards, clock, seed)
    try:
        await hour.play()
        assert hour.cloud.wrongs == []
        assert await hour.jobs_done() == len(hour.seconds_of), "every job is done"
        assert hour.cloud.living == [], "nothing is left running"
        assert hour.peak > 0
    finally:
        await shards.close()
