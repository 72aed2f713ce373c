"""What jobs print and log is kept with them, whatever prints it, and with no other job."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio

from jobqueue.lifecycle.finish import Failed
from jobqueue.model import FailureReason
from tests.acceptance.worker_node.conftest import wait_for_file
from tests.acceptance.worker_node.slot_harness import MakeHarness, SlotHarness
from worker_node.slots.captured_bytes import HEAD_BYTES, TAIL_BYTES
from worker_node.slots.outcomes import KillReason

MODULE = "tests.acceptance.worker_node.printing_jobs"


@pytest_asyncio.fixture(params=[False, True], ids=["shared", "isolated"])
async def harness(
    make_harness: MakeHarness, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> SlotHarness:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # With it, the C library holds nothing back either.
    return make_harness(modules=MODULE, isolates=request.param, keep_output="all")


async def lines_of(harness: SlotHarness, function: str, *args: Any) -> list[tuple[str, str]]:
    """Run a job that must succeed; return what it has printed."""
    await harness.value(f"{MODULE}.{function}", *args)
    return harness.printed.get(harness.ended[-1].job.id, [])


async def test_output_is_captured_whatever_writes_it(harness: SlotHarness) -> None:
    assert await lines_of(harness, "say", "hällo\ntwice") == [("stdout", "hällo"), ("stdout", "twice")]
    assert await lines_of(harness, "write_raw", "raw") == [("stdout", "raw"), ("stderr", "raw on stderr")]
    assert await lines_of(harness, "print_from_c", "C") == [("stdout", "C"), ("stdout", "no end")]
    assert await lines_of(harness, "print_in_a_thread", "threaded") == [("stdout", "threaded")]
    assert sorted(await lines_of(harness, "run_a_program", "sh")) == [("stderr", "sh"), ("stdout", "sh")]


async def test_logging_is_captured_with_level_and_logger_unless_the_job_configures_it(harness: SlotHarness) -> None:
    assert await lines_of(harness, "log_at_levels") == [
        ("stderr", "INFO app.printing: level 20"),
        ("stderr", "WARNING app.printing: level 30"),
        ("stderr", "ERROR app.printing: level 40"),
    ]
    assert await lines_of(harness, "configure_logging") == [("stdout", "own format: hello")]
    assert len(await lines_of(harness, "log_at_levels")) == 3, "the next job has its own configuration"


async def test_output_of_jobs_in_one_batch_is_not_mixed(harness: SlotHarness) -> None:
    await harness.ready()
    calls = [(f"{MODULE}.{'say' if n % 3 else 'say_and_fail'}", f"job {n}") for n in range(30)]
    ids: list[str] = []
    while calls:  # As many as the slot takes at a time.
        room = max(1, harness.slot.max_accept(monotonic()))
        ids += harness.assign(*calls[:room])
        calls = calls[room:]
        await harness.outcomes(ids)
    assert [harness.printed[job_id] for job_id in ids] == [[("stdout", f"job {n}")] for n in range(30)]


async def test_what_a_job_leaves_behind_prints_into_no_other_job(harness: SlotHarness) -> None:
    assert ("stdout", "stray") in await lines_of(harness, "leave_a_program_that_prints")
    assert await lines_of(harness, "say", "clean") == [("stdout", "clean")]


async def test_a_job_that_prints_a_lot_is_not_held_up_and_its_head_and_tail_are_kept(make_harness: MakeHarness) -> None:
    harness = make_harness(modules=MODULE, keep_output="all")
    latest = 0.0

    async def watch_the_loop() -> None:
        nonlocal latest
        while True:
            start = monotonic()
            await asyncio.sleep(0.01)
            latest = max(latest, monotonic() - start)

    watching = asyncio.create_task(watch_the_loop())
    seconds = await harness.value(f"{MODULE}.print_a_lot", 100)
    watching.cancel()
    lines = [text for _, text in harness.printed[harness.ended[-1].job.id]]
    assert (lines[0], lines[-1]) == ("first", "last")
    (left_out,) = [text for text in lines if text.endswith("are left out here)")]
    assert left_out.startswith("(1,04")
    # If it runs for longer than a second, it is passed on in several parts.
    assert sum(map(len, lines)) < (HEAD_BYTES + TAIL_BYTES) * (1 + seconds / 0.25)
    assert seconds < 5, "10 MB/s would be too slow even on a busy machine"
    assert latest < 1, "the agent does other work meanwhile"


async def test_the_last_lines_of_a_killed_job_are_kept(harness: SlotHarness, tmp_path: Path) -> None:
    failed = await harness.failure(f"{MODULE}.print_and_die")
    assert failed.reason is FailureReason.WORKER_LOST
    assert harness.printed[failed.job.id] == [("stdout", "last words")]

    await harness.ready()
    (job_id,) = harness.assign((f"{MODULE}.print_from_c_and_wait", "from C", str(tmp_path / "printed")))
    await wait_for_file(tmp_path / "printed")
    running = harness.slot.running()
    assert running is not None
    harness.slot.kill(running.sequence, KillReason.TIMEOUT)
    await harness.outcomes([job_id])
    assert harness.printed[job_id] == [("stdout", "from C"), ("stdout", "from Python")]


async def test_a_job_that_closes_its_stdout_has_a_result_and_its_output(harness: SlotHarness) -> None:
    for how in ("descriptor", "python"):
        assert await lines_of(harness, "close_stdout", how) == [("stdout", "before")]
        assert await lines_of(harness, "say", "again") == [("stdout", "again")]


async def test_only_output_of_failures_and_long_runs_is_kept_unless_asked_for_more(
    make_harness: MakeHarness, tmp_path: Path
) -> None:
    harness = make_harness(modules=MODULE)
    assert await lines_of(harness, "say", "short") == []
    failed = await harness.failure(f"{MODULE}.say_and_fail", "why")
    assert isinstance(failed, Failed)
    assert harness.printed == {failed.job.id: [("stdout", "why")]}

    (job_id,) = harness.assign((f"{MODULE}.print_slowly", str(tmp_path / "go")))
    await harness.wait(lambda: harness.slot.running())
    running = harness.slot.running()
    assert running is not None
    # As the watchdog does when a job has run for a second.
    await harness.wait(lambda: harness.slot.pass_on_output(running) or harness.printed.get(job_id))
    assert harness.printed[job_id] == [("stdout", "early")]
    await asyncio.sleep(max(0.0, running.started_at + 1.0 - monotonic()))
    (tmp_path / "go").touch()
    await harness.outcomes([job_id])
    assert harness.printed[job_id] == [("stdout", "early"), ("stdout", "late")]


async def test_no_output_is_kept_if_none_is_asked_for(make_harness: MakeHarness, tmp_path: Path) -> None:
    harness = make_harness(modules=MODULE, keep_output="none")
    await harness.failure(f"{MODULE}.say_and_fail", "why")
    await harness.failure(f"{MODULE}.print_and_die")
    await harness.ready()
    harness.assign((f"{MODULE}.print_from_c_and_wait", "C", str(tmp_path / "printed")))
    await wait_for_file(tmp_path / "printed")
    running = harness.slot.running()
    assert running is not None
    harness.slot.pass_on_output(running)
    assert harness.printed == {}
