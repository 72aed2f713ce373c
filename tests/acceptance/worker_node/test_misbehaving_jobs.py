"""A job that misbehaves harms no other job."""

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from jobqueue.claimed_job import RqCallback, RqCallbacks
from jobqueue.error_message import error_message, first_line
from jobqueue.lifecycle.finish import Failed, Finished, Retried
from jobqueue.model import FailureReason
from tests.acceptance.worker_node.slot_harness import JOBS, MIB, MakeHarness, SlotHarness
from tests.processes import is_alive
from tests.waiting import until
from worker_node.slots.outcomes import KillReason


@pytest.mark.parametrize(
    ("call", "exit_text"),
    [
        (("segfault",), "signal=SIGSEGV"),
        (("kill_itself",), "signal=SIGKILL"),
        (("leave_at_once", 0), "exit_code=0"),
        (("leave_at_once", 3), "exit_code=3"),
        (("terminate_itself",), "signal=SIGTERM"),
    ],
)
async def test_only_the_job_that_kills_its_executor_is_blamed(
    harness: SlotHarness, tmp_path: Path, call: tuple[Any, ...], exit_text: str
) -> None:
    await harness.ready()
    notes = tmp_path / "notes"
    # The first job takes long enough to be reported by itself.
    before, guilty, *after = harness.assign(("wait", 0.05), call, *[("note", str(notes), "ran")] * 3)
    first, blamed = await harness.outcomes([before, guilty])
    assert isinstance(first, Finished)
    assert isinstance(blamed, Failed)
    assert (blamed.reason, blamed.function) == (FailureReason.WORKER_LOST, f"{JOBS}.{call[0]}")
    assert exit_text in blamed.traceback
    await harness.wait(lambda: len(harness.released) == 3, "the jobs behind it")
    assert [job.id for job in harness.released] == after
    assert not notes.exists()
    assert await harness.value("coroutine", 1) == 1, "the executor is replaced"


async def test_a_job_that_closes_the_sockets_is_blamed_even_if_another_has_started(harness: SlotHarness) -> None:
    await harness.ready()
    before, guilty, *after = harness.assign(("wait", 0.05), ("close_every_file",), ("pid",), ("pid",))
    first, blamed = await harness.outcomes([before, guilty])
    assert isinstance(first, Finished)
    assert isinstance(blamed, Failed)
    assert (blamed.reason, blamed.function) == (FailureReason.WORKER_LOST, f"{JOBS}.close_every_file")
    await harness.wait(lambda: len(harness.released) == 2, "the jobs behind it")
    assert [job.id for job in harness.released] == after
    assert await harness.value("coroutine", 1) == 1


async def test_an_exception_fails_the_job_with_its_traceback(harness: SlotHarness) -> None:
    failed = await harness.failure("fail", "the message")
    assert (failed.reason, failed.final, failed.function) == (FailureReason.EXCEPTION, False, f"{JOBS}.fail")
    lines = failed.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: the message"
    assert "worker_node/executor" not in failed.traceback, "the executor's own frames are left out"
    assert (await harness.failure("sys_exit")).traceback.endswith("SystemExit: enough")
    assert (await harness.failure("fail_for_good")).final
    assert len((await harness.failure("fail_deeply", 500)).traceback) < 40_000
    assert "RecursionError" in (await harness.failure("fail_deeply", 10_000)).traceback
    assert "missing 1 required positional argument" in (await harness.failure("fail")).traceback


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("syntax error of bytes", "SyntaxError: x"),
        ("unprintable", "UnprintableError"),
        ("surrogates", "ValueError: \\ud800"),
        ("huge", "ValueError: xxx"),
        ("base exception", "BaseException: bare"),
    ],
)
async def test_an_exception_that_cannot_be_formatted_fails_only_its_job(
    harness: SlotHarness, name: str, message: str
) -> None:
    pid = await harness.value("pid")
    failed = await harness.failure("raise_odd", name)
    assert (failed.reason, failed.function) == (FailureReason.EXCEPTION, f"{JOBS}.raise_odd")
    assert message in error_message(failed.traceback)
    assert await harness.value("pid") == pid, "the executor survives"


async def test_the_failure_of_a_task_group_names_its_exception(harness: SlotHarness) -> None:
    failed = await harness.failure("fail_in_a_task_group", False)
    assert first_line(failed.traceback) == "ValueError: boom"
    assert failed.traceback.splitlines()[1].endswith(", in fail_in_a_task_group")
    assert not failed.final
    assert (await harness.failure("fail_in_a_task_group", True)).final


@pytest.mark.parametrize("path", ["os.\ud800", "x" * 5000, "\x1b[2J"])
async def test_a_record_that_names_an_odd_function_fails_only_its_job(harness: SlotHarness, path: str) -> None:
    pid = await harness.value("pid")
    rejected = await harness.failure("note", data=json.dumps([path, None, [], {}]).encode())
    assert rejected.reason is FailureReason.REJECTED
    assert len(rejected.function) <= 200
    assert len(rejected.traceback) < 500
    assert await harness.value("pid") == pid, "the executor survives"


async def test_a_returned_retry_with_numbers_without_bound_is_taken(harness: SlotHarness) -> None:
    outcome = await harness.run("ask_for_odd_retries", from_http=False)
    assert isinstance(outcome, Retried)
    assert (outcome.max_retries, outcome.intervals) == (10**9, (10**9,))


async def test_output_and_threads_of_a_job_harm_no_other_job(
    capfd: pytest.CaptureFixture[str], make_harness: MakeHarness
) -> None:
    harness = make_harness()
    assert await harness.value("shout", 2000) == 2000
    assert await harness.value("start_threads") is None
    assert await harness.value("coroutine", 1) == 1
    await harness.close()
    captured = capfd.readouterr()
    assert captured.out == "", "jobs print to standard error"
    assert captured.err.count("out x") == 2000


async def test_timers_and_handlers_left_by_a_job_do_not_hit_the_next(harness: SlotHarness) -> None:
    pid = await harness.value("pid")
    await harness.value("leave_an_alarm_behind")
    await harness.value("wait", 0.1)
    assert await harness.value("pid") == pid
    assert (await harness.failure("terminate_itself")).reason is FailureReason.WORKER_LOST, "the handler is restored"


async def test_a_forked_child_that_returns_reports_nothing(harness: SlotHarness) -> None:
    await harness.value("fork_and_return")
    assert {await harness.value("pid") for _ in range(10)} == {harness.slot.pid}


async def test_killing_a_job_kills_the_processes_that_it_started(harness: SlotHarness, tmp_path: Path) -> None:
    await harness.ready()
    notes = tmp_path / "notes"
    harness.assign(("start_a_process_and_wait", str(notes)))
    await harness.wait(lambda: notes.exists() and notes.read_text())
    running = harness.slot.running()
    assert running is not None
    harness.slot.kill(running.sequence, KillReason.TIMEOUT)
    await harness.wait(lambda: not harness.slot.busy)
    grandchild = int(notes.read_text())
    until(lambda: not is_alive(grandchild), wanted="the end of the process that the job started")


async def test_a_result_that_cannot_be_stored_fails_the_job_for_good(harness: SlotHarness) -> None:
    assert "cannot be written as JSON" in (await harness.failure("unserialisable")).traceback
    assert "cannot be written as JSON" in (await harness.failure("nan")).traceback
    too_large = await harness.failure("large", MIB)
    assert "the maximum is 1048576" in too_large.traceback
    assert too_large.final, "another try would end the same"
    assert await harness.value("unserialisable", from_http=False) == "Unserializable return value"


async def test_rejected_jobs_do_not_run(harness: SlotHarness, tmp_path: Path) -> None:
    pickled = pickle.dumps((f"{JOBS}.note", None, (str(tmp_path / "notes"), "x"), {}))
    rejected = await harness.failure("note", data=pickled)
    assert (rejected.reason, rejected.function) == (FailureReason.REJECTED, "")
    assert "WORKMANAGER_ALLOW_PICKLE" in rejected.traceback
    rejected = await harness.failure("note", data=json.dumps(["os.remove", None, [], {}]).encode())
    assert (rejected.reason, rejected.function) == (FailureReason.REJECTED, "os.remove")
    callbacks = RqCallbacks(RqCallback("os.remove", 60), None, None)
    rejected = await harness.failure("note", str(tmp_path / "notes"), "x", rq_callbacks=callbacks)
    assert (rejected.reason, rejected.function) == (FailureReason.REJECTED, f"{JOBS}.note")
    assert "its on_success callback cannot be called: the function 'os.remove' is not registered" in rejected.traceback
    assert not (tmp_path / "notes").exists()


async def test_pickled_jobs_run_if_they_are_allowed(make_harness: MakeHarness) -> None:
    harness = make_harness(allow_pickle=True)
    outcome = await harness.run("pid", data=pickle.dumps((f"{JOBS}.coroutine", None, (42,), {})), from_http=False)
    assert isinstance(outcome, Finished)
    assert pickle.loads(base64.b64decode(outcome.value)) == 42
    outcome = await harness.run(
        "pid", data=pickle.dumps((f"{JOBS}.ask_for_another_try", None, (), {})), from_http=False
    )
    assert isinstance(outcome, Retried)
    assert pickle.loads(base64.b64decode(outcome.value)).intervals == [1, 5]


async def test_a_returned_retry_is_passed_on(harness: SlotHarness) -> None:
    outcome = await harness.run("ask_for_another_try", from_http=False)
    assert isinstance(outcome, Retried)
    assert (outcome.max_retries, outcome.intervals, outcome.at_front) == (2, (1, 5), True)


async def test_the_current_job_is_read_and_written_through_the_agent(harness: SlotHarness) -> None:
    record = {b"data": b'["f", null, [], {}]', b"status": b"started", b"origin": b"q", b"meta": b'{"count": 4}'}
    harness.answers = {"hgetall": record, "status": b"started", "meta": b"{}"}
    outcome = await harness.run("change_its_status")
    assert isinstance(outcome, Failed)
    assert "cannot use its Redis connection (hset of status)" in outcome.traceback
    failed = await harness.failure("use_redis_of_the_job")
    assert "RuntimeError: a job on this worker cannot use its Redis connection (set)" in failed.traceback
    harness.queries.clear()
    assert await harness.value("save_meta_from_a_thread", from_http=False, id="own") is not None
    written = [
        json.loads(value)
        for job_id, verb, field, value in harness.queries
        if (job_id, verb, field) == ("own", "hset", "meta")
    ]
    assert {"count": 4, "0": 0, "1": 1, "2": 2, "3": 3} in written


async def test_a_job_that_does_not_use_its_record_sends_no_query(harness: SlotHarness) -> None:
    await harness.value("pid")
    assert harness.queries == []


async def test_garbage_written_by_a_job_fails_only_that_job(harness: SlotHarness) -> None:
    await harness.failure("write_into_every_socket")
    assert await harness.value("coroutine", 1) == 1


@pytest.mark.parametrize("garbage", ["\xff" * 64, "\0\0\0\1\xc1"], ids=["no length", "no message"])
async def test_garbage_costs_no_report_before_or_after_it(harness: SlotHarness, tmp_path: Path, garbage: str) -> None:
    await harness.value("pid")
    last = tmp_path / "last"
    *good, bad, behind = harness.assign(
        *[("wait", 0.002)] * 5, ("write_into_every_socket", garbage), ("note", str(last), "behind the garbage")
    )
    until(last.exists)  # This blocks the event loop, so that no report is read meanwhile.
    outcomes = await harness.outcomes([*good, bad, behind])
    assert [type(outcome) for outcome in outcomes] == [Finished] * 5 + [Failed, Finished]
    assert (harness.released, last.read_text()) == ([], "behind the garbage\n")
