"""The periodic maintenance that every manager runs: in real time, several managers at once, each shard by itself."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from redis.exceptions import ResponseError

from jobqueue.errors import NotPermitted, QueueFull, ShardUnavailable
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.leases import reap
from jobqueue.lifecycle.pull import pull
from jobqueue.maintenance import periodic
from jobqueue.maintenance.expiry import EXPIRE_LIMIT
from jobqueue.maintenance.periodic import Maintenance
from jobqueue.model import MAX_LOSSES, RESULT_TTL_SECONDS
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import (
    claim_jobs,
    complete_jobs,
    enqueue_jobs,
    job_fields,
    job_status,
    master_port_of,
    new_job,
    queued_ids,
    shard_keys,
    sorted_set,
)
from tests.waiting import until_async
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster


@asynccontextmanager
async def _managers(shards: Shards, count: int = 1) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(Maintenance(shards, lease_seconds=1.0).run()) for _ in range(count)]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_queued(shard: Shard, job_id: str) -> None:
    async def is_queued() -> bool:
        with suppress(ShardUnavailable):
            return await job_status(shard, job_id) == "queued"
        return False

    await until_async(is_queued, wanted=f"{job_id} queued")


async def test_all_expired_results_are_deleted_in_one_round(plain_shard: Shard, shards: Shards, redis_url: str) -> None:
    expired = time.time() - RESULT_TTL_SECONDS
    for number in range(20):
        await complete_jobs(plain_shard, *(f"job-{number}-{n}" for n in range(EXPIRE_LIMIT)), now=expired)
    await complete_jobs(plain_shard, "young", now=expired + 60)

    async def only_young_is_left() -> bool:
        return list(await sorted_set(plain_shard, "finished:default")) == ["young"]

    async with _managers(shards, count=1):
        # One round deletes all batches. With one batch a round it would take twenty seconds.
        await until_async(only_young_is_left, 15.0, wanted="the expiry of all but the young result")
    assert {key for key in await shard_keys(plain_shard) if key.startswith(("job:", "results:"))} == {
        "job:young",
        "results:young",
    }


async def test_two_managers_do_each_maintenance_task_once(plain_shard: Shard, shards: Shards, redis_url: str) -> None:
    shard = plain_shard
    await complete_jobs(shard, "result", now=time.time())
    await pull(shard, 1, lease_seconds=0.1)
    await enqueue_jobs(shard, "lost", now=time.time())
    await claim(shard, "dead", ["default"], 1, lease_seconds=0.1)
    await enqueue(shard, [new_job("later", due_at=time.time() + 0.1, queue="high")])
    async with _managers(shards, count=2):
        await _until_queued(shard, "lost")
        await _until_queued(shard, "later")

        async def is_back() -> bool:
            return [result.job_id for result in await pull(shard, 1, lease_seconds=60)] == ["result"]

        await until_async(is_back, wanted="the result in the feed again")
        assert (await queued_ids(shard), await queued_ids(shard, "high")) == (["lost"], ["later"])
        assert (await job_fields(shard, "lost"))["wm_losses"] == "1"


async def test_an_unexpected_error_does_not_end_maintenance(
    plain_shard: Shard,
    shards: Shards,
    redis_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def crash(*_: object, **__: object) -> int:
        raise ZeroDivisionError

    async def fail(*_: object, **__: object) -> int:
        raise ResponseError("ERR refused")

    # What other programs write no longer makes a task fail: the errors are made here.
    monkeypatch.setattr(periodic, "enqueue_dependents", crash)
    monkeypatch.setattr(periodic, "expire_results", fail)
    await enqueue_jobs(plain_shard, "lost", "lost too", now=time.time())
    await claim(plain_shard, "dead", ["default"], 2, lease_seconds=0.1)
    await plain_shard.execute(("HSET", "rq:job:lost", "worker_name", b"\xff"))
    with caplog.at_level(logging.WARNING):
        async with _managers(shards):
            await _until_queued(plain_shard, "lost")
            await _until_queued(plain_shard, "lost too")
            await claim(plain_shard, "dead", ["default"], 1, lease_seconds=0.1)
            await _until_queued(plain_shard, "lost")
    assert "event=maintenance_crashed shard=rq task=enqueue_dependents" in caplog.text
    assert "event=maintenance_failed shard=rq task=expire_results" in caplog.text


async def test_maintenance_resumes_after_a_redis_restart(private_server: ValkeyServer, private_shard: Shard) -> None:
    shards = await Shards.connect(private_server.url)
    async with _managers(shards):
        await enqueue_jobs(private_shard, "lost", now=time.time())
        await claim(private_shard, "dead", ["default"], 1, lease_seconds=0.1)
        await asyncio.to_thread(private_server.kill)
        await asyncio.to_thread(private_server.start)
        await _until_queued(private_shard, "lost")
    await shards.close()


async def test_an_unavailable_shard_does_not_delay_the_others(cluster: ValkeyCluster) -> None:
    shards = await Shards.connect(cluster.url)
    await asyncio.gather(*(reap(shard) for shard in shards))
    victim = cluster.masters()[0]
    healthy = [shard for shard in shards if master_port_of(shards, shard) != victim.port]
    assert len(healthy) == 4
    async with _managers(shards):
        victim.pause()
        try:
            for shard in healthy:
                await enqueue_jobs(shard, f"lost-{shard.index}", now=time.time())
                await claim(shard, "dead", ["default"], 1, lease_seconds=0.1)
            async with asyncio.timeout(6):
                await asyncio.gather(*(_until_queued(shard, f"lost-{shard.index}") for shard in healthy))
        finally:
            victim.resume()
    await shards.close()


async def test_an_outage_is_one_line_a_shard_when_it_begins_and_one_when_it_ends(
    private_server: ValkeyServer, private_shard: Shard, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jobqueue.maintenance.periodic")
    shards = await Shards.connect(private_server.url)
    async with _managers(shards):
        await asyncio.sleep(1.0)
        await asyncio.to_thread(private_server.kill)
        await _until_logged(caplog, "event=maintenance_failed")
        await asyncio.sleep(3.0)
        await asyncio.to_thread(private_server.start)
        await _until_logged(caplog, "event=maintenance_recovered")
        await asyncio.sleep(2.0)
    failed, recovered = (message for message in caplog.messages if "event=maintenance_" in message)
    assert failed.startswith("event=maintenance_failed shard=rq ")
    assert re.fullmatch(r"event=maintenance_recovered shard=rq task=all after_seconds=[3-9]\.\d", recovered)
    await shards.close()


@pytest.mark.parametrize("error", [QueueFull("full"), NotPermitted("no right"), ValueError("bug")])
async def test_a_task_that_fails_alone_is_one_line_until_it_succeeds(
    shards: Shards,
    redis_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    calls = 0

    async def fail(*_: object) -> int:
        nonlocal calls
        calls += 1
        raise error

    async def is_repeated() -> bool:
        return calls >= 3

    caplog.set_level(logging.INFO, "jobqueue.maintenance.periodic")
    async with _managers(shards):
        with monkeypatch.context() as patch:
            patch.setattr("jobqueue.maintenance.periodic.enqueue_dependents", fail)
            await until_async(is_repeated, wanted="more tries")
            assert "recovered" not in caplog.text
        await _until_logged(caplog, "event=maintenance_recovered")
    failed, recovered = (message for message in caplog.messages if "event=maintenance_" in message)
    assert " task=enqueue_dependents" in failed
    assert " task=enqueue_dependents after_seconds=" in recovered
    assert caplog.text.count("Traceback") == isinstance(error, ValueError)


async def _until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async def is_logged() -> bool:
        return text in caplog.text

    await until_async(is_logged, wanted=text)


async def test_a_job_that_fails_with_its_worker_is_logged_with_its_function(
    plain_shard: Shard, shards: Shards, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    lost = time.time() - 600
    await enqueue_jobs(plain_shard, "a")
    await claim_jobs(plain_shard, now=lost)
    # What a plain RQ client and its worker write.
    await plain_shard.execute(
        ("HSET", "rq:job:b", "status", "started", "origin", "default", "description", "images.resize('secret', n=1)"),
        ("HSET", "rq:job:b", "data", b"\x80", "started_at", "x"),
        ("ZADD", "rq:wip:default", lost, "b:exec"),
        ("ZADD", "rq:executions:b", lost, "exec"),
        ("HSET", "rq:job:a", "wm_losses", MAX_LOSSES - 1),
    )
    async with _managers(shards):
        await _until_logged(caplog, "event=job_failed job_id=a")
        await _until_logged(caplog, "event=job_failed job_id=b")
    failures = sorted(message for message in caplog.messages if message.startswith("event=job_failed"))
    assert [message.partition(" message=")[0] for message in failures] == [
        "event=job_failed job_id=a function=noop reason=worker_lost",
        "event=job_failed job_id=b function=images.resize reason=worker_lost",
    ]
    assert "the job's lease expired 3 times" in failures[0]
    assert "a plain RQ worker abandoned the execution" in failures[1]
