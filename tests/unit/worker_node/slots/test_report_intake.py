"""Reports are taken in the order of the tasks, each once, and whoever breaks the order is found."""

from collections.abc import Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped]  # It has no types.
import pytest

from jobqueue.functions import FunctionRegistry
from jobqueue.lifecycle.finish import Failed, Finished
from tests.unit.worker_node.claimed_job import claimed_job
from worker_node.slots.held_jobs import HeldJobs
from worker_node.slots.report_intake import Intake, ReportIntake
from worker_node.slots.reports import ReportChecker

NOOP = b'["worker_node.functions.noop", null, [], {}]'
GARBAGE = None


class Bench:
    """Jobs `1` to `5`, assigned at 100 s, and their intake."""

    def __init__(self) -> None:
        self.held = HeldJobs()
        self.held.assign([claimed_job(id=str(number), data=NOOP) for number in range(1, 6)], now=100.0)
        self.intake = ReportIntake(self.held, ReportChecker(FunctionRegistry.load([])))

    def take(self, *frames: bytes | None, begun: int = 5) -> Intake:
        return self.intake.take(frames, begun=begun, recorded=2, now=101.0)

    @property
    def left(self) -> str:
        """The ids of the jobs that are still held."""
        return "".join(job.id for job in self.held.jobs)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def _frame(sequence: int, outcome: int = 0, **changes: Any) -> bytes:
    fields = {"function": "noop", "seconds": 0.5, "body": b"bnVsbA==", "detail": None, "version": "", "output": None}
    packed: bytes = msgpack.packb([sequence, outcome, *(fields | changes).values()])
    return packed


def _withdrawn(sequence: int) -> bytes:
    return _frame(sequence, 4, function="", body=b"")


def _ids(intake: Intake) -> str:
    return "".join(outcome.job.id for outcome in intake.outcomes)


def test_reports_become_outcomes(bench: Bench) -> None:
    intake = bench.take(_frame(1), _frame(2), _frame(3, 1, body="trace", detail=False), _withdrawn(4))
    assert [type(outcome) for outcome in intake.outcomes] == [Finished, Finished, Failed]
    assert [outcome.has_execution_record for outcome in intake.outcomes if isinstance(outcome, Finished)] == [
        False,
        True,
    ]
    assert ([job.id for job in intake.released], bench.left, bench.intake.violation) == (["4"], "5", None)
    assert _ids(bench.take(_frame(5))) == "5"


@pytest.mark.parametrize(
    ("frames", "begun", "taken", "guilty"),
    [
        ([_frame(1), GARBAGE, _frame(2), _frame(3)], 4, "13", 2),
        ([_frame(1), b"\xc1", _frame(2), _frame(3)], 4, "13", 2),
        ([_frame(1), _frame(2, seconds=float("nan")), _frame(2), _frame(3)], 4, "13", 2),
        ([_frame(1), _frame(2, seconds=1.5), _frame(2), _frame(3)], 4, "13", 2),
        ([_frame(1), _frame(2, function="sha512"), _frame(2), _frame(3)], 4, "13", 2),
        ([_frame(1), _frame(4), _frame(2), _frame(3)], 4, "13", 2),
        ([_frame(1), _frame(1 << 60), _frame(2)], 2, "1", 2),
        ([_frame(1), _frame(0), _frame(-1), GARBAGE], 2, "1", 2),
        ([_frame(1), GARBAGE, GARBAGE, _frame(2), b"", _frame(3)], 3, "13", 2),
        ([_frame(1), _frame(2), _frame(3), _frame(4), _frame(5)], 2, "12", 0),
        ([_frame(1), _frame(2), _frame(2), _frame(3)], 3, "12", 3),
        ([_frame(1), GARBAGE], 1, "1", 0),
        ([GARBAGE], 0, "", 0),
    ],
    ids=[
        "garbage",
        "no message",
        "impossible run time",
        "longer than it can have run",
        "another function",
        "a report on a later job",
        "a report on no job",
        "reports on no job",
        "much garbage",
        "reports on jobs that have not begun",
        "a second report",
        "garbage between two jobs",
        "garbage before the first job",
    ],
)
def test_a_forger_is_found_and_costs_no_other_job_its_report(
    bench: Bench, frames: Sequence[bytes | None], begun: int, taken: str, guilty: int
) -> None:
    assert _ids(bench.take(*frames, begun=begun)) == taken
    assert bench.intake.violation is not None
    assert bench.intake.violation.sequence == guilty
    assert bench.left == "".join(sorted(set("12345") - set(taken))), "the others stay, and are accounted for later"


def test_the_guilty_job_is_known_however_the_reports_are_read(bench: Bench) -> None:
    frames = [_frame(1), GARBAGE, _frame(2), _frame(3), _frame(4)]
    assert "".join(_ids(bench.take(frame, begun=5)) for frame in frames) == "134"
    assert bench.intake.violation is not None
    assert bench.intake.violation.sequence == 2


def test_a_report_on_a_withdrawn_job_is_dropped(bench: Bench) -> None:
    bench.held.remove([2])
    intake = bench.take(_frame(1), _withdrawn(2), _frame(3))
    assert (_ids(intake), intake.released, bench.intake.violation) == ("13", [], None)


def test_nobody_is_to_blame_while_no_job_is_held(bench: Bench) -> None:
    bench.held.clear()
    bench.take(GARBAGE)
    assert bench.intake.violation is not None
    assert bench.intake.violation.sequence == 0
