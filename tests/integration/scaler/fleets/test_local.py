"""Workers as processes of this machine."""

import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView, list_workers
from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.instances import Intent
from scaler.fleets.local import WORKER_NICE, LocalFleet
from tests.processes import children_of, is_alive
from tests.waiting import until, until_async


@pytest.fixture
async def shard(redis_url: str) -> AsyncIterator[Shard]:
    shards = await Shards.connect(redis_url)
    yield shards.all[0]
    await shards.close()


@pytest.fixture
async def fleet(redis_url: str) -> AsyncIterator[LocalFleet]:
    fleet = LocalFleet(redis_url, slots=2)
    yield fleet
    await fleet.close()


def _intent(fleet: LocalFleet, token: str, count: int) -> Intent:
    (order,) = fleet.plan(count, (), ())
    return Intent(token, time.time(), 1, order)


async def _arrived(shard: Shard, count: int) -> list[WorkerView]:
    async def enough() -> list[WorkerView]:
        workers = await list_workers(shard)
        return workers if len(workers) == count else []

    return await until_async(enough, wanted=f"{count} registered workers")


async def test_launched_workers_register_with_their_fleet_and_id_once(shard: Shard, fleet: LocalFleet) -> None:
    sightings = await fleet.launch(_intent(fleet, "t", 2), repeated=False)
    assert await fleet.launch(_intent(fleet, "t", 2), repeated=True) == sightings
    workers = await _arrived(shard, 2)
    assert {worker.instance_id for worker in workers} == {sighting.id for sighting in sightings}
    assert {worker.name for worker in workers} == {worker.instance_id for worker in workers}
    assert {(worker.fleet, worker.slots) for worker in workers} == {(fleet.name, 2)}
    assert {sighting.id: sighting.ended for sighting in await fleet.describe()} == {"t-0": False, "t-1": False}


async def test_jobs_stand_back_for_managers_and_redis_and_their_agent_a_little_less(
    shard: Shard, fleet: LocalFleet
) -> None:
    await fleet.launch(_intent(fleet, "t", 1), repeated=False)
    (worker,) = await _arrived(shard, 1)

    async def executors() -> list[int]:
        found = children_of(worker.pid)
        return found if [_nice(pid) for pid in found] == [WORKER_NICE, WORKER_NICE] else []

    pids = await until_async(executors, wanted="two executors that stand back")
    assert _nice(worker.pid) == 10

    async def sessions() -> bool:
        return [_session_nice(pid) for pid in (worker.pid, *pids)] in (["10", "15", "15"], ["none", "none", "none"])

    await until_async(sessions, wanted="sessions that stand back, where the kernel knows them")


def _nice(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def _session_nice(pid: int) -> str:
    path = Path(f"/proc/{pid}/autogroup")
    return path.read_text().split()[-1] if path.exists() else "none"


async def test_a_terminated_worker_is_ended(shard: Shard, fleet: LocalFleet) -> None:
    (sighting,) = await fleet.launch(_intent(fleet, "t", 1), repeated=False)
    (worker,) = await _arrived(shard, 1)
    assert set(await fleet.terminate([sighting.id, "unknown"])) == {sighting.id, "unknown"}
    assert not is_alive(worker.pid)
    assert await fleet.describe() == []


async def test_a_process_that_ended_by_itself_is_shown_as_ended(shard: Shard, fleet: LocalFleet) -> None:
    await fleet.launch(_intent(fleet, "t", 1), repeated=False)
    (worker,) = await _arrived(shard, 1)
    os.kill(worker.pid, signal.SIGKILL)

    async def has_ended() -> bool:
        return [sighting.ended for sighting in await fleet.describe()] == [True]

    await until_async(has_ended, wanted="the end to be shown")


async def test_what_another_process_was_about_to_start_is_its_own(redis_url: str, fleet: LocalFleet) -> None:
    other = LocalFleet(redis_url)
    with pytest.raises(FleetError) as caught:
        await fleet.launch(_intent(other, "t", 1), repeated=True)
    assert caught.value.cause is Cause.TOKEN_EXPIRED
    await other.close()


async def test_closing_drains_every_worker(shard: Shard, redis_url: str) -> None:
    fleet = LocalFleet(redis_url)
    await fleet.launch(_intent(fleet, "t", 1), repeated=False)
    (worker,) = await _arrived(shard, 1)
    await fleet.close()
    until(lambda: not is_alive(worker.pid), wanted="the worker's end")
    assert await list_workers(shard) == []
