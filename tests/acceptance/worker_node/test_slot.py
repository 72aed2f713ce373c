"""A slot with real executor processes: its order, its room, its kills and replacements."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import signal
import statistics
from pathlib import Path
from time import monotonic

import pytest

from jobqueue.lifecycle.finish import Failed, Finished, Stopped
from jobqueue.model import FailureReason
from tests.acceptance.worker_node.slot_harness import JOBS, MIB, MakeHarness, SlotHarness
from worker_node.slots.outcomes import KillReason


async def test_jobs_run_in_order_in_one_process_and_are_reported(bench: SlotHarness, tmp_path: Path) -> None:
    await bench.ready()
    notes = tmp_path / "notes"
    outcomes = await bench.outcomes(bench.assign(*[("note", str(notes), str(n)) for n in range(50)]))
    assert all(isinstance(outcome, Finished) for outcome in outcomes)
    assert {outcome.function for outcome in outcomes} == {f"{JOBS}.note"}
    assert notes.read_text().split() == [str(n) for n in range(50)]
    assert await bench.value("pid") == await bench.value("pid") == bench.slot.pid


async def test_a_coroutine_is_awaited(bench: SlotHarness) -> None:
    assert await bench.value("coroutine", 42) == 42


async def test_an_executor_killed_from_outside_fails_the_job_that_ran(bench: SlotHarness) -> None:
    await bench.ready()
    (running,) = bench.assign(("wait", 60))
    await bench.wait(bench.slot.running)
    assert bench.slot.pid is not None
    os.kill(bench.slot.pid, signal.SIGKILL)
    (outcome,) = await bench.outcomes([running])
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailureReason.WORKER_LOST


async def test_an_idle_executor_killed_from_outside_is_replaced(bench: SlotHarness) -> None:
    await bench.ready()
    pid = bench.slot.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await bench.wait(lambda: bench.slot.pid not in (None, pid), "another executor")
    assert await bench.value("coroutine", 1) == 1
    assert (bench.released, len(bench.ended)) == ([], 1)


async def test_a_kill_ends_a_job_that_ignores_signals_and_decides_its_outcome(bench: SlotHarness) -> None:
    for why, expected in ((KillReason.TIMEOUT, Failed), (KillReason.CANCELLED, Stopped)):
        await bench.ready()
        looping, behind = bench.assign(("loop_for_ever",), ("pid",), timeout_seconds=7)
        await bench.wait(lambda: bench.slot.running() and bench.slot.pid)
        running = bench.slot.running()
        assert running is not None
        bench.slot.kill(running.sequence, why)
        (outcome,) = await bench.outcomes([looping])
        assert isinstance(outcome, expected)
        assert [job.id for job in bench.released] == [behind]
        bench.released.clear()
        if isinstance(outcome, Failed):
            assert outcome.reason is FailureReason.TIMEOUT
            assert outcome.traceback.endswith("its timeout is 7 seconds")


async def test_a_job_whose_lease_is_lost_is_killed_and_not_reported(bench: SlotHarness) -> None:
    for why, returned in ((KillReason.LEASE_LOST, 0), (KillReason.DRAINED, 1)):
        await bench.ready()
        bench.assign(("loop_for_ever",))
        await bench.wait(bench.slot.running)
        running = bench.slot.running()
        assert running is not None
        bench.slot.kill(running.sequence, why)
        await bench.wait(lambda: not bench.slot.busy)
        assert (bench.ended, len(bench.released)) == ([], returned)


async def test_a_kill_for_a_job_that_has_just_ended_kills_nothing(bench: SlotHarness) -> None:
    await bench.ready()
    first, second = bench.assign(("wait", 0.01), ("wait", 0.2))
    await bench.outcomes([first])
    pid = bench.slot.pid
    bench.slot.kill(1, KillReason.TIMEOUT)
    (outcome,) = await bench.outcomes([second])
    assert isinstance(outcome, Finished)
    assert bench.slot.pid == pid


async def test_withdrawn_jobs_that_have_not_started_never_run(bench: SlotHarness, tmp_path: Path) -> None:
    await bench.ready()
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    begin = ("note_then_wait", str(notes), "first", str(gate))
    running, *waiting = bench.assign(begin, *[("note", str(notes), "withdrawn")] * 20)
    await bench.wait(notes.exists)
    bench.slot.withdraw()
    await bench.wait(lambda: bench.released)
    assert [job.id for job in bench.released] == waiting
    # More come while the withdrawn ones still stand in the socket.
    later = bench.assign(("note", str(notes), "later"), ("note", str(notes), "later"))
    bench.slot.withdraw()
    await bench.wait(lambda: len(bench.released) == 22)
    last = bench.assign(("note", str(notes), "last"))
    gate.touch()
    await bench.outcomes([running, *last])
    assert notes.read_text().split() == ["first", "last"]
    assert [job.id for job in bench.released] == [*waiting, *later]


async def test_jobs_withdrawn_while_short_jobs_run_either_run_once_or_are_released(bench: SlotHarness, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    await bench.value("note", str(notes), "the import of the module is over")
    notes.write_text("")
    bench.ended.clear()
    ids: list[str] = []
    for round_ in range(40):
        ids += bench.assign(*[("note", str(notes), f"{round_}-{n}") for n in range(40)])
        await asyncio.sleep(0.0005 * (round_ % 5))
        bench.slot.withdraw()
    await bench.wait(lambda: not bench.slot.busy)
    ended, returned = [outcome.job.id for outcome in bench.ended], [job.id for job in bench.released]
    assert sorted(ended + returned) == sorted(ids), "each is either here or there"
    assert len(notes.read_text().split()) == len(ended)
    assert returned, "the test has withdrawn something"


async def test_a_short_jobs_report_does_not_wait_for_the_long_one_behind_it(bench: SlotHarness, tmp_path: Path) -> None:
    await bench.ready()
    await bench.value("pid")
    gate = tmp_path / "gate"
    short, also_short, long = bench.assign(("pid",), ("pid",), ("note_then_wait", str(tmp_path / "n"), "", str(gate)))
    await bench.outcomes([short, also_short])
    assert long not in {outcome.job.id for outcome in bench.ended}
    gate.touch()
    await bench.outcomes([long])


async def test_large_results_are_reported(bench: SlotHarness) -> None:
    await bench.ready()
    outcomes = await bench.outcomes(bench.assign(*[("large", MIB - 2)] * 8))
    assert all(isinstance(outcome, Finished) for outcome in outcomes)


async def test_executors_are_replaced_between_two_jobs_after_max_jobs(make_bench: MakeHarness) -> None:
    bench = make_bench(max_jobs=10)
    await bench.ready()
    pid = bench.slot.pid
    outcomes = await bench.outcomes(bench.assign(*[("pid",)] * 15))
    assert {json.loads(base64.b64decode(outcome.value)) for outcome in outcomes if isinstance(outcome, Finished)} == {
        pid
    }
    await bench.wait(lambda: bench.slot.pid not in (None, pid), "another executor")
    assert await bench.value("pid") != pid
    assert len(bench.ended) == 16
    assert bench.released == []


async def test_executors_are_replaced_when_they_have_grown(make_bench: MakeHarness) -> None:
    bench = make_bench(max_growth_bytes=64 * MIB)
    pid = await bench.value("pid")
    await bench.value("wait", 0.6)
    assert await bench.value("pid") == pid
    await bench.value("take_memory", 100)
    await bench.value("wait", 0.6)
    assert await bench.value("pid") != pid


async def test_an_executor_that_cannot_start_takes_no_job_and_is_restarted(
    make_bench: MakeHarness, caplog: pytest.LogCaptureFixture
) -> None:
    bench = make_bench(modules="no_such_module")
    await bench.wait(lambda: caplog.text.count("event=executor_start_failed") >= 2)
    assert bench.slot.jobs_wanted(monotonic()) == 0
    assert "retry_in_seconds=0.1" in caplog.text
    assert "retry_in_seconds=0.2" in caplog.text


async def test_a_slot_prefetches_jobs_only_if_they_are_short(bench: SlotHarness, tmp_path: Path) -> None:
    await bench.ready()
    assert bench.slot.jobs_wanted(monotonic()) == 1
    for _ in range(1000):  # The first imports the module, which takes a while to be outweighed.
        await bench.value("noop")
        if bench.slot.jobs_wanted(monotonic()) == 128:
            break
    assert bench.slot.jobs_wanted(monotonic()) == 128
    bench.assign(*[("pid",)] * 100)
    assert bench.slot.jobs_wanted(monotonic()) == 156
    await bench.wait(lambda: not bench.slot.busy)
    gate, notes = tmp_path / "gate", tmp_path / "notes"
    bench.assign(("note_then_wait", str(notes), "x", str(gate)))
    await bench.wait(notes.exists)
    await bench.wait(lambda: bench.slot.jobs_wanted(monotonic()) == 0, "no more behind one that takes its time")
    gate.touch()
    await bench.wait(lambda: not bench.slot.busy)
    await bench.value("wait", 0.1)
    assert bench.slot.jobs_wanted(monotonic()) == 1


async def test_consecutive_short_jobs_are_reported_in_batches(bench: SlotHarness) -> None:
    await bench.ready()
    bench.assign(*[("wait", 0.01)] * 40)
    await bench.wait(lambda: not bench.slot.busy)
    # Jobs that end 10 ms apart are heard of one by one, or several in the same moment.
    moments = 1 + sum(later - earlier > 0.005 for earlier, later in itertools.pairwise(bench.reported_at))
    assert len(bench.reported_at) == 40
    assert moments < 25
    # One alone is not waited for.
    seconds = []
    for _ in range(20):
        started = monotonic()
        await bench.value("noop")
        seconds.append(monotonic() - started)
    assert statistics.quantiles(seconds)[0] < 0.045, seconds
