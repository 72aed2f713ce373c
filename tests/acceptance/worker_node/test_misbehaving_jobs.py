"""Whatever a job does, or asks for, concerns that job alone."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from jobqueue.lifecycle.finish import Failed, Finished, Retried
from jobqueue.model import FailureReason
from tests.acceptance.worker_node.slot_harness import JOBS, MIB, MakeHarness, SlotHarness
from tests.processes import is_alive
from tests.waiting import until
from worker_node.slots.outcomes import KillReason


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("segfault",), "signal=SIGSEGV"),
        (("kill_itself",), "signal=SIGKILL"),
        (("leave_at_once", 0), "exit_code=0"),
        (("leave_at_once", 3), "exit_code=3"),
        (("terminate_itself",), "signal=SIGTERM"),
    ],
)
async def test_only_the_job_that_kills_its_executor_is_blamed(
    bench: SlotHarness, tmp_path: Path, call: tuple[Any, ...], said: str
) -> None:
    await bench.ready()
    notes = tmp_path / "notes"
    # The first is as long as it takes to be reported by itself.
    before, guilty, *after = bench.assign(("wait", 0.05), call, *[("note", str(notes), "ran")] * 3)
    first, blamed = await bench.outcomes([before, guilty])
    assert isinstance(first, Finished)
    assert isinstance(blamed, Failed)
    assert (blamed.reason, blamed.function) == (FailureReason.WORKER_LOST, f"{JOBS}.{call[0]}")
    assert said in blamed.traceback
    await bench.wait(lambda: len(bench.released) == 3, "the jobs behind it")
    assert [job.id for job in bench.released] == after
    assert not notes.exists()
    assert await bench.value("coroutine", 1) == 1, "the executor is replaced"


async def test_a_job_that_closes_the_sockets_is_blamed_even_if_another_has_started(bench: SlotHarness) -> None:
    await bench.ready()
    before, guilty, *after = bench.assign(("wait", 0.05), ("close_every_file",), ("pid",), ("pid",))
    first, blamed = await bench.outcomes([before, guilty])
    assert isinstance(first, Finished)
    assert isinstance(blamed, Failed)
    assert (blamed.reason, blamed.function) == (FailureReason.WORKER_LOST, f"{JOBS}.close_every_file")
    await bench.wait(lambda: len(bench.released) == 2, "the jobs behind it")
    assert [job.id for job in bench.released] == after
    assert await bench.value("coroutine", 1) == 1


async def test_an_exception_fails_the_job_with_its_traceback(bench: SlotHarness) -> None:
    failed = await bench.failure("fail", "the message")
    assert (failed.reason, failed.final, failed.function) == (FailureReason.EXCEPTION, False, f"{JOBS}.fail")
    lines = failed.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: the message"
    assert "executor.py" not in failed.traceback, "the worker's own frames explain nothing"
    assert (await bench.failure("sys_exit")).traceback.endswith("SystemExit: enough")
    assert (await bench.failure("fail_for_good")).final
    assert len((await bench.failure("fail_deeply", 500)).traceback) < 40_000
    assert "RecursionError" in (await bench.failure("fail_deeply", 10_000)).traceback
    assert "missing 1 required positional argument" in (await bench.failure("fail")).traceback


async def test_output_and_threads_of_a_job_harm_no_other_job(capfd: pytest.CaptureFixture[str], make_bench: MakeHarness) -> None:
    bench = make_bench()
    assert await bench.value("shout", 2000) == 2000
    assert await bench.value("start_threads") is None
    assert await bench.value("coroutine", 1) == 1
    await bench.close()
    captured = capfd.readouterr()
    assert captured.out == "", "standard output is the agent's own"
    assert captured.err.count("out x") == 2000


async def test_timers_and_handlers_left_by_a_job_do_not_hit_the_next(bench: SlotHarness) -> None:
    pid = await bench.value("pid")
    await bench.value("leave_an_alarm_behind")
    await bench.value("wait", 0.1)
    assert await bench.value("pid") == pid
    assert (await bench.failure("terminate_itself")).reason is FailureReason.WORKER_LOST, "the handler is restored"


async def test_a_forked_child_that_returns_reports_nothing(bench: SlotHarness) -> None:
    await bench.value("fork_and_return")
    assert {await bench.value("pid") for _ in range(10)} == {bench.slot.pid}


async def test_killing_a_job_kills_the_processes_that_it_started(bench: SlotHarness, tmp_path: Path) -> None:
    await bench.ready()
    notes = tmp_path / "notes"
    bench.assign(("start_a_process_and_wait", str(notes)))
    await bench.wait(notes.exists)
    running = bench.slot.running()
    assert running is not None
    bench.slot.kill(running.sequence, KillReason.TIMEOUT)
    await bench.wait(lambda: not bench.slot.busy)
    grandchild = int(notes.read_text())
    until(lambda: not is_alive(grandchild), wanted="the end of the job's own process")


async def test_a_result_that_cannot_be_stored_fails_the_job_for_good(bench: SlotHarness) -> None:
    assert "cannot be written as JSON" in (await bench.failure("unserialisable")).traceback
    assert "cannot be written as JSON" in (await bench.failure("nan")).traceback
    too_large = await bench.failure("large", MIB)
    assert "the maximum is 1048576" in too_large.traceback
    assert too_large.final, "another try would cost as much and end the same"
    assert await bench.value("unserialisable", from_http=False) == "Unserializable return value"


async def test_rejected_jobs_do_not_run(bench: SlotHarness, tmp_path: Path) -> None:
    pickled = pickle.dumps((f"{JOBS}.note", None, (str(tmp_path / "notes"), "x"), {}))
    rejected = await bench.failure("note", data=pickled)
    assert (rejected.reason, rejected.function) == (FailureReason.REJECTED, "")
    assert "WORKMANAGER_ALLOW_PICKLE" in rejected.traceback
    rejected = await bench.failure("note", data=json.dumps(["os.remove", None, [], {}]).encode())
    assert (rejected.reason, rejected.function) == (FailureReason.REJECTED, "os.remove")
    rejected = await bench.failure("note", str(tmp_path / "notes"), "x", unsupported_feature="webhooks")
    assert (rejected.reason, rejected.function, rejected.traceback) == (
        FailureReason.REJECTED,
        f"{JOBS}.note",
        "webhooks",
    )
    assert not (tmp_path / "notes").exists()


async def test_pickled_jobs_run_if_they_are_allowed(make_bench: MakeHarness) -> None:
    bench = make_bench(allow_pickle=True)
    outcome = await bench.run("pid", data=pickle.dumps((f"{JOBS}.coroutine", None, (42,), {})), from_http=False)
    assert isinstance(outcome, Finished)
    assert pickle.loads(base64.b64decode(outcome.value)) == 42
    outcome = await bench.run("pid", data=pickle.dumps((f"{JOBS}.ask_for_another_try", None, (), {})), from_http=False)
    assert isinstance(outcome, Retried)
    assert pickle.loads(base64.b64decode(outcome.value)).intervals == [1, 5]


async def test_a_returned_retry_is_passed_on(bench: SlotHarness) -> None:
    outcome = await bench.run("ask_for_another_try", from_http=False)
    assert isinstance(outcome, Retried)
    assert (outcome.max_retries, outcome.intervals, outcome.at_front) == (2, (1, 5), True)


async def test_the_current_job_is_read_and_written_through_the_agent(bench: SlotHarness) -> None:
    record = {b"data": b'["f", null, [], {}]', b"status": b"started", b"origin": b"q", b"meta": b'{"count": 4}'}
    bench.answers = {"hgetall": record, "status": b"started", "meta": b"{}"}
    outcome = await bench.run("change_its_status")
    assert isinstance(outcome, Failed)
    assert "cannot use its Redis connection (hset of status)" in outcome.traceback
    failed = await bench.failure("use_redis_of_the_job")
    assert "RuntimeError: a job on this worker cannot use its Redis connection (set)" in failed.traceback
    bench.queries.clear()
    assert await bench.value("save_meta_from_a_thread", from_http=False, id="own") is not None
    written = [
        json.loads(value)
        for job_id, verb, field, value in bench.queries
        if (job_id, verb, field) == ("own", "hset", "meta")
    ]
    assert {"count": 4, "0": 0, "1": 1, "2": 2, "3": 3} in written


async def test_a_job_that_does_not_use_its_record_sends_no_query(bench: SlotHarness) -> None:
    await bench.value("pid")
    assert bench.queries == []


async def test_garbage_written_by_a_job_fails_only_that_job(bench: SlotHarness) -> None:
    await bench.failure("write_into_every_socket")
    assert await bench.value("coroutine", 1) == 1


@pytest.mark.parametrize("garbage", ["\xff" * 64, "\0\0\0\1\xc1"], ids=["no length", "no message"])
async def test_valid_reports_read_together_with_garbage_are_kept(
    bench: SlotHarness, tmp_path: Path, garbage: str
) -> None:
    await bench.value("pid")
    last = tmp_path / "last"
    *good, bad, behind = bench.assign(
        *[("wait", 0.002)] * 5, ("write_into_every_socket", garbage), ("note", str(last), "behind the garbage")
    )
    until(last.exists)  # Nothing is read meanwhile: the event loop stands still.
    outcomes = await bench.outcomes([*good, bad])
    assert [type(outcome) for outcome in outcomes] == [Finished] * 5 + [Failed]
    assert [job.id for job in bench.released] == [behind]
