"""What a slot does with what its executor sends: reports and queries are taken, and a violator is killed.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import asyncio
import logging
from time import monotonic, monotonic_ns

from worker_node.slots.executor_keeper import ExecutorKeeper
from worker_node.slots.executor_process import ExecutorProcess, Frames
from worker_node.slots.held_jobs import HeldJobs
from worker_node.slots.job_output import JobOutput
from worker_node.slots.outcomes import KillReason
from worker_node.slots.prefetch import PrefetchController
from worker_node.slots.queries import Queries
from worker_node.slots.report_intake import ReportIntake
from worker_node.slots.reports import ProtocolError, ReportChecker
from worker_node.slots.slot_events import SlotEvents

log = logging.getLogger(__name__)


class ExecutorMessages:
    """Takes the messages of one slot's executors.

    Args:
        slot: number of the slot, for the log.
        executor: the slot's executor.
        held: the slot's jobs.
        checker: checks the reports.
        prefetch: learns the run times, and says how long reports may stay unread.
        events: told what became of the jobs.
        output: given what the jobs have printed.
    """

    def __init__(
        self,
        slot: int,
        executor: ExecutorKeeper,
        held: HeldJobs,
        checker: ReportChecker,
        prefetch: PrefetchController,
        events: SlotEvents,
        output: JobOutput,
    ) -> None:
        self._slot = slot
        self._executor = executor
        self._held = held
        self._prefetch = prefetch
        self._events = events
        self._output = output
        self._intake = ReportIntake(held, checker)
        self._queries = Queries(held, events.queried)
        self._report_bytes = 0.0
        self._only_after = held.due
        """Queries that are still to be read were written when this task was due, or later."""

    def take_reports(self, frames: Frames) -> None:
        """Take reports, in the order in which they were sent."""
        process = self._executor.process
        if process is None:
            return
        begun, _ = process.status.running_task(0)
        intake = self._intake.take(frames, begun=begun, recorded=self._held.recorded, now=monotonic())
        self._kill_for_violation(process)
        if intake.released:
            self._events.released(intake.released)
        for outcome, output in intake.outputs:
            self._output.note_ended(process, outcome, output)
        if intake.outcomes:
            self._prefetch.observe([outcome.seconds for outcome in intake.outcomes])
            self._executor.count_jobs(len(intake.outcomes))
            self._events.ended(intake.outcomes)
        self._executor.recycle_if_due(idle=not self._held)
        self._events.capacity_freed()
        self._report_bytes = sum(len(frame or b"") for frame in frames) / len(frames)
        process.read_queries()
        self._only_after = self._held.due
        self.defer_reads()

    def defer_reads(self) -> None:
        """Leave the next reports in the socket for as long as the jobs that the slot holds allow."""
        process = self._executor.process
        if process is not None:
            now = asyncio.get_running_loop().time()
            until = self._prefetch.batch_until(len(self._held), self._report_bytes, process.report_buffer_bytes, now)
            if until is not None:
                process.defer_reads(until)

    def read_up(self, process: ExecutorProcess) -> int:
        """Read all reports that were sent before this moment; return the number of the running task, 0 for none."""
        begun, started_ns = process.status.running_task(monotonic_ns())
        process.read_available()
        due = self._held.due
        if begun == due and started_ns:
            return due
        if begun >= due and self._held:
            self._on_violation(process, "no report on a task, but the status page shows that it has ended", begun)
        return 0

    def take_queries(self, frames: Frames) -> None:
        """Take queries of the running job."""
        process = self._executor.process
        if process is not None:
            try:
                self._queries.take(process, frames)
            except ProtocolError as error:
                only_after = self._only_after
                self.read_up(process)
                # If jobs have ended since, one of them may have written it: then nobody is to blame for certain.
                is_certain = only_after == self._held.due
                self._on_violation(process, str(error), process.status.running_task(0)[0] if is_certain else 0)

    def forget(self, process: ExecutorProcess) -> None:
        """Forget an executor that has ended: its queries are not answered, and its violation is not its successor's."""
        self._intake.violation = None
        self._only_after = self._held.last + 1
        self._queries.forget(process)

    def _on_violation(self, process: ExecutorProcess, message: str, begun: int) -> None:
        self._intake.note_violation(message, begun)
        self._kill_for_violation(process)

    def _kill_for_violation(self, process: ExecutorProcess) -> None:
        violation = self._intake.violation
        if violation is not None and not self._executor.is_killing:
            log.error(
                "event=executor_protocol_error slot=%d pid=%d sequence=%d error=%r",
                *(self._slot, process.pid, *violation),
            )
            self._executor.kill(violation.sequence, KillReason.PROTOCOL_ERROR)
