"""Worker records, and the messages that reach a worker."""

import asyncio

from redis import Redis
from rq.worker import Worker

from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.running_job import read_job_record, save_meta
from jobqueue.maintenance.periodic import prune
from jobqueue.model import ClaimedJob
from jobqueue.sharding.shard import Shard
from jobqueue.workers.messages import WakeUp, WorkerCommand, pass_wake_up, send_command, wait_for_message
from jobqueue.workers.registry import (
    WorkerHeartbeat,
    WorkerRecord,
    exited_cleanly,
    fence_worker,
    list_workers,
    register,
    send_worker_heartbeat,
    unregister,
)
from tests.integration.jobqueue.queue_helpers import (
    claim_jobs,
    complete_jobs,
    enqueue_jobs,
    job_fields,
    key_ttl,
    shard_keys,
)
from tests.waiting import until_async

RECORD = WorkerRecord("w1", "host", 42, ("high", "default"), 3, fleet="local:host", instance_id="i-1")
WAIT_SECONDS = 120.0
SOON_SECONDS = 30.0
"""Much sooner than a wait would end by itself."""


async def test_a_registered_worker_is_listed_with_its_record_and_heartbeat(shard: Shard) -> None:
    await register(shard, RECORD)
    await register(shard, WorkerRecord("a0", "host", 1, ("default",), 1))
    assert await send_worker_heartbeat(shard, "w1", WorkerHeartbeat("busy", 2, 10, 1, 5.5))
    first, seen = await list_workers(shard)
    assert first.name == "a0"
    assert (seen.name, seen.hostname, seen.pid, seen.queues) == ("w1", "host", 42, ("high", "default"))
    assert (seen.state, seen.slots, seen.running, seen.finished, seen.failed) == ("busy", 3, 2, 10, 1)
    assert (seen.fleet, seen.instance_id, seen.native) == ("local:host", "i-1", True)
    assert seen.seconds_since_heartbeat is not None
    assert seen.seconds_since_heartbeat <= 30


async def test_rq_lists_our_workers(plain_shard: Shard, redis_url: str) -> None:
    await register(plain_shard, RECORD)
    with Redis.from_url(redis_url) as connection:
        (worker,) = Worker.all(connection=connection)
        assert (worker.name, worker.hostname, worker.pid) == ("w1", "host", 42)
        assert worker.queue_names() == ["high", "default"]
        assert worker.get_state() == "idle"


async def test_an_unregistered_worker_leaves_only_its_clean_exit_record(shard: Shard) -> None:
    await register(shard, RECORD)
    await enqueue_jobs(shard, "a")
    await claim_jobs(shard)
    await send_command(shard, "w1", WorkerCommand("drain"))
    await unregister(shard, "w1", RECORD.queues)
    assert await list_workers(shard) == []
    assert [key for key in await shard_keys(shard) if "worker" in key or "w1" in key] == ["wm:left:w1"]
    assert 0 < await key_ttl(shard, "wm:left:w1") <= 3600
    assert await exited_cleanly(shard, ["w1", "w2"]) == {"w1"}


async def test_a_fenced_worker_claims_no_more_jobs_and_is_told_to_drain(shard: Shard) -> None:
    await register(shard, RECORD)
    await enqueue_jobs(shard, "a", "b")
    (before,) = await claim_jobs(shard, token="t")
    await fence_worker(shard, "w1")
    assert await claim_jobs(shard) == []
    assert await claim_jobs(shard, token="t") == [before], "a claim whose answer was lost is no new work"
    assert await wait_for_message(shard, "w1", (), for_work=False, seconds=1) == WorkerCommand("drain")
    assert [job.id for job in await claim_jobs(shard, worker="w2")] == ["b"]
    await send_worker_heartbeat(shard, "w1", WorkerHeartbeat("idle", 0, 0, 0, 0.0))
    assert await claim_jobs(shard) == []


async def test_a_silent_worker_is_removed_from_every_queue(shard: Shard) -> None:
    """Also from queues that never held a job."""
    await register(shard, RECORD)
    await register(shard, WorkerRecord("alive", "host", 1, ("default",), 1))
    (seconds, _), *_ = await shard.execute(("TIME",))
    await shard.execute(("ZADD", f"{shard.prefix}:wm:workers", int(seconds) - 61, "w1"))
    await prune(shard)
    assert [worker.name for worker in await list_workers(shard)] == ["alive"]
    assert "workers:high" not in await shard_keys(shard)
    (members,) = await shard.execute(("SMEMBERS", f"{shard.prefix}:workers:default"))
    assert members == [f"{shard.prefix}:worker:alive".encode()]


async def test_a_removed_worker_is_told_to_register_again(shard: Shard) -> None:
    report = WorkerHeartbeat("idle", 0, 0, 0, 0.0)
    assert not await send_worker_heartbeat(shard, "w1", report)
    assert await list_workers(shard) == []
    await register(shard, RECORD)
    assert await send_worker_heartbeat(shard, "w1", report)
    # The record outlives the minute after which the worker is dropped: what it was listed under stands there.
    assert await key_ttl(shard, "worker:w1") > 60


async def test_a_command_reaches_an_idle_and_a_busy_worker_at_once(shard: Shard) -> None:
    for for_work in (True, False):
        waiter = asyncio.create_task(
            wait_for_message(shard, "w1", ("default",), for_work=for_work, seconds=WAIT_SECONDS)
        )
        await send_command(shard, "w1", WorkerCommand("cancel", "a"))
        assert await asyncio.wait_for(waiter, SOON_SECONDS) == WorkerCommand("cancel", "a")


async def test_commands_are_delivered_in_order_and_before_wake_ups(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await send_command(shard, "w1", WorkerCommand("cancel", "a"))
    await send_command(shard, "w1", WorkerCommand("drain"))
    await send_command(shard, "w2", WorkerCommand("drain"))
    answers = [await wait_for_message(shard, "w1", ("default",), for_work=True, seconds=WAIT_SECONDS) for _ in range(3)]
    assert answers == [WorkerCommand("cancel", "a"), WorkerCommand("drain"), WakeUp("default")]


async def test_a_wait_ends_at_its_timeout(shard: Shard) -> None:
    started = asyncio.get_running_loop().time()
    assert await wait_for_message(shard, "w1", ("default",), for_work=True, seconds=0.1) is None
    assert asyncio.get_running_loop().time() - started >= 0.1


async def test_a_timeout_reports_a_queue_whose_wake_token_was_lost(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await shard.execute(("DEL", f"{shard.prefix}:wm:wake:default"))
    assert await wait_for_message(shard, "w1", ("high", "default"), for_work=True, seconds=0.1) == WakeUp("default")


async def test_only_the_lease_holder_may_save_meta(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    await save_meta(shard, job, b'{"progress": 1}')
    assert (await read_job_record(shard, "a"))[b"meta"] == b'{"progress": 1}'
    stale = ClaimedJob(**{name: getattr(job, name) for name in ClaimedJob.__slots__} | {"token": "stale"})
    await save_meta(shard, stale, b'{"progress": 2}')
    assert (await job_fields(shard, "a"))["meta"] == '{"progress": 1}'
    await shard.execute(("DEL", f"{shard.prefix}:job:a"))
    await save_meta(shard, job, b"{}")
    assert await read_job_record(shard, "a") == {}


async def test_an_idle_worker_wakes_at_once(shard: Shard) -> None:
    waiter = asyncio.create_task(
        wait_for_message(shard, "w1", ("high", "default"), for_work=True, seconds=WAIT_SECONDS)
    )
    await enqueue_jobs(shard, "a")
    assert await asyncio.wait_for(waiter, SOON_SECONDS) == WakeUp("default")
    assert len(await claim(shard, "w1", ("high", "default"), 1)) == 1


async def test_a_busy_worker_is_not_woken_by_work(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    assert await wait_for_message(shard, "w1", ("default",), for_work=False, seconds=0.1) is None
    (tokens,) = await shard.execute(("LLEN", f"{shard.prefix}:wm:wake:default"))
    assert tokens == 1


async def test_one_job_wakes_one_worker(shard: Shard) -> None:
    waits = [wait_for_message(shard, f"w{n}", ("default",), for_work=True, seconds=WAIT_SECONDS) for n in range(5)]
    waiters = [asyncio.create_task(one) for one in waits]
    await _blocked(shard, 5)
    await enqueue_jobs(shard, "a")
    await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    done, pending = await asyncio.wait(waiters, timeout=0.2)
    assert (len(done), len(pending)) == (1, 4)
    for waiter in pending:
        waiter.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def test_a_woken_worker_without_a_free_slot_wakes_another(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    woken = await wait_for_message(shard, "w1", ("high", "default"), for_work=True, seconds=WAIT_SECONDS)
    other = asyncio.create_task(wait_for_message(shard, "w2", ("default",), for_work=True, seconds=WAIT_SECONDS))
    await _blocked(shard, 1)
    await pass_wake_up(shard, woken)
    assert await asyncio.wait_for(other, SOON_SECONDS) == WakeUp("default")


async def test_many_jobs_wake_every_worker_in_a_chain(shard: Shard) -> None:
    """There are more workers than wake tokens: whoever leaves jobs behind wakes the next."""
    done: list[str] = []

    async def work(name: str) -> None:
        while True:
            await wait_for_message(shard, name, ("default",), for_work=True, seconds=WAIT_SECONDS)
            done.extend(job.id for job in await claim(shard, name, ("default",), 1))

    workers = [asyncio.create_task(work(f"w{number}")) for number in range(24)]
    await _blocked(shard, 24)
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(200)))

    async def all_done() -> bool:
        return len(done) == 200

    await until_async(all_done, wanted="the end of all jobs")
    for worker in workers:
        worker.cancel()
    assert sorted(done) == sorted(f"job-{number}" for number in range(200))


async def test_an_empty_queue_keeps_no_wake_tokens(shard: Shard) -> None:
    await complete_jobs(shard, *(f"job-{number}" for number in range(50)))
    assert not [key for key in await shard_keys(shard) if key.startswith("wm:wake")]


async def _blocked(shard: Shard, count: int) -> None:
    """Returns when so many workers wait."""

    async def all_wait() -> bool:
        (text,) = await shard.execute(("INFO", "clients"))
        return f"blocked_clients:{count}" in text.decode()

    await until_async(all_wait, wanted=f"{count} waiting workers")
