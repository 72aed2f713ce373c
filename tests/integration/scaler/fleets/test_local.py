"""The local fleet: workers as child processes."""

import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView, list_workers
from processes.settings_file import SECRETS
from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.instances import Intent
from scaler.fleets.local import WORKER_NICE, LocalFleet
from tests.processes import children_of, is_alive
from tests.waiting import until, until_async
from worker_node.priority import agent_niceness

AGENT_NICE = agent_niceness(WORKER_NICE)
EXPECTED_NICE = [str(AGENT_NICE), str(WORKER_NICE), str(WORKER_NICE)]
"""Of the sessions of an agent and its two executors."""
NO_AUTOGROUPS = ["none", "none", "none"]


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
    (request,) = fleet.plan(count, (), ())
    return Intent(token, time.time(), 1, request)


async def _registered(shard: Shard, count: int) -> list[WorkerView]:
    async def enough() -> list[WorkerView]:
        workers = await list_workers(shard)
        return workers if len(workers) == count else []

    return await until_async(enough, wanted=f"{count} registered workers")


async def test_launched_workers_register_once_with_their_fleet_and_id(shard: Shard, fleet: LocalFleet) -> None:
    launched = await fleet.launch(_intent(fleet, "t", 2), repeated=False)
    assert await fleet.launch(_intent(fleet, "t", 2), repeated=True) == launched
    workers = await _registered(shard, 2)
    assert {worker.instance_id for worker in workers} == {instance.id for instance in launched}
    assert {worker.name for worker in workers} == {worker.instance_id for worker in workers}
    assert {(worker.fleet, worker.slots) for worker in workers} == {(fleet.name, 2)}
    assert {instance.id: instance.ended for instance in await fleet.describe()} == {"t-0": False, "t-1": False}


@pytest.mark.skipif(os.geteuid() != 0, reason="reads a worker's environment, which needs root")
async def test_workers_do_not_get_the_secrets_of_managers(
    shard: Shard, fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(f"WORKMANAGER_{name.upper()}", "redis://administrator:hush@127.0.0.1")
    monkeypatch.setenv("WORKMANAGER_JOB_ENVIRONMENT", "DATABASE_URL")
    await fleet.launch(_intent(fleet, "t", 1), repeated=False)
    (worker,) = await _registered(shard, 1)
    environment = _environment(worker.pid)
    assert b"hush" not in environment
    assert b"WORKMANAGER_JOB_ENVIRONMENT=DATABASE_URL" in environment


async def test_executors_have_a_lower_priority_than_their_agent_and_managers(shard: Shard, fleet: LocalFleet) -> None:
    await fleet.launch(_intent(fleet, "t", 1), repeated=False)
    (worker,) = await _registered(shard, 1)

    async def executors() -> list[int]:
        found = children_of(worker.pid)
        return found if [_nice(pid) for pid in found] == [WORKER_NICE, WORKER_NICE] else []

    pids = await until_async(executors, wanted="two executors with a low priority")
    assert _nice(worker.pid) == AGENT_NICE

    async def sessions() -> bool:
        return [_session_nice(pid) for pid in (worker.pid, *pids)] in (EXPECTED_NICE, NO_AUTOGROUPS)

    await until_async(sessions, wanted="sessions with a low priority, if the kernel has autogroups")


def _environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def _nice(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def _session_nice(pid: int) -> str:
    path = Path(f"/proc/{pid}/autogroup")
    return path.read_text().split()[-1] if path.exists() else "none"


async def test_terminate_kills_the_worker(shard: Shard, fleet: LocalFleet) -> None:
    (instance,) = await fleet.launch(_intent(fleet, "t", 1), repeated=False)
    (worker,) = await _registered(shard, 1)
    assert set(await fleet.terminate([instance.id, "unknown"])) == {instance.id, "unknown"}
    assert not is_alive(worker.pid)
    assert await fleet.describe() == []


async def test_a_process_that_exited_is_described_as_ended(shard: Shard, fleet: LocalFleet) -> None:
    await fleet.launch(_intent(fleet, "t", 1), repeated=False)
    (worker,) = await _registered(shard, 1)
    os.kill(worker.pid, signal.SIGKILL)

    async def has_ended() -> bool:
        return [instance.ended for instance in await fleet.describe()] == [True]

    await until_async(has_ended, wanted="the ended process to be described")


async def test_only_the_manager_that_recorded_a_launch_can_start_it(redis_url: str, fleet: LocalFleet) -> None:
    other = LocalFleet(redis_url)
    with pytest.raises(FleetError) as caught:
        await fleet.launch(_intent(other, "t", 1), repeated=True)
    assert caught.value.cause is Cause.TOKEN_EXPIRED
    await other.close()


async def test_close_drains_all_workers(shard: Shard, redis_url: str) -> None:
    fleet = LocalFleet(redis_url)
    await fleet.launch(_intent(fleet, "t", 1), repeated=False)
    (worker,) = await _registered(shard, 1)
    await fleet.close()
    until(lambda: not is_alive(worker.pid), wanted="the worker's end")
    assert await list_workers(shard) == []
