"""No instant is run twice, and none is lost within its catch-up, whatever managers, answers and clocks do in a year.

`WORKMANAGER_TEST_SCHEDULE_SEEDS=1:100` plays so many years, each with the faults of its seed, and
`WORKMANAGER_TEST_SCHEDULE_DAYS=61` whole ones: so many days around each change of the clock in three time zones.
"""

import os
from random import Random

import pytest

from jobqueue.sharding.shards import Shards
from tests.integration.manager.schedules.random_year import RandomYear

FIRST_SEED, LAST_SEED = map(int, os.environ.get("WORKMANAGER_TEST_SCHEDULE_SEEDS", "1:1").split(":"))
DAYS = float(os.environ.get("WORKMANAGER_TEST_SCHEDULE_DAYS", "1"))


@pytest.mark.timeout(300 + 60 * DAYS)
@pytest.mark.parametrize("seed", range(FIRST_SEED, LAST_SEED + 1))
async def test_every_instant_runs_once(redis_url: str, seed: int) -> None:
    shards = await Shards.connect(redis_url)
    try:
        year = RandomYear(shards, Random(seed))
        await year.run(DAYS)
    finally:
        await shards.close()
    assert year.violations == []
    assert year.runs > 100
