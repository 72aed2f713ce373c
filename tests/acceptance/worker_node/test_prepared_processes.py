"""Jobs in processes of their own, of which the next one is made while a job runs."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest_asyncio

from jobqueue.lifecycle.finish import Finished
from tests.acceptance.worker_node.slot_harness import MakeHarness, SlotHarness, value_of
from tests.processes import children_of, is_alive
from tests.waiting import until


@pytest_asyncio.fixture
async def isolated(make_harness: MakeHarness, tmp_path: Path) -> SlotHarness:
    """A slot whose executor knows the functions of these tests: it prepares nothing for functions that it does not."""
    harness = make_harness(isolates=True)
    await harness.value("parents_pid")
    await harness.value("note", str(tmp_path / "known"), "")
    await harness.value("living", str(tmp_path / "known"))
    return harness


class _Pair:
    """A job that runs until `finish`, and another one behind it in the same batch."""

    def __init__(self, harness: SlotHarness, directory: Path, *following: Any) -> None:
        self._harness = harness
        self._notes, self._gate = directory / "running", directory / "gate"
        self.ids = harness.assign(("note_pid_then_wait", str(self._notes), str(self._gate)), following)

    async def prepared(self) -> int:
        """Wait until the first job runs and the process for the second one is made; return its id."""
        executor = self._harness.slot.pid
        await self._harness.wait(lambda: self._notes.exists() and self._notes.read_text(), "the first job's start")
        running = int(self._notes.read_text())
        await self._harness.wait(lambda: {*children_of(executor)} - {running}, "a process for the second job")
        (found,) = {*children_of(executor)} - {running}
        return found

    def finish(self) -> None:
        """Let the first job end."""
        self._gate.touch()


async def test_a_job_begins_in_its_prepared_process_when_the_one_before_has_ended(
    isolated: SlotHarness, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    pair = _Pair(isolated, tmp_path, "note_pid_then_wait", str(notes), str(tmp_path / "gate"))
    process = await pair.prepared()
    assert not notes.exists(), "one job at a time"
    pair.finish()
    assert all(isinstance(each, Finished) for each in await isolated.outcomes(pair.ids))
    assert notes.read_text() == f"{process}\n"
    until(lambda: not is_alive(process), wanted="the end of the second job's process")
    until(lambda: children_of(isolated.slot.pid) == [], wanted="no child")


async def test_a_prepared_process_has_no_connection_but_its_own(isolated: SlotHarness, tmp_path: Path) -> None:
    await isolated.value("what_is_shared")
    pair = _Pair(isolated, tmp_path, "what_is_shared")
    await pair.prepared()
    pair.finish()
    _, found = await isolated.outcomes(pair.ids)
    descriptors, memory = value_of(found)
    assert len([path for path in descriptors if path.startswith("socket:")]) == 1
    assert [text for text in (*descriptors, *memory) if "memfd" in text] == []


async def test_what_a_job_has_started_ends_before_the_next_job_begins(isolated: SlotHarness, tmp_path: Path) -> None:
    for number in range(5):
        notes = str(tmp_path / f"notes{number}")
        _, found = await isolated.outcomes(isolated.assign(("start_daemon", notes, False), ("living", notes)))
        assert value_of(found) == []


async def test_a_prepared_process_that_was_killed_costs_no_job(isolated: SlotHarness, tmp_path: Path) -> None:
    pair = _Pair(isolated, tmp_path, "parents_pid")
    process = await pair.prepared()
    os.kill(process, signal.SIGKILL)
    until(lambda: not is_alive(process), wanted="its end")
    pair.finish()
    assert all(isinstance(each, Finished) for each in await isolated.outcomes(pair.ids))


async def test_a_prepared_process_ends_if_its_job_is_withdrawn(isolated: SlotHarness, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    pair = _Pair(isolated, tmp_path, "note", str(notes), "ran")
    process = await pair.prepared()
    isolated.slot.withdraw()
    await isolated.wait(lambda: [job.id for job in isolated.released] == pair.ids[1:], "the second job, given back")
    pair.finish()
    until(lambda: not is_alive(process), wanted="the end of its process")
    assert not notes.exists()
    assert isinstance(await isolated.run("parents_pid"), Finished)


async def test_a_prepared_process_ends_with_its_executor(isolated: SlotHarness, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    pair = _Pair(isolated, tmp_path, "note", str(notes), "ran")
    process = await pair.prepared()
    os.kill(isolated.slot.pid, signal.SIGKILL)
    until(lambda: not is_alive(process), wanted="its end")
    await isolated.wait(lambda: not isolated.slot.busy)
    assert not notes.exists()
    assert [job.id for job in isolated.released] == pair.ids[1:], "the second job runs elsewhere"
