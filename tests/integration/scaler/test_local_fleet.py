"""Workers as processes of this machine."""

from collections.abc import AsyncIterator

import pytest

from jobqueue.shards import Shard
from jobqueue.workers import WorkerView, list_workers
from scaler.local import LocalFleet
from tests.processes import is_alive
from tests.waiting import until, until_async


@pytest.fixture
async def fleet(redis_url: str) -> AsyncIterator[LocalFleet]:
    fleet = LocalFleet(redis_url, slots=2)
    yield fleet
    await fleet.close()


async def _arrived(shard: Shard, count: int) -> list[WorkerView]:
    async def enough() -> list[WorkerView]:
        workers = await list_workers(shard)
        return workers if len(workers) == count else []

    return await until_async(enough, 20.0, wanted=f"{count} registered workers")


async def test_launched_workers_register_with_their_fleet_and_id_once(shard: Shard, fleet: LocalFleet) -> None:
    await fleet.launch(["i-1", "i-2"])
    await fleet.launch(["i-1"])
    workers = await _arrived(shard, 2)
    assert {worker.instance_id for worker in workers} == {"i-1", "i-2"}
    assert {(worker.fleet, worker.slots) for worker in workers} == {(fleet.name, 2)}


async def test_a_discarded_worker_is_ended(shard: Shard, fleet: LocalFleet) -> None:
    await fleet.launch(["i-1"])
    (worker,) = await _arrived(shard, 1)
    await fleet.discard(["i-1", "unknown"])
    assert not is_alive(worker.pid)


async def test_closing_drains_every_worker(shard: Shard, redis_url: str) -> None:
    fleet = LocalFleet(redis_url)
    await fleet.launch(["i-1"])
    (worker,) = await _arrived(shard, 1)
    await fleet.close()
    until(lambda: not is_alive(worker.pid), 5.0)
    assert await list_workers(shard) == []
