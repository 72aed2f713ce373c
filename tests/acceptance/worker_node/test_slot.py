"""A slot with real executor processes: order, prefetch, kills and restarts."""

import asyncio
import base64
import itertools
import json
import os
import signal
import statistics
import sys
from pathlib import Path
from time import monotonic

import pytest

from jobqueue.functions import source_hash
from jobqueue.lifecycle.finish import Failed, Finished, Stopped
from jobqueue.model import FailureReason
from tests.acceptance.worker_node import job_functions
from tests.acceptance.worker_node.slot_harness import JOBS, MIB, MakeHarness, SlotHarness
from worker_node.slots.executor_keeper import MIN_RESTART_SECONDS
from worker_node.slots.outcomes import KillReason
from worker_node.slots.prefetch import MAX_BATCH_SIZE, MAX_HELD_JOBS


async def test_jobs_run_in_order_in_one_process_and_are_reported(harness: SlotHarness, tmp_path: Path) -> None:
    await harness.ready()
    notes = tmp_path / "notes"
    outcomes = await harness.outcomes(harness.assign(*[("note", str(notes), str(n)) for n in range(50)]))
    assert all(isinstance(outcome, Finished) for outcome in outcomes)
    assert {outcome.function for outcome in outcomes} == {f"{JOBS}.note"}
    assert notes.read_text().split() == [str(n) for n in range(50)]
    assert await harness.value("pid") == await harness.value("pid") == harness.slot.pid


async def test_a_coroutine_is_awaited(harness: SlotHarness) -> None:
    assert await harness.value("coroutine", 42) == 42


@pytest.mark.parametrize("isolates", [False, True])
async def test_a_job_that_dies_or_is_killed_tells_which_version_of_its_function_ran(
    make_harness: MakeHarness, tmp_path: Path, isolates: bool
) -> None:
    harness = make_harness(isolates=isolates)
    version = source_hash(Path(job_functions.__file__))
    assert (await harness.failure("leave_at_once", 3)).version == version
    await harness.ready()
    notes = tmp_path / "notes"
    harness.assign(("note_pid_then_wait", str(notes), str(tmp_path / "never")))
    await harness.wait(notes.exists)
    running = harness.slot.running()
    assert running is not None
    harness.slot.kill(running.sequence, KillReason.TIMEOUT)
    await harness.wait(lambda: not harness.slot.busy)
    killed = harness.ended[-1]
    assert isinstance(killed, Failed)
    assert (killed.reason, killed.version) == (FailureReason.TIMEOUT, version)
    await harness.ready()
    built_in = harness.assign(("worker_node.functions.sleep", 60))
    await harness.wait(lambda: harness.slot.running() is not None)
    sleeping = harness.slot.running()
    assert sleeping is not None
    harness.slot.kill(sleeping.sequence, KillReason.TIMEOUT)
    (ended,) = await harness.outcomes(built_in)
    assert isinstance(ended, Failed)
    assert ended.version == ""


async def test_a_generator_is_a_result_that_cannot_be_stored_and_is_not_run(
    harness: SlotHarness, tmp_path: Path
) -> None:
    outcome = await harness.run("generator", str(tmp_path / "notes"))
    assert isinstance(outcome, Failed)
    assert (outcome.traceback, outcome.final) == (
        "the result cannot be written as JSON: TypeError: Object of type generator is not JSON serializable",
        True,
    )
    assert not (tmp_path / "notes").exists()


async def test_wrong_arguments_of_a_built_in_function_fail_it_at_once(harness: SlotHarness) -> None:
    calls: list[tuple[str, list[object], dict[str, object], str]] = [
        ("http", [], {}, "missing 1 required positional argument: 'url'"),
        ("http", ["http://a.test"], {"verb": "GET"}, "unexpected keyword argument 'verb'"),
        ("http", [5], {}, "cannot call the URL: TypeError"),
        ("http", ["no URL"], {}, "cannot call the URL"),
        ("sha512", [], {"data": "YQ=="}, "missing 1 required positional argument: 'iterations'"),
        ("sha512", [], {"data": "YQ==", "iterations": 0}, "iterations must be an integer"),
        ("sha512", [], {"data": "no base64", "iterations": 1}, "is not base64"),
        ("sha512", [], {"data": 5, "iterations": 1}, "TypeError"),
        ("sleep", [], {}, "missing 1 required positional argument: 'seconds'"),
        ("sleep", ["1"], {}, "TypeError"),
        ("sleep", [-1], {}, "must be non-negative"),
        ("sleep", [1e30], {}, "OverflowError"),
    ]
    for function, args, kwargs, message in calls:
        data = json.dumps([f"worker_node.functions.{function}", None, args, kwargs]).encode()
        outcome = await harness.run("pid", data=data)
        assert isinstance(outcome, Failed), (function, args, kwargs)
        assert message in outcome.traceback
        assert outcome.final, f"a retry of {function} cannot help: {message}"


async def test_the_same_errors_of_an_operators_function_are_retried(harness: SlotHarness) -> None:
    outcome = await harness.run("coroutine")
    assert isinstance(outcome, Failed)
    assert "missing 1 required positional argument: 'value'" in outcome.traceback
    assert not outcome.final


async def test_an_executor_killed_from_outside_fails_the_job_that_ran(harness: SlotHarness) -> None:
    await harness.ready()
    (running,) = harness.assign(("wait", 60))
    await harness.wait(harness.slot.running)
    assert harness.slot.pid is not None
    os.kill(harness.slot.pid, signal.SIGKILL)
    (outcome,) = await harness.outcomes([running])
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailureReason.WORKER_LOST


async def test_an_idle_executor_killed_from_outside_is_replaced(harness: SlotHarness) -> None:
    await harness.ready()
    pid = harness.slot.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await harness.wait(lambda: harness.slot.pid not in (None, pid), "another executor")
    assert await harness.value("coroutine", 1) == 1
    assert (harness.released, len(harness.ended)) == ([], 1)


async def test_a_kill_ends_a_job_that_ignores_signals_and_decides_its_outcome(harness: SlotHarness) -> None:
    for reason, expected in ((KillReason.TIMEOUT, Failed), (KillReason.CANCELLED, Stopped)):
        await harness.ready()
        looping, behind = harness.assign(("loop_for_ever",), ("pid",), timeout_seconds=7)
        await harness.wait(lambda: harness.slot.running() and harness.slot.pid)
        running = harness.slot.running()
        assert running is not None
        harness.slot.kill(running.sequence, reason)
        (outcome,) = await harness.outcomes([looping])
        assert isinstance(outcome, expected)
        assert [job.id for job in harness.released] == [behind]
        harness.released.clear()
        if isinstance(outcome, Failed):
            assert outcome.reason is FailureReason.TIMEOUT
            assert outcome.traceback.endswith("its timeout is 7 seconds")


async def test_a_job_whose_lease_is_lost_is_killed_and_not_reported(harness: SlotHarness) -> None:
    for reason, released in ((KillReason.LEASE_LOST, 0), (KillReason.DRAINED, 1)):
        await harness.ready()
        harness.assign(("loop_for_ever",))
        await harness.wait(harness.slot.running)
        running = harness.slot.running()
        assert running is not None
        harness.slot.kill(running.sequence, reason)
        await harness.wait(lambda: not harness.slot.busy)
        assert (harness.ended, len(harness.released)) == ([], released)


async def test_a_kill_for_a_job_that_has_just_ended_kills_nothing(harness: SlotHarness) -> None:
    await harness.ready()
    first, second = harness.assign(("wait", 0.01), ("wait", 0.2))
    await harness.outcomes([first])
    pid = harness.slot.pid
    harness.slot.kill(1, KillReason.TIMEOUT)
    (outcome,) = await harness.outcomes([second])
    assert isinstance(outcome, Finished)
    assert harness.slot.pid == pid


async def test_withdrawn_jobs_that_have_not_started_never_run(harness: SlotHarness, tmp_path: Path) -> None:
    await harness.ready()
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    first = ("note_then_wait", str(notes), "first", str(gate))
    running, *waiting = harness.assign(first, *[("note", str(notes), "withdrawn")] * 20)
    await harness.wait(notes.exists)
    harness.slot.withdraw()
    await harness.wait(lambda: harness.released)
    assert [job.id for job in harness.released] == waiting
    # More jobs arrive while the withdrawn ones are still in the socket.
    later = harness.assign(("note", str(notes), "later"), ("note", str(notes), "later"))
    harness.slot.withdraw()
    await harness.wait(lambda: len(harness.released) == 22)
    last = harness.assign(("note", str(notes), "last"))
    gate.touch()
    await harness.outcomes([running, *last])
    assert notes.read_text().split() == ["first", "last"]
    assert [job.id for job in harness.released] == [*waiting, *later]


async def test_jobs_withdrawn_while_short_jobs_run_either_run_once_or_are_released(
    harness: SlotHarness, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    await harness.value("note", str(notes), "the import of the module is over")
    notes.write_text("")
    harness.ended.clear()
    ids: list[str] = []
    for round_ in range(40):
        ids += harness.assign(*[("note", str(notes), f"{round_}-{n}") for n in range(40)])
        await asyncio.sleep(0.0005 * (round_ % 5))
        harness.slot.withdraw()
    await harness.wait(lambda: not harness.slot.busy)
    ended, released = [outcome.job.id for outcome in harness.ended], [job.id for job in harness.released]
    assert sorted(ended + released) == sorted(ids), "each job is either reported or released"
    assert len(notes.read_text().split()) == len(ended)
    assert released, "some jobs were withdrawn"


async def test_a_short_jobs_report_does_not_wait_for_the_long_one_behind_it(
    harness: SlotHarness, tmp_path: Path
) -> None:
    await harness.ready()
    await harness.value("pid")
    gate = tmp_path / "gate"
    short, also_short, long = harness.assign(("pid",), ("pid",), ("note_then_wait", str(tmp_path / "n"), "", str(gate)))
    await harness.outcomes([short, also_short])
    assert long not in {outcome.job.id for outcome in harness.ended}
    gate.touch()
    await harness.outcomes([long])


async def test_large_results_are_reported(harness: SlotHarness) -> None:
    await harness.ready()
    outcomes = await harness.outcomes(harness.assign(*[("large", MIB - 2)] * 8))
    assert all(isinstance(outcome, Finished) for outcome in outcomes)


async def test_executors_are_replaced_between_two_jobs_after_max_jobs(make_harness: MakeHarness) -> None:
    harness = make_harness(max_jobs=10)
    await harness.ready()
    pid = harness.slot.pid
    outcomes = await harness.outcomes(harness.assign(*[("pid",)] * 15))
    assert {json.loads(base64.b64decode(outcome.value)) for outcome in outcomes if isinstance(outcome, Finished)} == {
        pid
    }
    await harness.wait(lambda: harness.slot.pid not in (None, pid), "another executor")
    assert await harness.value("pid") != pid
    assert len(harness.ended) == 16
    assert harness.released == []


async def test_executors_are_replaced_when_they_have_grown(make_harness: MakeHarness) -> None:
    harness = make_harness(max_growth_bytes=64 * MIB)
    pid = await harness.value("pid")
    await harness.value("wait", 0.6)
    assert await harness.value("pid") == pid
    await harness.value("take_memory", 100)
    await harness.value("wait", 0.6)
    assert await harness.value("pid") != pid


async def test_an_executor_that_cannot_start_takes_no_job_and_is_restarted(
    make_harness: MakeHarness, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    harness = make_harness()
    await harness.wait(lambda: caplog.text.count("event=executor_start_failed") >= 2)
    assert harness.slot.jobs_wanted(monotonic()) == 0
    assert f"retry_in_seconds={MIN_RESTART_SECONDS:.1f}" in caplog.text
    assert f"retry_in_seconds={2 * MIN_RESTART_SECONDS:.1f}" in caplog.text


async def test_a_slot_prefetches_jobs_only_if_they_are_short(harness: SlotHarness, tmp_path: Path) -> None:
    await harness.ready()
    assert harness.slot.jobs_wanted(monotonic()) == 1
    for _ in range(1000):  # The first job imports the module, and its long run time must be outweighed.
        await harness.value("noop")
        if harness.slot.jobs_wanted(monotonic()) == MAX_BATCH_SIZE:
            break
    assert harness.slot.jobs_wanted(monotonic()) == MAX_BATCH_SIZE
    harness.assign(*[("pid",)] * 100)
    assert harness.slot.jobs_wanted(monotonic()) == MAX_HELD_JOBS - 100
    await harness.wait(lambda: not harness.slot.busy)
    gate, notes = tmp_path / "gate", tmp_path / "notes"
    harness.assign(("note_then_wait", str(notes), "x", str(gate)))
    await harness.wait(notes.exists)
    await harness.wait(lambda: harness.slot.jobs_wanted(monotonic()) == 0, "no prefetch behind a long job")
    gate.touch()
    await harness.wait(lambda: not harness.slot.busy)
    await harness.value("wait", 0.1)
    assert harness.slot.jobs_wanted(monotonic()) == 1


async def test_consecutive_short_jobs_are_reported_in_batches(harness: SlotHarness) -> None:
    await harness.ready()
    harness.assign(*[("wait", 0.01)] * 40)
    await harness.wait(lambda: not harness.slot.busy)
    # Jobs that end 10 ms apart are reported one by one, or several at the same moment.
    moments = 1 + sum(later - earlier > 0.005 for earlier, later in itertools.pairwise(harness.reported_at))
    assert len(harness.reported_at) == 40
    assert moments < 25
    # The report of a single job is not delayed.
    seconds = []
    for _ in range(20):
        started = monotonic()
        await harness.value("noop")
        seconds.append(monotonic() - started)
    assert statistics.quantiles(seconds)[0] < 0.045, seconds
