"""Processes, descriptors and threads that a job leaves behind end with it, or with its executor."""

import asyncio
import os
import signal
from pathlib import Path

from jobqueue.lifecycle.control import cancel
from processes.liveness_pipe import LivenessPipe, parent_is_gone
from tests.acceptance.worker_node.conftest import Client, MakeWorker, wait_for_file
from tests.acceptance.worker_node.slot_harness import SlotHarness
from tests.processes import children_of, is_alive
from tests.waiting import until, until_async


async def test_daemons_that_a_job_starts_end_with_it(client: Client, start_worker: MakeWorker, tmp_path: Path) -> None:
    worker = start_worker(client.url)
    pid = await client.value(await client.enqueue("pid"))

    notes = tmp_path / "finished"
    await client.value(await client.enqueue("start_daemon", str(notes), False))
    assert await client.value(await client.enqueue("pid")) == pid, "the executor stays"
    assert _ended(notes), "before the next job begins"

    notes = tmp_path / "timed out"
    failed = await client.wait_until_ended(await client.enqueue("start_daemon", str(notes), True, timeout_seconds=1))
    assert failed.error is not None
    assert failed.error.reason == "timeout"
    until(lambda: _ended(notes), wanted="the end of the daemons of a job that took too long")

    notes = tmp_path / "cancelled"
    job_id = await client.enqueue("start_daemon", str(notes), True)
    await until_async(lambda: _exists(notes), wanted=str(notes))
    await cancel(client.shards.all[0], [job_id])
    assert (await client.wait_until_ended(job_id)).status == "stopped"
    until(lambda: _ended(notes), wanted="the end of the daemons of a cancelled job")

    notes = tmp_path / "died"
    await client.wait_until_ended(await client.enqueue("kill_itself_after_a_daemon", str(notes)))
    until(lambda: _ended(notes), wanted="the end of the daemons of a job that died")

    notes = tmp_path / "worker stopped"
    await client.enqueue("start_daemon", str(notes), True)
    await until_async(lambda: _exists(notes), wanted=str(notes))
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: "event=worker_draining" in worker.log_text, wanted="the first signal, which the second could join")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert _ended(notes), "before the worker ends"


async def _exists(notes: Path) -> bool:
    await wait_for_file(notes)
    return (await asyncio.to_thread(notes.read_text)).count("\n") == 2


def _ended(notes: Path) -> bool:
    pids = [int(line) for line in notes.read_text().split()]
    assert len(pids) == 2
    return not any(map(is_alive, pids))


async def test_ended_processes_of_a_job_do_not_pile_up(harness: SlotHarness) -> None:
    for _ in range(3):
        await harness.value("leave_zombie")
    await harness.value("pid")
    assert harness.slot.pid is not None
    assert children_of(harness.slot.pid) == []


async def test_no_job_runs_out_of_descriptors_that_others_left_open(harness: SlotHarness) -> None:
    for _ in range(3):
        assert await harness.value("keep_descriptors", 10**6) > 100, "as many as the limit allows"
    pid = await harness.value("pid")
    for _ in range(10):
        assert await harness.value("keep_descriptors", 10) == 10
    assert harness.slot.pid == pid, "a few are no reason to replace the executor"


async def test_an_executor_with_many_threads_of_old_jobs_is_replaced(harness: SlotHarness) -> None:
    pid = await harness.value("pid")
    await harness.value("leave_threads", 5)
    assert await harness.value("pid") == pid, "a few may belong to a library"
    await harness.value("leave_threads", 100)
    assert await harness.value("pid") != pid


async def test_a_job_cannot_reach_the_descriptors_of_its_worker_or_of_what_started_it(
    client: Client, start_worker: MakeWorker
) -> None:
    pipe = LivenessPipe()
    inherited = os.dup(pipe.fd)
    other, other_end = os.pipe()
    worker = start_worker(client.url, "--parent-fd", str(inherited), pass_fds=[inherited, other_end])
    found = await client.value(await client.enqueue("open_descriptors"))
    worker_has = {os.readlink(f"/proc/self/fd/{fd}") for fd in (inherited, other_end)} | {str(worker.log)}
    assert not worker_has & set(found.values()), found

    await client.wait_until_ended(await client.enqueue("shut_everything_down"))
    assert not parent_is_gone(inherited)
    assert await client.value(await client.enqueue("shout", 1)) == 1
    until(lambda: "out xxx" in worker.log_text, wanted="what a job prints, in the log")
    assert worker.process.poll() is None
    os.close(inherited)
    pipe.close()
    assert worker.wait() == 0, "its parent has ended"
    for fd in (other, other_end):
        os.close(fd)
