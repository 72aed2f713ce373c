"""A job finds its process as if no other job had run in it before."""

import base64
import inspect
import json
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.finish import Finished
from tests.acceptance.worker_node import spoiling_jobs
from tests.acceptance.worker_node.slot_harness import MakeHarness, SlotHarness
from worker_node.executor.executor import THOROUGH_CHECK_NS

NEEDS_ANOTHER_PROCESS = {"close_standard_output", "detach_standard_error", "close_standard_input"}
RARE = {"niceness_and_processors"}
SEEDS = {"seed", "seed_by_state"}
SPOILERS = [
    name
    for name, function in inspect.getmembers(spoiling_jobs, inspect.isfunction)
    if not name.startswith(("_", "describe", "sample")) and function.__module__ == spoiling_jobs.__name__
]


class SharedProcess:
    """Runs pairs of jobs, one right behind the other, in the executor of a slot."""

    def __init__(self, harness: SlotHarness) -> None:
        self.harness = harness

    async def after(self, first: str, then: str) -> Any:
        """Return the result of the function `then` after a job of `first`, which must succeed."""
        jobs = [self._job(first), self._job(then)]
        waiting = jobs
        while waiting:
            self.harness.released.clear()
            await self.harness.ready()
            self.harness.slot.assign(waiting, monotonic())
            await self.harness.wait(lambda: not self.harness.slot.busy, f"{first}, {then}")
            waiting = [job for job in jobs if job in self.harness.released]  # The executor is being replaced.
        outcomes = await self.harness.outcomes([job.id for job in jobs])
        assert all(isinstance(outcome, Finished) for outcome in outcomes), outcomes
        return json.loads(base64.b64decode(outcomes[1].value))  # type: ignore[attr-defined]

    def _job(self, function: str) -> ClaimedJob:
        return self.harness.job("", data=json.dumps([f"{spoiling_jobs.__name__}.{function}", None, [], {}]).encode())


@pytest_asyncio.fixture
async def process(make_harness: MakeHarness) -> SharedProcess:
    return SharedProcess(make_harness(modules=spoiling_jobs.__name__))


async def test_what_a_job_changes_in_its_process_does_not_reach_the_next(process: SharedProcess) -> None:
    expected = await process.after("sample", "describe")
    differences = {}
    replaced = set()
    for name in SPOILERS:
        pid = process.harness.slot.pid
        found = await process.after(name, "describe")
        if process.harness.slot.pid != pid:
            replaced.add(name)
            # Another process has other standard descriptors.
            expected = await process.after("sample", "describe")
        if name not in RARE | SEEDS:
            differences[name] = {what: found[what] for what in found if found[what] != expected[what]}
    assert {name: what for name, what in differences.items() if what} == {}
    assert replaced == NEEDS_ANOTHER_PROCESS, "the others are restored"


async def test_niceness_and_processors_are_restored_soon(process: SharedProcess) -> None:
    expected = await process.after("sample", "describe_rare")
    await process.after("niceness_and_processors", "sample")

    until = monotonic() + 2 * THOROUGH_CHECK_NS / 1e9
    while monotonic() < until and (found := await process.after("sample", "describe_rare")) != expected:
        pass
    assert found == expected


@pytest.mark.parametrize("name", sorted(SEEDS))
async def test_a_seed_does_not_make_the_next_jobs_numbers_predictable(process: SharedProcess, name: str) -> None:
    assert len({await process.after(name, "sample") for _ in range(3)}) == 3
