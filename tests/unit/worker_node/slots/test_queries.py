"""What running jobs may ask, and to whom the answers go."""

from dataclasses import dataclass, field
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]  # It has no types.
import pytest

from jobqueue.claimed_job import ClaimedJob
from tests.unit.worker_node.claimed_job import claimed_job
from worker_node.ipc.protocol import MAX_PENDING_QUERIES
from worker_node.slots.executor_process import ExecutorProcess
from worker_node.slots.held_jobs import HeldJobs
from worker_node.slots.queries import Queries
from worker_node.slots.reports import ProtocolError
from worker_node.slots.slot_events import Reply


@dataclass(eq=False)
class FakeExecutor:
    """An executor that runs the task `running`."""

    running: int = 1
    answers: list[tuple[int, bool, Any]] = field(default_factory=list)

    @property
    def status(self) -> "FakeExecutor":
        return self

    def running_task(self, now_ns: int) -> tuple[int, int]:
        return self.running, now_ns

    def answer(self, number: int, ok: bool, content: Any) -> None:
        self.answers.append((number, ok, content))


class Bench:
    """Two jobs, the first of which runs."""

    def __init__(self) -> None:
        held = HeldJobs()
        held.assign([claimed_job(id="a"), claimed_job(id="b")], now=0.0)
        self.asked: list[tuple[str, str, str, bytes]] = []
        self.replies: list[Reply] = []
        self.queries = Queries(held, self._on_queried)
        self.executor = FakeExecutor()

    def ask(self, number: int, sequence: int = 1, executor: FakeExecutor | None = None) -> None:
        payload = msgpack.packb([number, sequence, "hget", "meta", b""])
        self.queries.take(cast(ExecutorProcess, executor or self.executor), [payload])

    def _on_queried(self, reply: Reply, job: ClaimedJob, operation: str, field: str, value: bytes) -> None:
        self.replies.append(reply)
        self.asked.append((job.id, operation, field, value))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_running_jobs_queries_are_answered_by_their_numbers(bench: Bench) -> None:
    bench.ask(7)
    bench.ask(8)
    bench.replies[1](False, "no")
    bench.replies[0](True, b"{}")
    assert bench.asked == [("a", "hget", "meta", b"")] * 2
    assert bench.executor.answers == [(8, False, "no"), (7, True, b"{}")]


@pytest.mark.parametrize("sequence", [0, 2, 3])
def test_no_job_reaches_another_jobs_record(bench: Bench, sequence: int) -> None:
    bench.ask(1, sequence)
    assert bench.asked == []
    assert bench.executor.answers == [
        (1, False, "the job's record cannot be reached: the job is no longer running"),
    ]


def test_a_flood_of_queries_is_an_error(bench: Bench) -> None:
    for number in range(MAX_PENDING_QUERIES):
        bench.ask(number)
    with pytest.raises(ProtocolError, match="many queries"):
        bench.ask(99)
    bench.replies[0](True, None)
    bench.ask(100)
    assert len(bench.asked) == MAX_PENDING_QUERIES + 1


def test_an_answer_never_reaches_the_executor_that_replaced_the_one_that_asked(bench: Bench) -> None:
    bench.ask(1)
    bench.queries.forget(cast(ExecutorProcess, bench.executor))
    other = FakeExecutor(running=2)
    bench.ask(2, 2, other)
    bench.replies[0](True, None)
    assert (bench.executor.answers, other.answers) == ([], [])
    bench.replies[1](True, None)
    assert other.answers == [(2, True, None)]


def test_bytes_that_are_no_frame_are_an_error(bench: Bench) -> None:
    with pytest.raises(ProtocolError):
        bench.queries.take(cast(ExecutorProcess, bench.executor), [None])
