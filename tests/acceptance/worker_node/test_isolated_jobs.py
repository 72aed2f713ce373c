"""Jobs that run in a process of their own (`isolation: job`)."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from jobqueue.lifecycle.finish import Finished, Retried
from jobqueue.model import FailureReason
from tests.acceptance.worker_node import spoiling_jobs
from tests.acceptance.worker_node.conftest import Client, MakeWorker
from tests.acceptance.worker_node.slot_harness import JOBS, MakeHarness, SlotHarness
from tests.processes import is_alive
from tests.waiting import until
from worker_node.slots.outcomes import KillReason


@pytest_asyncio.fixture(params=[True, False], ids=["pickles", "no_pickles"])
async def isolated(request: pytest.FixtureRequest, make_harness: MakeHarness) -> SlotHarness:
    # Without pickles, the executor does not restore itself, as no code of a job runs in it.
    return make_harness(isolates=True, modules=f"{JOBS},{spoiling_jobs.__name__}", allow_pickle=request.param)


async def test_each_job_runs_in_a_fresh_fork_of_the_executor(isolated: SlotHarness) -> None:
    await isolated.ready()
    pairs = [await isolated.value("parents_pid") for _ in range(5)]
    assert {parent for _, parent in pairs} == {isolated.slot.pid}
    assert len({pid for pid, _ in pairs} | {isolated.slot.pid}) == 6
    assert [await isolated.value("change_a_global") for _ in range(3)] == [0, 0, 0], "not even globals are shared"
    assert len({await isolated.value("random_number") for _ in range(5)}) == 5
    assert not any(is_alive(pid) for pid, _ in pairs)


async def test_only_a_job_that_asks_for_it_runs_in_a_process_of_its_own(harness: SlotHarness) -> None:
    assert await harness.value("pid") == (await harness.value("pid")) == harness.slot.pid
    own, parent = await harness.value("parents_pid", isolated=True)
    assert (own != harness.slot.pid, parent) == (True, harness.slot.pid)
    assert await harness.value("pid") == harness.slot.pid


async def test_outcomes_are_the_same_as_without_isolation(isolated: SlotHarness) -> None:
    assert await isolated.value("coroutine", 42) == 42
    assert len(await isolated.value("large", 1_000_000)) == 1_000_000
    failed = await isolated.failure("fail", "the message")
    assert (failed.reason, failed.final, failed.function) == (FailureReason.EXCEPTION, False, f"{JOBS}.fail")
    assert failed.traceback.splitlines()[-1] == "ValueError: the message"
    assert "worker_node/executor" not in failed.traceback
    assert failed.version != ""
    assert (await isolated.failure("fail_for_good")).final
    assert (await isolated.failure("sys_exit")).traceback.endswith("SystemExit: enough")
    assert "the maximum is 1048576" in (await isolated.failure("large", 1 << 20)).traceback
    rejected = await isolated.failure("x", data=json.dumps(["os.remove", None, [], {}]).encode())
    assert rejected.reason is FailureReason.REJECTED
    outcome = await isolated.run("ask_for_another_try", from_http=False)
    assert isinstance(outcome, Retried)
    assert (outcome.max_retries, outcome.intervals, outcome.at_front) == (2, (1, 5), True)
    noop = await isolated.run("x", data=b'["worker_node.functions.noop", null, [], {}]')
    assert isinstance(noop, Finished)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (("segfault",), "the process of the job died: signal=SIGSEGV"),
        (("kill_itself",), "signal=SIGKILL (killed from outside, or out of memory)"),
        (("leave_at_once", 3), "exit_code=3"),
        (("close_every_file",), "exit_code=0"),
        (("hold_its_sockets_in_another_process",), "exit_code=7"),
        (("write_garbage_to_its_executor", "\xff" * 64), "the job wrote into the socket"),
        (("write_garbage_to_its_executor", "\0\0\0\1\xc1"), "the job wrote into the socket"),
    ],
)
async def test_a_job_whose_process_dies_is_lost_and_harms_no_other(
    isolated: SlotHarness, tmp_path: Path, call: tuple[Any, ...], text: str
) -> None:
    pid = await isolated.value("parents_pid")
    notes = tmp_path / "notes"
    before, guilty, behind = isolated.assign(("coroutine", 1), call, ("note", str(notes), "ran"))
    first, lost, last = await isolated.outcomes([before, guilty, behind])
    assert isinstance(first, Finished)
    assert isinstance(last, Finished), "in the same batch"
    assert (lost.reason, lost.function) == (FailureReason.WORKER_LOST, f"{JOBS}.{call[0]}")  # type: ignore[union-attr]
    assert text in lost.traceback  # type: ignore[union-attr]
    assert (await isolated.value("parents_pid"))[1] == pid[1] == isolated.slot.pid, "the executor stays"


async def test_a_job_reads_and_writes_its_own_record_from_its_process(isolated: SlotHarness) -> None:
    record = {b"data": b'["f", null, [], {}]', b"status": b"started", b"origin": b"q", b"meta": b'{"count": 4}'}
    isolated.answers = {"hgetall": record, "status": b"started", "meta": b"{}"}
    assert await isolated.value("save_meta_from_a_thread", from_http=False, id="own") is not None
    written = [json.loads(value) for job_id, verb, _, value in isolated.queries if (job_id, verb) == ("own", "hset")]
    assert {"count": 4, "0": 0, "1": 1, "2": 2, "3": 3} in written
    failed = await isolated.failure("use_redis_of_the_job")
    assert "cannot use its Redis connection (set)" in failed.traceback


async def test_a_job_shares_neither_memory_nor_descriptors_with_the_agent(isolated: SlotHarness) -> None:
    await isolated.ready()
    descriptors, memory = await isolated.value("what_is_shared")
    assert [path for path in descriptors if "memfd" in path] == []
    assert len([path for path in descriptors if path.startswith("socket:")]) == 1, "only that to its executor"
    assert [line for line in memory if "memfd" in line] == []


@pytest.fixture
def make_isolated_with(
    make_harness: MakeHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], SlotHarness]:
    """Return what makes a harness that isolates every job, and knows one module more: its name and its source."""

    def make(name: str, source: str) -> SlotHarness:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.syspath_prepend(tmp_path)
        return make_harness(isolates=True, modules=f"{JOBS},{name}", allow_pickle=False)

    return make


async def test_an_alarm_left_by_a_failed_import_is_held_against_no_other_job(
    make_isolated_with: Callable[[str, str], SlotHarness],
) -> None:
    isolated = make_isolated_with(
        "alarming",
        "import signal\n"
        "signal.signal(signal.SIGALRM, lambda *_: 1 / 0)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.0004, 0.0004)\n"
        "raise RuntimeError('half')\n"
        "def run(): ...\n",
    )
    for _ in range(20):
        await isolated.ready()
        half, _ = isolated.assign(("alarming.run",), ("coroutine", 1))
        await isolated.outcomes([half])
        await isolated.wait(lambda: not isolated.slot.busy)
        assert not isolated.suspected


async def test_what_a_failed_import_leaves_behind_is_found_by_no_other_job(
    make_isolated_with: Callable[[str, str], SlotHarness], tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    isolated = make_isolated_with(
        "half_imported",
        "import signal, subprocess\n"
        f"open({str(pids)!r}, 'w').write(str(subprocess.Popen(['sleep', '600']).pid))\n"
        "signal.signal(signal.SIGALRM, lambda *_: 1 / 0)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05, 0.001)\n"
        "raise RuntimeError('half')\n"
        "def run(): ...\n",
    )
    await isolated.ready()
    half, *behind = isolated.assign(("half_imported.run",), ("coroutine", 1), ("coroutine", 2))
    (failed,) = await isolated.outcomes([half])
    assert failed.traceback.endswith("RuntimeError: half")  # type: ignore[union-attr]
    await isolated.wait(lambda: {job.id for job in isolated.released} == {*behind}, "the jobs behind it, given back")
    assert not isolated.suspected
    assert await isolated.value("use_processor", 0.2) is None, "no alarm"
    until(lambda: not is_alive(int(pids.read_text())), wanted="the end of what the import has started")


async def test_what_a_job_leaves_behind_ends_with_its_process(isolated: SlotHarness, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    await isolated.value("start_daemon", str(notes), False)
    await isolated.value("start_threads")
    await isolated.value("keep_descriptors", 10**6)
    executor = isolated.slot.pid
    assert (await isolated.value("parents_pid"))[1] == executor
    assert not any(is_alive(int(pid)) for pid in notes.read_text().split())
    await isolated.failure("close_standard_streams")
    assert await isolated.value("shout", 1) == 1
    assert isolated.slot.pid == executor


async def test_a_job_that_is_killed_ends_with_all_its_processes(isolated: SlotHarness, tmp_path: Path) -> None:
    await isolated.ready()
    notes = tmp_path / "notes"
    isolated.assign(("note_pid_then_wait", str(notes), str(tmp_path / "never")))
    await isolated.wait(lambda: notes.exists() and notes.read_text())
    running = isolated.slot.running()
    assert running is not None
    isolated.slot.kill(running.sequence, KillReason.TIMEOUT)
    await isolated.wait(lambda: not isolated.slot.busy)
    until(lambda: not is_alive(int(notes.read_text())), wanted="the end of the job's process")
    assert await isolated.value("coroutine", 1) == 1


async def test_a_worker_isolates_the_jobs_that_ask_for_it_or_all(client: Client, start_worker: MakeWorker) -> None:
    worker = start_worker(client.url)
    (executor,) = {await client.value(await client.enqueue("pid")) for _ in range(2)}
    own, parent = await client.value(await client.enqueue("parents_pid", isolation="job"))
    assert (own != executor, parent) == (True, executor)
    assert worker.terminate() == 0
    start_worker(client.url, ISOLATION="job")
    pids = [await client.value(await client.enqueue("parents_pid")) for _ in range(3)]
    assert len({own for own, _ in pids}) == 3
    died = await client.wait_until_ended(await client.enqueue("segfault"))
    assert died.error is not None
    assert (died.error.reason, "signal=SIGSEGV" in died.error.message) == ("worker_lost", True)
    counted = await client.wait_until_ended(await client.enqueue("count_in_meta", isolation="job"))
    assert (counted.isolation, counted.meta) == ("job", {"count": 1})
