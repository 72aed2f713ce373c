"""Whatever fails in an hour, all jobs finish, limits hold, no busy worker is terminated, and no instance is left.

What EC2 can launch is launched in time, with few calls, and the cause of a failure is told once. No healthy instance is
ended. No worker that is only not needed is drained while a job is queued, or soon after its boot.

`WORKMANAGER_TEST_HOURS=300` runs that many hours. The number of an hour is its seed: the same one runs the same way.
"""

import asyncio
import logging
import os
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from jobqueue.sharding.shards import Shards
from scaler.fleets.fleet import Cause
from tests.acceptance.scaler.random_fault_hour import RandomFaultHour
from tests.fake_clock import FakeClock, use_clock
from workmanager.local.valkey import ValkeyServer

HOURS = int(os.environ.get("WORKMANAGER_TEST_HOURS", "15"))
CONCURRENT_HOURS = 5
"""Hours that run at the same time, each in its own database, so that one computes while another waits for Redis."""


_HOUR: ContextVar[RandomFaultHour] = ContextVar("hour")
"""Each hour runs in its own context."""


class _FailureCollector(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith("event=launch_failed"):
            fields = dict(field.split("=", 1) for field in text.split()[:7] if "=" in field)
            is_of_pool = fields["cause"] in (Cause.CAPACITY, Cause.POOL_REFUSED, Cause.REFUSED)
            _HOUR.get().note_failure(fields["pool"] if is_of_pool else "", fields["error"].rstrip(":"))


@pytest.fixture(autouse=True)
def _collected_failures() -> Iterator[None]:
    collector = _FailureCollector(logging.WARNING)
    log = logging.getLogger("scaler.apply.launcher")
    log.addHandler(collector)
    yield
    log.removeHandler(collector)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, HOURS, CONCURRENT_HOURS))
async def test_hours_of_faults(shared_server: ValkeyServer, redis_url: str, first: int) -> None:
    seeds = range(first, min(first + CONCURRENT_HOURS, HOURS))
    results = await asyncio.gather(
        *(_run(f"redis://127.0.0.1:{shared_server.port}/{seed % CONCURRENT_HOURS}", seed) for seed in seeds)
    )
    assert {seed: violations for seed, (violations, _) in zip(seeds, results, strict=True) if violations} == {}
    assert len(seeds) < CONCURRENT_HOURS or any(update_decisions for _, update_decisions in results)


async def _run(redis_url: str, seed: int) -> tuple[list[str], int]:
    """Return what broke a guarantee, and the number of decisions that replaced workers of the earlier version."""
    clock, redis_clock = FakeClock(), FakeClock()
    shards = use_clock(await Shards.connect(redis_url), redis_clock)
    hour = RandomFaultHour(shards, clock, redis_clock, seed)
    _HOUR.set(hour)
    try:
        await hour.run()
        unfinished, update_decisions = await hour.unfinished_jobs(), await hour.update_decisions()
    finally:
        await shards.close()
    violations = list(hour.cloud.violations)
    if unfinished:
        violations.append(f"{unfinished} of {len(hour.seconds_of)} jobs are not finished")
    violations += [f"{machine.id} still runs" for machine in hour.cloud.living]
    if not hour.cloud.machines:
        violations.append("nothing was ever launched")
    return violations, update_decisions
