"""No instant is run twice, and none is lost within its catch-up, whatever managers, answers and clocks do in a year.

`WORKMANAGER_TEST_SCHEDULE_SEEDS=1:100` plays so many years, each with the faults of its seed. Of a year, a day around
each change of the clock in three time zones is played; with `WORKMANAGER_TEST_SCHEDULE_DAYS=7`, so many days, and with
`year`, all of it in one piece (minutes).
"""

import os
from random import Random

import pytest

from jobqueue.sharding.shards import Shards
from tests.integration.manager.schedules.random_year import RandomYear

FIRST_SEED, LAST_SEED = map(int, os.environ.get("WORKMANAGER_TEST_SCHEDULE_SEEDS", "1:1").split(":"))
DAYS = os.environ.get("WORKMANAGER_TEST_SCHEDULE_DAYS", "1")


@pytest.mark.timeout(7200 if DAYS == "year" else 300 + 60 * float(DAYS))
@pytest.mark.parametrize("seed", range(FIRST_SEED, LAST_SEED + 1))
async def test_every_instant_runs_once(redis_url: str, seed: int) -> None:
    shards = await Shards.connect(redis_url)
    try:
        year = RandomYear(shards, Random(seed))
        await (year.run_whole() if DAYS == "year" else year.run(float(DAYS)))
    finally:
        await shards.close()
    assert year.violations == []
    assert year.runs > 100
