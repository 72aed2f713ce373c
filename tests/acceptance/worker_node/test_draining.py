"""A worker drains, or dies, and no job is lost."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from jobqueue.lifecycle.leases import reap
from jobqueue.workers.messages import WorkerCommand, send_command
from jobqueue.workers.registry import list_workers
from tests.acceptance.worker_node.conftest import Client, MakeWorker, wait_for_file
from tests.processes import is_alive
from tests.waiting import until, until_async


async def test_sigterm_lets_running_jobs_finish_and_releases_the_others(
    client: Client, start_worker: MakeWorker, tmp_path: Path
) -> None:
    worker = start_worker(client.url)
    gate, notes = tmp_path / "gate", tmp_path / "notes"
    running = await client.enqueue("note_then_wait", str(notes), "x", str(gate))
    await wait_for_file(notes)
    waiting = await client.enqueue("pid")
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: "event=worker_draining" in worker.log_text)

    async def draining() -> bool:
        return [found.state for found in await list_workers(client.shards.all[0])] == ["draining"]

    await until_async(draining, wanted="the state 'draining'")
    gate.touch()
    assert worker.wait() == 0
    assert (await client.view(running)).status == "finished"
    assert (await client.view(waiting)).status == "queued"
    assert await list_workers(client.shards.all[0]) == []


@pytest.mark.parametrize("second_signal", [False, True])
async def test_a_job_that_outlives_the_grace_period_is_released_without_an_attempt(
    client: Client, start_worker: MakeWorker, tmp_path: Path, second_signal: bool
) -> None:
    worker = start_worker(client.url, DRAIN_GRACE_SECONDS="600" if second_signal else "0.5")
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    job_id = await client.enqueue("note_then_wait", str(notes), "started", str(gate))
    await wait_for_file(notes)
    worker.process.send_signal(signal.SIGTERM)
    if second_signal:
        until(lambda: "event=worker_draining" in worker.log_text)
        worker.process.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert (await client.view(job_id)).status == "queued"
    gate.touch()
    start_worker(client.url)
    ended = await client.wait_until_ended(job_id)
    assert (ended.status, ended.attempts) == ("finished", 1)
    assert notes.read_text().split() == ["started", "started"]


async def test_a_drain_command_waits_for_the_running_job_without_a_deadline(
    client: Client, start_worker: MakeWorker, tmp_path: Path
) -> None:
    worker = start_worker(client.url, "--name", "drained", DRAIN_GRACE_SECONDS="0")
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    job_id = await client.enqueue("note_then_wait", str(notes), "x", str(gate))
    await wait_for_file(notes)
    await send_command(client.shards.all[0], "drained", WorkerCommand("drain"))
    until(lambda: "event=worker_draining" in worker.log_text)
    await asyncio.sleep(1)
    assert (await client.view(job_id)).status == "started"
    gate.touch()
    assert worker.wait() == 0
    assert (await client.view(job_id)).status == "finished"


async def test_a_signal_sets_a_deadline_for_a_drain_without_one(
    client: Client, start_worker: MakeWorker, tmp_path: Path
) -> None:
    worker = start_worker(client.url, "--name", "drained", DRAIN_GRACE_SECONDS="0.2")
    notes = tmp_path / "notes"
    job_id = await client.enqueue("note_then_wait", str(notes), "x", str(tmp_path / "never"))
    await wait_for_file(notes)
    await send_command(client.shards.all[0], "drained", WorkerCommand("drain"))
    until(lambda: "event=worker_draining" in worker.log_text)
    assert worker.terminate() == 0
    assert (await client.view(job_id)).status == "queued"


async def test_the_jobs_of_a_killed_worker_run_elsewhere(
    client: Client, start_worker: MakeWorker, tmp_path: Path
) -> None:
    worker = start_worker(client.url, LEASE_SECONDS="1")
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    job_id = await client.enqueue("note_then_wait", str(notes), "x", str(gate))
    await wait_for_file(notes)
    executors = worker.executors()
    worker.kill()
    until(lambda: not any(map(is_alive, executors)), wanted="the end of the executors")
    start_worker(client.url)
    gate.touch()

    async def finished() -> bool:
        await reap(client.shards.all[0], lease_seconds=1)
        return (await client.view(job_id)).status == "finished"

    await until_async(finished, wanted="the job to run elsewhere")
    assert (await client.view(job_id)).attempts == 2


async def test_a_worker_stops_when_its_parent_dies(client: Client, start_worker: MakeWorker) -> None:
    read_end, write_end = os.pipe()
    worker = start_worker(client.url, "--parent-fd", str(read_end), pass_fds=[read_end])
    os.close(read_end)
    await client.value(await client.enqueue("pid"))
    assert worker.process.poll() is None
    os.close(write_end)
    assert worker.wait() == 0


async def test_a_burst_worker_exits_after_all_jobs_and_their_retries(client: Client, start_worker: MakeWorker) -> None:
    failing = await client.enqueue("fail", "x", retries=2)
    ids = await client.enqueue_many([("wait", 0.3)] * 4)
    worker = start_worker(client.url, "--slots", "2", "--burst")
    assert worker.wait() == 0
    assert {(await client.view(job_id)).status for job_id in ids} == {"finished"}
    assert (await client.view(failing)).status == "failed"


async def test_a_worker_that_has_not_reached_redis_stops_on_a_signal(start_worker: MakeWorker) -> None:
    worker = start_worker("redis://127.0.0.1:1/0")
    until(lambda: "event=redis_unavailable" in worker.log_text)
    assert worker.terminate() == 0
    assert worker.log_text.count("event=redis_unavailable") == 1


@pytest.mark.parametrize(
    ("arguments", "settings", "named"),
    [
        (["--slots", "0"], {}, "--slots"),
        (["--queues", ","], {}, "--queues"),
        (["--queues", "high,*"], {}, "'*' means every queue"),
        ([], {"QUEUES": "*,high"}, "WORKMANAGER_QUEUES"),
        (["--redis-url", "http://127.0.0.1"], {}, "it must start with redis://"),
        ([], {"ALLOW_PICKLE": "maybe"}, "WORKMANAGER_ALLOW_PICKLE"),
        ([], {"DRAIN_GRACE_SECONDS": "-1"}, "WORKMANAGER_DRAIN_GRACE_SECONDS"),
    ],
)
def test_the_last_log_line_names_a_wrong_option_or_setting(
    start_worker: MakeWorker, arguments: list[str], settings: dict[str, str], named: str
) -> None:
    worker = start_worker("redis://127.0.0.1:1/0", *arguments, **settings)
    assert worker.wait() == 2
    assert named in worker.log_text.splitlines()[-1]


async def test_drains_amid_a_stream_of_short_jobs_lose_and_repeat_none(
    client: Client, start_worker: MakeWorker, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    ids = await client.enqueue_many([("note", str(notes), str(n)) for n in range(4000)])
    for _ in range(4):
        worker = start_worker(client.url, "--slots", "2")
        worker.wait_until_started()
        await asyncio.sleep(0.45)
        assert worker.terminate() == 0
    start_worker(client.url, "--slots", "2", "--burst").wait()
    ran = notes.read_text().split()
    assert sorted(ran, key=int) == [str(n) for n in range(4000)]
    assert (await client.shards.all[0].execute(("ZCARD", "rq:finished:default")))[0] == len(ids)


async def test_a_drain_is_quick_if_nothing_is_running(client: Client, start_worker: MakeWorker) -> None:
    """It does not wait for the end of a poll of the queues, which takes 5 s and starts after each job."""
    seconds = []
    for _ in range(3):
        worker = start_worker(client.url)
        await client.value(await client.enqueue("pid"))
        started = time.monotonic()
        assert worker.terminate() == 0
        seconds.append(time.monotonic() - started)
    assert min(seconds) < 1, seconds
