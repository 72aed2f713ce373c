"""A worker runs jobs and records their outcomes."""

import asyncio
import base64
import hashlib
import os
import signal
import statistics
import time
from pathlib import Path

import pytest

from jobqueue.lifecycle.control import cancel
from jobqueue.workers.registry import list_workers
from tests.acceptance.worker_node.conftest import Client, MakeWorker, wait_for_file
from tests.acceptance.worker_node.slot_harness import JOBS
from tests.waiting import until_async


async def test_many_short_jobs_all_finish_with_the_right_results(client: Client, start_worker: MakeWorker) -> None:
    ids = await client.enqueue_many([("coroutine", n) for n in range(3000)])
    worker = start_worker(client.url, "--slots", "2", "--burst")
    assert worker.wait() == 0
    assert [await client.value(ids[n]) for n in range(0, 3000, 100)] == list(range(0, 3000, 100))
    shard = client.shards.all[0]
    counts = await shard.execute(
        ("ZCARD", "rq:finished:default"),
        ("ZCARD", "rq:wip:default"),
        ("ZCARD", "rq:wm:leases"),
        ("SCARD", "rq:workers"),
    )
    assert counts == [3000, 0, 0, 0]
    assert "finished=3000 failed=0" in worker.log_text


async def test_sha512_is_computed_over_the_digest_again(client: Client, start_worker: MakeWorker) -> None:
    data = os.urandom(100_000)
    call = (
        f'["worker_node.functions.sha512", null, [], {{"data": "{base64.b64encode(data).decode()}", "iterations": 3}}]'
    )
    job_id = await client.enqueue("sha512", data=call.encode())
    start_worker(client.url)
    digest = hashlib.sha512(hashlib.sha512(hashlib.sha512(data).digest()).digest()).hexdigest()
    assert await client.value(job_id) == digest


async def test_an_idle_worker_starts_a_new_job_within_milliseconds(client: Client, start_worker: MakeWorker) -> None:
    start_worker(client.url)
    await client.value(await client.enqueue("noop"))
    delays = []
    for _ in range(20):
        await asyncio.sleep(0.05)  # Long enough for the worker to be idle again.
        started = time.monotonic()
        job_id = await client.enqueue("noop")
        while (await client.view(job_id)).status != "finished":  # noqa: ASYNC110 - finer than `until_async`
            await asyncio.sleep(0.001)
        delays.append(time.monotonic() - started)
    # The fastest quarter: other programs may keep the machine busy.
    assert statistics.quantiles(delays)[0] < 0.05, delays


async def test_an_idle_worker_uses_next_to_no_cpu(client: Client, start_worker: MakeWorker) -> None:
    worker = start_worker(client.url, "--slots", "4")
    await client.value(await client.enqueue("noop"))

    def used_seconds() -> float:
        pids = [worker.process.pid, *worker.executors()]
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
        return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")

    await asyncio.sleep(2)
    before = used_seconds()
    await asyncio.sleep(5)
    assert used_seconds() - before <= 0.05, "1 % of a core"


async def test_failures_are_retried_as_asked_and_then_fail(client: Client, start_worker: MakeWorker) -> None:
    start_worker(client.url)
    failed = await client.wait_until_ended(await client.enqueue("fail", "the message", retries=2))
    assert (failed.status, failed.attempts) == ("failed", 3)
    assert failed.error is not None
    assert (failed.error.reason, failed.error.message) == ("exception", "ValueError: the message")
    for_good = await client.wait_until_ended(await client.enqueue("fail_for_good", retries=2))
    assert (for_good.status, for_good.attempts) == ("failed", 1)
    rejected = await client.wait_until_ended(
        await client.enqueue("noop", data=b'["os.getcwd", null, [], {}]', retries=2)
    )
    assert rejected.error is not None
    assert (rejected.error.reason, rejected.attempts) == ("rejected", 1)


@pytest.mark.parametrize("function", ["segfault", "kill_itself"])
async def test_a_job_that_kills_its_executor_is_retried_alone(
    client: Client, start_worker: MakeWorker, function: str
) -> None:
    worker = start_worker(client.url)
    await client.value(await client.enqueue("pid"))
    guilty, *innocent = await client.enqueue_many([(function,), *[("pid",)] * 50], retries=1)
    failed = await client.wait_until_ended(guilty)
    assert failed.error is not None
    assert (failed.error.reason, failed.attempts) == ("worker_lost", 2)
    for job_id in innocent:
        assert (await client.wait_until_ended(job_id)).status == "finished"
        assert (await client.view(job_id)).attempts == 1
    assert worker.process.poll() is None


async def test_a_timeout_kills_only_its_job_even_if_that_ignores_signals(
    client: Client, start_worker: MakeWorker
) -> None:
    start_worker(client.url)
    looping = await client.enqueue("loop_for_ever", timeout_seconds=1)
    after = await client.enqueue("pid")
    failed = await client.wait_until_ended(looping)
    assert failed.error is not None
    assert (failed.error.reason, failed.function) == ("timeout", f"{JOBS}.loop_for_ever")
    assert failed.error.message.endswith("its timeout is 1 seconds")
    assert (await client.wait_until_ended(after)).status == "finished"


async def test_a_running_job_is_cancelled_before_the_next_renewal(client: Client, start_worker: MakeWorker) -> None:
    start_worker(client.url, LEASE_SECONDS="24")
    job_id = await client.enqueue("loop_for_ever")
    shard = client.shards.of(job_id)

    async def recorded() -> int:
        return int((await shard.execute(("ZCARD", f"rq:executions:{job_id}")))[0])

    await until_async(recorded, wanted="the last renewal for a while")
    started = time.monotonic()
    await cancel(shard, [job_id])
    assert (await client.wait_until_ended(job_id)).status == "stopped"
    assert time.monotonic() - started < 5, "before the next renewal, a quarter of a lease after the last one"
    assert (await client.wait_until_ended(await client.enqueue("pid"))).status == "finished"


async def test_jobs_waiting_behind_a_long_one_run_on_another_worker(
    client: Client, start_worker: MakeWorker, tmp_path: Path
) -> None:
    first = start_worker(client.url)
    await client.enqueue_many([("noop",)] * 2000)
    gate, notes = tmp_path / "gate", tmp_path / "notes"
    long = await client.enqueue("note_then_wait", str(notes), "x", str(gate))
    behind = await client.enqueue_many([("pid",)] * 5)
    await wait_for_file(notes)
    start_worker(client.url)
    for job_id in behind:
        ended = await client.wait_until_ended(job_id)
        assert (ended.status, ended.attempts) == ("finished", 1)
    assert (await client.view(long)).status == "started"
    gate.touch()
    assert (await client.wait_until_ended(long)).status == "finished"
    assert first.process.poll() is None


async def test_a_long_job_shows_its_progress_and_its_execution(
    client: Client, start_worker: MakeWorker, tmp_path: Path
) -> None:
    start_worker(client.url)
    gate = tmp_path / "gate"
    job_id = await client.enqueue("progress", str(gate))
    shard = client.shards.of(job_id)

    async def shows() -> bool:
        (executions,) = await shard.execute(("ZCARD", f"rq:executions:{job_id}"))
        return executions == 1 and (await client.view(job_id)).meta == {"progress": 50}

    await until_async(shows, wanted="progress and an execution record")

    async def is_busy() -> bool:
        return [(worker.state, worker.running) for worker in await list_workers(shard)] == [("busy", 1)]

    await until_async(is_busy, wanted="the state 'busy'")
    gate.touch()
    await client.wait_until_ended(job_id)
    assert await shard.execute(("EXISTS", f"rq:executions:{job_id}"), ("KEYS", "rq:execution:*")) == [0, []]


async def test_the_current_job_can_be_read_and_written(client: Client, start_worker: MakeWorker) -> None:
    start_worker(client.url)
    job_id = await client.enqueue("count_in_meta", meta=b'{"count": 41}')
    assert await client.value(job_id) == [job_id, "started", {"count": 42}, "default", f"{JOBS}.count_in_meta"]
    assert (await client.view(job_id)).meta == {"count": 42}
    threads = await client.enqueue("save_meta_from_a_thread")
    assert await client.value(threads) == [["0", "1", "2", "3"], ["started"]]
    refused = await client.wait_until_ended(await client.enqueue("use_redis_of_the_job"))
    assert refused.error is not None
    assert "a job on this worker cannot use its Redis connection (set)" in refused.error.message


async def test_meta_that_a_job_assigns_is_kept(client: Client, start_worker: MakeWorker) -> None:
    start_worker(client.url)
    job_id = await client.enqueue("assign_meta", meta=b'{"old": 1}')
    assert await client.value(job_id) == [job_id, {"p": 42}, {"p": 42}, "started"]
    assert (await client.view(job_id)).meta == {"p": 42}


async def test_each_failed_job_is_one_line_in_the_log(client: Client, start_worker: MakeWorker, tmp_path: Path) -> None:
    worker = start_worker(client.url)
    failed = await client.enqueue("fail", "first line\nsecond line", retries=1)
    retried = await client.enqueue("fail_twice", str(tmp_path / "notes"), retries=2)
    rejected = await client.enqueue("noop", data=b'["os.getcwd", null, [], {}]')
    gave_up = await client.enqueue("retry_without_pause")
    assert await client.value(retried) == "done"
    for job_id in (failed, rejected, gave_up):
        await client.wait_until_ended(job_id)
    assert worker.terminate() == 0
    lines = {
        line.partition("job_id=")[2].split()[0]: line
        for line in worker.log_text.splitlines()
        if "event=job_failed" in line
    }
    assert worker.log_text.count("event=job_failed") == 3
    assert lines[failed].endswith(f"function={JOBS}.fail reason=exception message='ValueError: first line'")
    assert "function=os.getcwd reason=rejected" in lines[rejected]
    assert "gave up after 2 retries" in lines[gave_up]


async def test_an_executor_killed_from_outside_costs_only_its_own_job(
    client: Client, start_worker: MakeWorker, tmp_path: Path
) -> None:
    start_worker(client.url, "--slots", "2")
    gate, ids = tmp_path / "gate", []
    for name in ("first", "second"):
        ids.append(await client.enqueue("note_pid_then_wait", str(tmp_path / name), str(gate)))
        await wait_for_file(tmp_path / name)
    os.kill(int((tmp_path / "first").read_text()), signal.SIGKILL)
    assert (await client.wait_until_ended(ids[0])).status == "failed"
    gate.touch()
    assert (await client.wait_until_ended(ids[1])).status == "finished"
