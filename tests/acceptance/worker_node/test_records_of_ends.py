"""A finished job is recorded at once, and never runs again, whatever the next one on its executor does or suffers."""

import base64
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import Failed, Finished, Outcome, Stopped
from jobqueue.model import NewJob
from tests.acceptance.worker_node import slot_harness
from tests.acceptance.worker_node.conftest import Client, MakeWorker
from tests.acceptance.worker_node.slot_harness import MIB, MakeHarness, SlotHarness
from tests.memory_cgroup import limited_memory
from worker_node.slots.outcomes import KillReason

JOBS = "tests.acceptance.worker_node.ending_jobs"
MODULES = f"{slot_harness.JOBS},{JOBS}"
QUICK_JOBS = 6
RECORDED_SECONDS = 0.1
"""How soon an end must be recorded."""
BUSY_MACHINE_SECONDS = 0.4
"""How much later it may be while other tests keep this machine busy."""


class Neighbours:
    """Quick jobs, a slow one behind them, and two more behind that, all of one batch."""

    def __init__(self, harness: SlotHarness, directory: Path) -> None:
        self.harness = harness
        self.notes = directory / "notes"

    async def start(self, *slow: Any, **changes: Any) -> None:
        """Assign the batch."""
        await self.harness.value("pid")  # The import of the jobs' module is over then.
        await self.harness.value(f"{JOBS}.note_end", os.devnull, "")
        quick = [self.harness.job(f"{JOBS}.note_end", str(self.notes), f"quick {n}") for n in range(QUICK_JOBS)]
        behind = [self.harness.job(f"{JOBS}.note_end", str(self.notes), "behind") for _ in range(2)]
        slow_job = self.harness.job(*slow, **changes)
        self.harness.slot.assign([*quick, slow_job, *behind], time.monotonic())
        self.quick, self.slow, self.behind = [[job.id for job in jobs] for jobs in (quick, [slow_job], behind)]

    async def wait_for_slow(self) -> None:
        """Wait until the slow job has begun."""
        await self.harness.wait(lambda: len(self.runs()) > QUICK_JOBS, "the start of the slow job")

    async def check_quick(self) -> None:
        """Wait until the quick jobs are recorded; each must have run once, and be recorded in time."""
        outcomes = await self.harness.outcomes(self.quick)
        assert all(isinstance(outcome, Finished) for outcome in outcomes), outcomes
        delays = self.delays(outcomes)
        assert max(delays) < RECORDED_SECONDS + BUSY_MACHINE_SECONDS, delays
        assert all(self.runs()[f"quick {n}"] == 1 for n in range(QUICK_JOBS))

    def delays(self, outcomes: Sequence[Outcome]) -> list[float]:
        """Return the seconds from the end of each job to its record."""
        recorded = dict(zip((outcome.job.id for outcome in self.harness.ended), self.harness.reported_at, strict=True))
        return [recorded[outcome.job.id] - _value(outcome) for outcome in outcomes]

    def runs(self) -> Counter[str]:
        """Return how often each job has run."""
        return Counter(self.notes.read_text().splitlines() if self.notes.exists() else [])

    async def run_released(self) -> None:
        """Run again what was released, as another worker would."""
        released = [*self.harness.released, *self.harness.suspected]
        self.harness.released.clear()
        self.harness.suspected.clear()
        for job in released:
            await self.harness.ready()
            self.harness.slot.assign([job], time.monotonic())
            await self.harness.wait(lambda: not self.harness.slot.busy)


@pytest_asyncio.fixture
async def neighbours(make_harness: MakeHarness, tmp_path: Path) -> Neighbours:
    return Neighbours(make_harness(modules=MODULES), tmp_path)


def _value(outcome: Outcome) -> Any:
    assert isinstance(outcome, Finished), outcome
    return json.loads(base64.b64decode(outcome.value))


@pytest.mark.parametrize("how", ["Python loop", "sum", "regular expression", "sort", "foreign function"])
async def test_jobs_are_recorded_while_the_next_one_keeps_the_interpreter(neighbours: Neighbours, how: str) -> None:
    await neighbours.start(f"{JOBS}.keep_interpreter", str(neighbours.notes), how)
    await neighbours.check_quick()
    assert neighbours.slow[0] not in {outcome.job.id for outcome in neighbours.harness.ended}
    outcomes = await neighbours.harness.outcomes([*neighbours.quick, *neighbours.slow])
    started, ended = _value(outcomes[-1])
    assert ended - started > 0.5, "the neighbour was slow"
    assert max(_value(outcome) for outcome in outcomes[:-1]) < started
    assert max(neighbours.harness.reported_at[:QUICK_JOBS]) < ended, "recorded before its end"


def _kill(reason: KillReason) -> Callable[[SlotHarness], None]:
    def kill(harness: SlotHarness) -> None:
        running = harness.slot.running()
        assert running is not None
        harness.slot.kill(running.sequence, reason)

    return kill


def _kill_from_outside(harness: SlotHarness) -> None:
    assert harness.slot.pid is not None
    os.kill(harness.slot.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("end", "slow_outcome"),
    [
        (_kill(KillReason.TIMEOUT), Failed),
        (_kill(KillReason.CANCELLED), Stopped),
        (_kill(KillReason.LEASE_LOST), None),
        (_kill(KillReason.DRAINED), None),
        (_kill_from_outside, Failed),
    ],
    ids=["timeout", "cancelled", "lease lost", "drained", "killed from outside"],
)
async def test_jobs_do_not_run_again_because_the_next_one_was_killed(
    neighbours: Neighbours, end: Callable[[SlotHarness], None], slow_outcome: type | None
) -> None:
    harness = neighbours.harness
    await neighbours.start(f"{JOBS}.keep_interpreter_until_killed", str(neighbours.notes), timeout_seconds=7)
    await neighbours.wait_for_slow()
    await harness.wait(harness.slot.running)
    end(harness)
    await neighbours.check_quick()
    await harness.wait(lambda: not harness.slot.busy)
    slow = [outcome for outcome in harness.ended if outcome.job.id in neighbours.slow]
    assert [type(outcome) for outcome in slow] == ([slow_outcome] if slow_outcome else [])
    await _check_that_each_runs_once(neighbours)


@pytest.mark.parametrize(
    "deadly",
    [
        ("leave_at_once", 1),
        ("leave_at_once", 0),
        ("segfault",),
        ("kill_itself",),
        ("close_every_file",),
        ("write_garbage_to_its_executor", "\xff" * 64),
    ],
    ids=["exit 1", "exit 0", "crash", "SIGKILL", "closes the sockets", "writes into the sockets"],
)
async def test_jobs_do_not_run_again_because_the_next_one_ends_the_executor(
    neighbours: Neighbours, deadly: tuple[Any, ...]
) -> None:
    await neighbours.start(*deadly)
    await neighbours.check_quick()
    (blamed,) = await neighbours.harness.outcomes(neighbours.slow)
    assert isinstance(blamed, Failed)
    await _check_that_each_runs_once(neighbours)


async def test_jobs_do_not_run_again_because_the_kernel_is_out_of_memory(neighbours: Neighbours) -> None:
    harness = neighbours.harness
    await harness.ready()
    assert harness.slot.pid is not None
    with limited_memory(harness.slot.pid, 64 * MIB):
        await neighbours.start(f"{JOBS}.take_memory_until_killed", str(neighbours.notes))
        await neighbours.check_quick()
        (blamed,) = await harness.outcomes(neighbours.slow)
    assert isinstance(blamed, Failed)
    assert "out of memory" in blamed.traceback
    await _check_that_each_runs_once(neighbours)


async def test_jobs_do_not_run_again_because_their_worker_stops(neighbours: Neighbours) -> None:
    await neighbours.start(f"{JOBS}.keep_interpreter_until_killed", str(neighbours.notes))
    await neighbours.wait_for_slow()
    await neighbours.harness.close()
    await neighbours.check_quick()
    assert [job.id for job in neighbours.harness.released] == [*neighbours.slow, *neighbours.behind]


async def test_jobs_do_not_run_again_because_their_executor_is_recycled(
    make_harness: MakeHarness, tmp_path: Path
) -> None:
    for limits in ({"max_jobs": 3}, {"max_growth_bytes": MIB}):
        harness = make_harness(**limits, modules=MODULES)
        notes = tmp_path / str(limits)
        jobs: list[str] = []
        for round_ in range(4):
            await harness.ready()
            jobs += harness.assign(*[(f"{JOBS}.note_end", str(notes), f"{round_} {n}") for n in range(5)])
            jobs += harness.assign(("take_memory", 4))
            await harness.outcomes(jobs)
        assert Counter(notes.read_text().splitlines()) == {f"{r} {n}": 1 for r in range(4) for n in range(5)}
        assert (harness.released, harness.suspected) == ([], [])


async def test_jobs_do_not_run_again_because_functions_have_changed(
    make_harness: MakeHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "edited.py"
    source.write_text(f"from {JOBS} import note_end\nVERSION = 1\n\ndef end(path, text): note_end(path, text)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    harness = make_harness(modules=f"{MODULES},edited", reload_functions=True)
    notes = tmp_path / "notes"
    await harness.ready()
    await harness.outcomes(harness.assign(*[("edited.end", str(notes), f"before {n}") for n in range(5)]))
    first = harness.slot.pid
    source.write_text(source.read_text().replace("VERSION = 1", "VERSION = 2 "))
    later = harness.assign(*[("edited.end", str(notes), f"after {n}") for n in range(5)])
    await harness.wait(lambda: len(harness.released) == len(later), "the return of the jobs")
    while harness.released:  # The first may still meet the old executor, and be released once more.
        await Neighbours(harness, tmp_path).run_released()
    assert harness.slot.pid != first
    expected = [f"{when} {n}" for when in ("before", "after") for n in range(5)]
    assert Counter(notes.read_text().splitlines()) == Counter(expected)


async def _check_that_each_runs_once(neighbours: Neighbours) -> None:
    """The jobs behind the slow one have run before it was noticed, or else do so when they are released."""
    harness = neighbours.harness
    await harness.wait(lambda: not harness.slot.busy)
    released = {job.id: job for job in (*harness.released, *harness.suspected)}
    recorded = {outcome.job.id for outcome in harness.ended}
    assert set(neighbours.behind) <= set(released) | recorded
    harness.released[:] = [released[job_id] for job_id in neighbours.behind if job_id not in recorded]
    harness.suspected.clear()
    await neighbours.run_released()
    outcomes = await harness.outcomes([*neighbours.quick, *neighbours.behind])
    assert all(isinstance(outcome, Finished) for outcome in outcomes)
    runs = neighbours.runs()
    assert runs["behind"] == 2
    assert all(runs[f"quick {n}"] == 1 for n in range(QUICK_JOBS))


async def test_jobs_are_recorded_in_redis_while_the_next_one_keeps_the_interpreter(
    client: Client, start_worker: MakeWorker, tmp_path: Path
) -> None:
    start_worker(client.url, FUNCTIONS=JOBS).wait_until_started()
    shard = client.shards.all[0]
    warm_up = _new_jobs(client, ["unix_time"] * 100)
    await enqueue(shard, warm_up)
    await client.wait_until_ended(warm_up[-1].id)
    notes = tmp_path / "notes"
    *quick, slow = _new_jobs(client, ["unix_time"] * QUICK_JOBS, ("keep_interpreter_until_killed", str(notes)))
    await enqueue(shard, [*quick, slow])
    delays = []
    for job in quick:
        ended_at = await client.value(job.id)
        delays.append(time.time() - ended_at)
    assert max(delays) < RECORDED_SECONDS + BUSY_MACHINE_SECONDS, delays
    assert (await client.wait_for_status(slow.id, "started")).status == "started"


def _new_jobs(client: Client, *calls: Sequence[str]) -> list[NewJob]:
    names = [(name,) for name in calls[0]] + [tuple(call) for call in calls[1:]]
    return [
        NewJob(client.shards.new_id(), f"{JOBS}.{name}", json.dumps([f"{JOBS}.{name}", None, arguments, {}]).encode())
        for name, *arguments in names
    ]
