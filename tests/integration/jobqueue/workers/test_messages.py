"""Commands and wake-ups that reach a worker while it waits."""

import asyncio

from jobqueue.lifecycle.claim import claim
from jobqueue.sharding.shard import Shard
from jobqueue.workers.messages import WakeUp, WorkerCommand, pass_wake_up, send_command, wait_for_message
from tests.integration.jobqueue.queue_helpers import (
    complete_jobs,
    enqueue_jobs,
    shard_keys,
)
from tests.waiting import until_async

WAIT_SECONDS = 120.0
SOON_SECONDS = 30.0
"""Much sooner than a wait would end at its timeout."""


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
    messages = [
        await wait_for_message(shard, "w1", ("default",), for_work=True, seconds=WAIT_SECONDS) for _ in range(3)
    ]
    assert messages == [WorkerCommand("cancel", "a"), WorkerCommand("drain"), WakeUp("default")]


async def test_a_wait_ends_at_its_timeout(shard: Shard) -> None:
    started = asyncio.get_running_loop().time()
    assert await wait_for_message(shard, "w1", ("default",), for_work=True, seconds=0.1) is None
    assert asyncio.get_running_loop().time() - started >= 0.1


async def test_a_timeout_reports_a_queue_whose_wake_token_was_lost(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    await shard.execute(("DEL", f"{shard.prefix}:wm:wake:default"))
    assert await wait_for_message(shard, "w1", ("high", "default"), for_work=True, seconds=0.1) == WakeUp("default")


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
    waiters = [asyncio.create_task(wait) for wait in waits]
    await _until_blocked(shard, 5)
    await enqueue_jobs(shard, "a")
    await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    done, pending = await asyncio.wait(waiters, timeout=0.2)
    assert (len(done), len(pending)) == (1, 4)
    for waiter in pending:
        waiter.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def test_a_woken_worker_without_a_free_slot_wakes_another(shard: Shard) -> None:
    await enqueue_jobs(shard, "a")
    wake_up = await wait_for_message(shard, "w1", ("high", "default"), for_work=True, seconds=WAIT_SECONDS)
    other = asyncio.create_task(wait_for_message(shard, "w2", ("default",), for_work=True, seconds=WAIT_SECONDS))
    await _until_blocked(shard, 1)
    assert isinstance(wake_up, WakeUp)
    await pass_wake_up(shard, wake_up)
    assert await asyncio.wait_for(other, SOON_SECONDS) == WakeUp("default")


async def test_many_jobs_wake_every_worker_in_a_chain(shard: Shard) -> None:
    """There are fewer wake-up tokens than workers. A worker that leaves jobs in the queue wakes the next one."""
    done: list[str] = []

    async def work(name: str) -> None:
        while True:
            await wait_for_message(shard, name, ("default",), for_work=True, seconds=WAIT_SECONDS)
            done.extend(job.id for job in await claim(shard, name, ("default",), 1))

    workers = [asyncio.create_task(work(f"w{number}")) for number in range(24)]
    await _until_blocked(shard, 24)
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


async def _until_blocked(shard: Shard, count: int) -> None:
    """Wait until `count` workers are blocked in Redis."""

    async def all_wait() -> bool:
        (text,) = await shard.execute(("INFO", "clients"))
        return f"blocked_clients:{count}" in text.decode()

    await until_async(all_wait, wanted=f"{count} waiting workers")
