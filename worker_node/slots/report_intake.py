"""Intake of reports: what an executor sends becomes outcomes of jobs, or a violation of the protocol.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.finish import Outcome
from worker_node.ipc.protocol import OutputRange, TaskOutcome
from worker_node.slots.held_jobs import HeldJobs
from worker_node.slots.outcomes import classify_report
from worker_node.slots.reports import ProtocolError, ReportChecker, read_report


class Violation(NamedTuple):
    """What an executor has sent that it never sends by itself.

    Attributes:
        sequence: the task that is to blame; 0 for none.
    """

    sequence: int
    message: str


@dataclass(slots=True)
class Intake:
    """What has arrived.

    Attributes:
        released: jobs that the executor has not run.
        outputs: of the jobs that have printed something.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    outputs: list[tuple[Outcome, OutputRange]] = field(default_factory=list)
    released: list[ClaimedJob] = field(default_factory=list)


class ReportIntake:
    """Takes the reports of one slot's executors, in the order of the tasks.

    Attributes:
        violation: the first one of the present executor. What is valid after it is still taken, except the report of
            the job that is to blame.
    """

    def __init__(self, held: HeldJobs, checker: ReportChecker) -> None:
        self._held = held
        self._checker = checker
        self.violation: Violation | None = None

    def take(self, frames: Sequence[bytes | None], *, begun: int, recorded: int, now: float) -> Intake:
        """Take reports.

        Args:
            frames: payloads; None for bytes that are no frame.
            begun: the last task that has begun, according to the status page after the frames were read.
            recorded: the task that has an execution record.
            now: by the monotonic clock.
        """
        intake = Intake()
        most_seconds = now - self._held.assigned_at(self._held.due)
        for frame in frames:
            try:
                self._take_one(frame, begun, recorded, most_seconds, intake)
            except ProtocolError as error:
                self.note_violation(str(error), begun)
        self._held.note_reports(now)
        return intake

    def note_violation(self, message: str, begun: int) -> None:
        """Note that the executor violates the protocol. The job whose report is due is to blame if it has begun."""
        if self.violation is None:
            due = self._held.due
            self.violation = Violation(due if begun >= due and self._held.get(due) is not None else 0, message)

    def _take_one(self, frame: bytes | None, begun: int, recorded: int, most_seconds: float, intake: Intake) -> None:
        if frame is None:
            raise ProtocolError("bytes that are no frame")
        report = read_report(frame)
        sequence = report.sequence
        if sequence != self._held.due or sequence > begun:
            raise ProtocolError(f"a report on task {sequence}, but {self._held.due} is due and {begun} was begun last")
        if self.violation is not None and sequence == self.violation.sequence:
            self._held.due += 1
            return
        job = self._held.get(sequence)
        if job is not None:
            self._checker.check(report, job, most_seconds)
        self._held.take_due()
        if job is None:
            return  # It was withdrawn before.
        if report.outcome == TaskOutcome.WITHDRAWN:
            intake.released.append(job)
        else:
            outcome = classify_report(job, report, has_execution_record=sequence == recorded)
            intake.outcomes.append(outcome)
            if report.output is not None:
                stdout_start, stdout_end, stderr_start, stderr_end = report.output
                intake.outputs.append((outcome, (stdout_start, stdout_end, stderr_start, stderr_end)))
