"""Redis users that may call functions and may not run scripts, on one server: who loads the functions, and when."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextvars import ContextVar
from datetime import date

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import EnqueueOutcome
from jobqueue.lifecycle.finish import finish
from jobqueue.servers.topology import Topology
from jobqueue.sharding.scripts import Script, script
from jobqueue.sharding.shards import Shards
from manager.cluster.function_loader import FunctionLoader
from tests.integration.jobqueue.queue_helpers import claim_jobs, enqueue_jobs, queued_ids, success_outcome
from tests.redis_users import url
from workmanager.local.valkey import ValkeyServer

TODAY = date(2027, 1, 31)


@pytest.fixture
async def loader(server: ValkeyServer) -> AsyncIterator[FunctionLoader]:
    loader = FunctionLoader(Topology(url(server, "administrator")), today=lambda: TODAY)
    yield loader
    await loader.stop()


@pytest.fixture
async def manager(server: ValkeyServer) -> AsyncIterator[Shards]:
    shards = await Shards.connect(url(server, "manager"))
    yield shards
    await shards.close()


def calls(server: ValkeyServer, command: str) -> int:
    return int(server.command("INFO", "commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def test_once_the_administrator_has_loaded_them_managers_and_workers_call_functions_alone(
    server: ValkeyServer, loader: FunctionLoader, manager: Shards
) -> None:
    await loader.load()
    worker = await Shards.connect(url(server, "worker"))
    assert await enqueue_jobs(manager.all[0], "a") == [EnqueueOutcome.WRITTEN]
    assert [job.id for job in await claim_jobs(worker.all[0])] == ["a"]
    await worker.close()
    assert calls(server, "evalsha") == calls(server, "eval") == 0
    # Keys of a cluster are looked for once, before there is a layout.
    assert [entry for entry in server.command("ACL", "LOG") if entry["reason"] != "key"] == []


async def test_a_call_before_that_has_changed_nothing_and_one_that_waits_succeeds(
    server: ValkeyServer, loader: FunctionLoader, manager: Shards
) -> None:
    with pytest.raises(
        ShardUnavailable, match=r"does not have the function wm_enqueue_.*WORKMANAGER_CLUSTER_URL"
    ) as hit:
        await enqueue_jobs(manager.all[0], "a")
    assert not hit.value.outcome_unknown
    waiting = asyncio.create_task(claim(manager.all[0], "w1", ["default"], 1, retry_seconds=10))
    await asyncio.sleep(0)
    await loader.load()
    assert await waiting == []
    assert await enqueue_jobs(manager.all[0], "a") == [EnqueueOutcome.WRITTEN]


async def test_what_a_server_has_lost_is_loaded_again_and_flushall_takes_nothing(
    server: ValkeyServer, loader: FunctionLoader, manager: Shards
) -> None:
    await loader.load()
    server.command("FLUSHALL")
    assert await enqueue_jobs(manager.all[0], "a") == [EnqueueOutcome.WRITTEN]
    server.command("FUNCTION", "FLUSH")
    with pytest.raises(ShardUnavailable):
        await enqueue_jobs(manager.all[0], "b")
    await loader.load()
    assert await enqueue_jobs(manager.all[0], "b") == [EnqueueOutcome.WRITTEN]


async def test_functions_of_other_versions_stay_until_nobody_has_called_them_for_long(
    server: ValkeyServer, loader: FunctionLoader
) -> None:
    for name, day in (("recent", "2027-01-02"), ("old", "2027-01-01")):
        code = f"redis.register_function{{function_name='wm_{name}', description='{day}', callback=function() end}}"
        server.command("FUNCTION", "LOAD", f"#!lua name=wm_{name}\n{code}")
    server.command("FUNCTION", "LOAD", "#!lua name=mine\nredis.register_function('mine', function() end)")
    await loader.load()
    names = {library["library_name"] for library in server.command("FUNCTION", "LIST")}
    assert {"wm_recent", "mine"} < names
    assert "wm_old" not in names
    before = calls(server, "function|load")
    await loader.load()
    assert calls(server, "function|load") == before


async def test_a_user_that_may_run_scripts_needs_no_functions(server: ValkeyServer) -> None:
    shards = await Shards.connect(server.url)
    assert await enqueue_jobs(shards.all[0], "a") == [EnqueueOutcome.WRITTEN]
    await claim_jobs(shards.all[0])
    # Only the first call asks for a function.
    assert calls(server, "fcall") == 1
    server.command("ACL", "SETUSER", "default", "-evalsha", "-eval")
    loader = FunctionLoader(Topology(url(server, "administrator")))
    await loader.load()
    assert await enqueue_jobs(shards.all[0], "b") == [EnqueueOutcome.WRITTEN]
    await loader.stop()
    await shards.close()


async def test_jobs_run_once_and_none_waits_while_programs_of_two_versions_work_side_by_side(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = ContextVar("version", default="new")

    def script_of(name: str) -> Script:
        return Script(name, f"{script(name).text}-- {version.get()}\n")

    for module in ("jobqueue.lifecycle.enqueue", "jobqueue.lifecycle.claim", "jobqueue.lifecycle.finish"):
        monkeypatch.setattr(f"{module}.script", script_of)
    monkeypatch.setattr("manager.cluster.function_loader.script", script_of)
    submitted: list[str] = []
    finished, by_version = Counter[str](), Counter[str]()
    old_is_busy, new_has_begun, everything_is_submitted = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def load() -> FunctionLoader:
        loader = FunctionLoader(Topology(url(server, "administrator")), today=lambda: TODAY)
        await loader.load()
        return loader

    async def submit(shards: Shards) -> None:
        for number in range(150):
            job_id = f"{version.get()}-{number}"
            assert await enqueue_jobs(shards.all[0], job_id) == [EnqueueOutcome.WRITTEN]
            submitted.append(job_id)
            if version.get() == "old" and number == 50:
                old_is_busy.set()
                await new_has_begun.wait()

    async def work(shards: Shards) -> None:
        shard, name = shards.all[0], f"worker-{version.get()}"
        while not everything_is_submitted.is_set() or await queued_ids(shard):
            jobs = await claim_jobs(shard, 3, worker=name)
            await finish(shard, name, [success_outcome(job) for job in jobs])
            finished.update(job.id for job in jobs)
            by_version[version.get()] += len(jobs)

    async def run(name: str) -> None:
        version.set(name)
        loader = await load()
        manager, worker = [await Shards.connect(url(server, role)) for role in ("manager", "worker")]
        if name == "new":
            new_has_begun.set()
        working = asyncio.create_task(work(worker))
        await submit(manager)
        await loader.load()  # It leaves the functions of the other version alone.
        if len(submitted) == 300:
            everything_is_submitted.set()
        await working
        for each in (loader.stop(), manager.close(), worker.close()):
            await each

    old = asyncio.create_task(run("old"))
    await old_is_busy.wait()
    await asyncio.gather(old, run("new"))
    assert finished == Counter(submitted)
    assert len(submitted) == 300
    assert min(by_version.values()) > 0
    assert calls(server, "evalsha") == calls(server, "eval") == 0
