"""Changes of schedules: what is due stays due, changes that race lose nothing, and a shard that is away is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from jobqueue import keys
from jobqueue.audit import Author
from jobqueue.errors import ShardUnavailable
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.schedule_operations import ScheduleOperations
from manager.schedules.record import Schedule
from manager.schedules.store import MAX_SCHEDULES, Stored
from tests.integration.manager.schedules.schedule_harness import a_schedule
from workmanager.local.valkey_cluster import ValkeyCluster

AUTHOR = Author("env-1", "192.0.2.1", "r")
DUE = 1_700_000_000.0
"""An instant before the machine's time."""


def everybody(_: Stored) -> bool:
    return True


@pytest.fixture
async def shards(redis_url: str) -> AsyncIterator[Shards]:
    connected = await Shards.connect(redis_url)
    yield connected
    await connected.close()


@pytest.fixture
def operations(shards: Shards) -> ScheduleOperations:
    return ScheduleOperations(shards, ShardBreaker())


async def put(operations: ScheduleOperations, schedule: Schedule) -> str:
    return (await operations.put(schedule, AUTHOR, everybody)).outcome


async def make_due(shards: Shards, name: str = "nightly") -> None:
    prefix = shards.of(name).prefix
    await shards.of(name).execute(
        ("HSET", keys.schedule(prefix, name), "next", repr(DUE)), ("ZADD", keys.schedules(prefix), DUE, name)
    )


async def next_of(operations: ScheduleOperations, name: str = "nightly") -> float | None:
    stored, _ = await operations.read(name)
    assert stored is not None
    return stored.progress.next


async def test_what_is_due_still_runs_unless_it_is_to_run_at_other_times(
    shards: Shards, operations: ScheduleOperations
) -> None:
    schedule = a_schedule("nightly", "30 2 * * *")
    assert await put(operations, schedule) == "created"
    await make_due(shards)
    for changed in (
        replace(schedule, overlap="allow"),
        replace(schedule, jitter_seconds=60),
        replace(schedule, max_runs=5),
        replace(schedule, template=schedule.template._replace(queue="other")),
    ):
        assert await put(operations, changed) == "changed"
        assert await next_of(operations) == DUE
    assert await put(operations, a_schedule("nightly", "31 2 * * *")) == "changed"
    assert (await next_of(operations) or 0) > DUE + 86400


async def test_a_resumed_schedule_goes_on_with_the_next_instant(shards: Shards, operations: ScheduleOperations) -> None:
    await put(operations, a_schedule("nightly", "30 2 * * *"))
    await make_due(shards)
    assert await operations.pause("nightly", "", AUTHOR, everybody) is not None
    (score,) = await shards.all[0].execute(("ZSCORE", keys.schedules("rq"), "nightly"))
    assert score == b"inf"
    await operations.resume("nightly", AUTHOR, everybody)
    assert (await next_of(operations) or 0) > DUE + 86400


async def test_changes_at_the_same_time_are_all_made(operations: ScheduleOperations) -> None:
    await put(operations, a_schedule())
    await asyncio.gather(
        operations.pause("nightly", "later", AUTHOR, everybody),
        *(put(operations, a_schedule(jitter_seconds=seconds)) for seconds in (1, 2, 3)),
    )
    stored, _ = await operations.read("nightly")
    assert stored is not None
    assert stored.schedule is not None
    assert stored.progress.pause is not None
    assert stored.schedule.jitter_seconds in (1, 2, 3)


async def test_a_name_that_somebody_else_uses_is_not_taken_over(operations: ScheduleOperations) -> None:
    await put(operations, a_schedule())
    saved = await operations.put(a_schedule(jitter_seconds=1), AUTHOR, lambda _: False)
    assert saved.outcome == "foreign"
    assert await operations.pause("nightly", "", AUTHOR, lambda _: False) is None
    assert not await operations.delete("nightly", AUTHOR, lambda _: False)
    stored, _ = await operations.read("nightly")
    assert stored is not None
    assert stored.schedule == a_schedule()


async def test_there_are_not_more_schedules_than_managers_can_read(
    shards: Shards, operations: ScheduleOperations
) -> None:
    names = [part for number in range(MAX_SCHEDULES) for part in ("inf", f"s{number}")]
    await shards.all[0].execute(("ZADD", keys.schedules("rq"), *names))
    assert await put(operations, a_schedule()) == "full"
    assert (await operations.read("nightly"))[0] is None


async def test_schedules_of_a_shard_that_is_away_are_said_to_be_missing(cluster: ValkeyCluster) -> None:
    shards = await Shards.connect(cluster.url)
    try:
        operations = ScheduleOperations(shards, ShardBreaker())
        names = [f"s{number}" for number in range(12)]
        for name in names:
            await put(operations, a_schedule(name))
        found, unavailable = await operations.all()
        assert ([stored.name for stored in found], unavailable) == (sorted(names), 0)
        away = shards.of("s0")
        breaker = ShardBreaker()
        with pytest.raises(ShardUnavailable), breaker.guard(away):
            raise ShardUnavailable("away", shard_index=away.index)
        found, unavailable = await ScheduleOperations(shards, breaker).all()
        left = [name for name in names if shards.of(name) is not away]
        assert ([stored.name for stored in found], unavailable) == (sorted(left), 1)
    finally:
        await shards.close()
