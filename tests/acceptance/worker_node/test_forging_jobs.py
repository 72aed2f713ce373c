"""A job that forges reports, or spoils what its executor shares with the agent, harms itself alone."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from jobqueue.lifecycle.finish import Failed, Finished
from jobqueue.model import FailureReason
from tests.acceptance.worker_node import forging_jobs, slot_harness
from tests.acceptance.worker_node.node_harness import Node

NOTE = f"{slot_harness.JOBS}.note"
FORGE, FORGE_AND_STAY, FORGE_AND_HOLD_UP, GARBLE = (
    f"{forging_jobs.__name__}.{name}" for name in ("forge", "forge_and_stay", "forge_and_hold_up_the_next", "garble")
)
WITHOUT_EFFECT = {"sockets by path", "truncated memory", "withdrawn tasks", "the future on the page"}
"""Harm that the kernel prevents, or that is over when the next job begins."""
AMBIGUOUS = {
    "taken tasks",
    "a byte in place of a query",
    "a page of ones",
    "a page of zeros",
    "a later task on the page",
    "the last task on the page",
}
"""Harm that is noticed too late, or never, if its job returns at once."""
HIDING = ["a page of zeros", "a page of ones", "a later task on the page", "the future on the page"]


@pytest_asyncio.fixture
async def node() -> AsyncIterator[Node]:
    """A node that has run many short jobs, so that it prefetches."""
    node = Node([slot_harness.JOBS, forging_jobs.__name__])
    await node.outcomes([node.enqueue(NOTE, os.devnull, "") for _ in range(150)])
    yield node
    await node.close()


class Honest:
    """Jobs around the forgers."""

    def __init__(self, node: Node, notes: Path) -> None:
        self._node = node
        self._notes = notes
        self._ids: list[str] = []

    def enqueue(self, count: int) -> None:
        """Enqueue more."""
        for _ in range(count):
            self._ids.append(self._node.enqueue(NOTE, str(self._notes), f"honest {len(self._ids)}"))

    async def check(self, first: int = 0) -> None:
        """Wait until all have finished.

        Args:
            first: so many of them were ahead of all forgers, and must have run once. A later one may have been running
                when its executor was replaced.
        """
        outcomes = await self._node.outcomes(self._ids)
        assert [outcome for outcome in outcomes if not isinstance(outcome, Finished)] == []
        runs = Counter(self._notes.read_text().splitlines())
        assert all(runs[f"honest {n}"] == 1 for n in range(first)), runs
        assert all(runs[f"honest {n}"] >= 1 for n in range(len(self._ids))), runs
        assert sum(runs[f"honest {n}"] for n in range(len(self._ids))) <= len(self._ids) + 3, "few run again"


@pytest.fixture
def honest(node: Node, tmp_path: Path) -> Honest:
    return Honest(node, tmp_path / "notes")


@pytest.mark.parametrize("how", sorted(forging_jobs.HARM))
async def test_a_forger_that_returns_harms_itself_alone(
    node: Node, honest: Honest, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    honest.enqueue(8)
    forger = node.enqueue(FORGE, str(tmp_path / "forged"), how)
    honest.enqueue(8)
    (outcome,) = await node.outcomes([forger])
    await honest.check(first=8)
    if how in WITHOUT_EFFECT:
        assert isinstance(outcome, Finished)
    elif how not in AMBIGUOUS:
        assert isinstance(outcome, Failed), outcome
        assert outcome.reason is FailureReason.WORKER_LOST
        assert outcome.function == FORGE
        assert "event=executor_protocol_error" in caplog.text or "event=executor_died" in caplog.text
    honest.enqueue(40)
    await honest.check(first=8)


@pytest.mark.parametrize("how", HIDING)
async def test_a_job_that_hides_from_the_agent_is_killed_all_the_same(
    node: Node, honest: Honest, tmp_path: Path, how: str
) -> None:
    honest.enqueue(8)
    hidden = node.enqueue(FORGE_AND_STAY, str(tmp_path / "forged"), how, timeout_seconds=1)
    honest.enqueue(8)
    (outcome,) = await node.outcomes([hidden])
    assert isinstance(outcome, Failed)
    assert outcome.reason in (FailureReason.TIMEOUT, FailureReason.WORKER_LOST)
    await honest.check(first=8)


@pytest_asyncio.fixture
async def single() -> AsyncIterator[Node]:
    """A node with one slot, which prefetches."""
    node = Node([slot_harness.JOBS, forging_jobs.__name__], slots=1)
    await node.outcomes([node.enqueue(NOTE, os.devnull, "") for _ in range(100)])
    yield node
    await node.close()


@pytest.mark.parametrize("how", [*HIDING, "the last task on the page"])
async def test_what_a_job_has_written_onto_the_page_is_not_held_against_the_next_one(
    single: Node, tmp_path: Path, how: str
) -> None:
    single.enqueue(FORGE_AND_HOLD_UP, str(tmp_path / "forged"), how)
    honest = Honest(single, tmp_path / "notes")
    honest.enqueue(8)
    await honest.check()


async def test_what_a_job_has_sent_is_not_held_against_the_next_one_however_late_it_is_read(
    single: Node, tmp_path: Path
) -> None:
    single.enqueue(FORGE, str(tmp_path / "forged"), "a byte in place of a query")
    honest = single.enqueue(f"{slot_harness.JOBS}.wait", 0.6)
    while single.has_queued:  # noqa: ASYNC110 - the very next turn of the event loop is wanted
        await asyncio.sleep(0)
    time.sleep(0.4)  # noqa: ASYNC251 - the agent is busy, or gets no processor
    (outcome,) = await single.outcomes([honest])
    assert isinstance(outcome, Finished), outcome


@pytest.mark.parametrize("seed", range(4))
async def test_random_garbage_from_jobs_costs_no_honest_job(
    node: Node, honest: Honest, tmp_path: Path, seed: int
) -> None:
    forgers: Sequence[str] = []
    for number in range(6):
        honest.enqueue(10)
        forgers = [*forgers, node.enqueue(GARBLE, str(tmp_path / "forged"), 100 * seed + number)]
    honest.enqueue(10)
    await honest.check()
    await node.outcomes(forgers)
    honest.enqueue(20)
    await honest.check()
