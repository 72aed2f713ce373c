"""Which output of a slot's jobs is kept with them: that of failures and of long runs, unless all is asked for."""

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.finish import Finished, Outcome
from worker_node.ipc.protocol import OutputRange
from worker_node.slots.executor_process import ExecutorProcess
from worker_node.slots.slot_events import Printed

LONG_RUNNING_SECONDS = 1.0
"""A job that has run for longer gets RQ's execution record, and its output is kept, and seen while it runs."""


class JobOutput:
    """Passes on what is kept.

    Args:
        keep: `notable`, `all` or `none`.
        on_printed: receives the lines of a job, before it is told that the job has ended.
    """

    def __init__(self, keep: str, on_printed: Printed) -> None:
        self._keep = keep
        self._on_printed = on_printed

    def note_ended(self, process: ExecutorProcess, outcome: Outcome, output: OutputRange) -> None:
        """Take the output of a job that has ended."""
        lines = process.output.take(output)
        is_notable = not isinstance(outcome, Finished) or outcome.seconds > LONG_RUNNING_SECONDS
        if lines and (self._keep == "all" or (self._keep == "notable" and is_notable)):
            self._on_printed(outcome.job, lines)

    def note_running(self, process: ExecutorProcess, job: ClaimedJob) -> None:
        """Take what a job that has run for long has printed up to now. All reports on jobs before it were taken."""
        if self._keep != "none" and (lines := process.output.take_complete()):
            self._on_printed(job, lines)

    def note_death(self, process: ExecutorProcess, job: ClaimedJob | None) -> None:
        """Take the last output of an executor that has died, and that ran this job."""
        lines = process.output.take_rest()
        if lines and job is not None and self._keep != "none":
            self._on_printed(job, lines)
