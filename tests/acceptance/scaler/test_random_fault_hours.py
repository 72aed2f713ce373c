"""Whatever goes wrong in an hour, all jobs are done, limits hold, no busy worker is ended, and nothing is left.

`WORKMANAGER_TEST_HOURS=300` plays so many. Each is named by its seed, and the same one goes the same way again.
"""

import asyncio
import os

import pytest

from jobqueue.sharding.shards import Shards
from tests.acceptance.scaler.random_fault_hour import RandomFaultHour
from tests.fake_clock import FakeClock, use_clock
from workmanager.local.valkey import ValkeyServer

HOURS = int(os.environ.get("WORKMANAGER_TEST_HOURS", "20"))
TOGETHER = 5
"""Played at the same time, each in a database of its own, so that one computes while another waits for Redis."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, HOURS, TOGETHER))
async def test_hours_of_faults(shared_server: ValkeyServer, redis_url: str, first: int) -> None:
    seeds = range(first, min(first + TOGETHER, HOURS))
    played = await asyncio.gather(
        *(_play(f"redis://127.0.0.1:{shared_server.port}/{seed % TOGETHER}", seed) for seed in seeds)
    )
    assert {seed: wrongs for seed, (wrongs, _) in zip(seeds, played, strict=True) if wrongs} == {}
    assert len(seeds) < TOGETHER or any(renewals for _, renewals in played)


async def _play(redis_url: str, seed: int) -> tuple[list[str], int]:
    """What went wrong, and how many decisions were about workers of the earlier version."""
    clock = FakeClock()
    shards = use_clock(await Shards.connect(redis_url), clock)
    hour = RandomFaultHour(shards, clock, seed)
    try:
        await hour.play()
        undone, renewals = await hour.jobs_undone(), await hour.renewals()
    finally:
        await shards.close()
    wrongs = list(hour.cloud.violations)
    if undone:
        wrongs.append(f"{undone} of {len(hour.seconds_of)} jobs are not done")
    wrongs += [f"{machine.id} still lives" for machine in hour.cloud.living]
    if not hour.cloud.machines:
        wrongs.append("nothing was ever launched")
    return wrongs, renewals
