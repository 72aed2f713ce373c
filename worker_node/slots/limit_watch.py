"""Limits on processor time and processes of a running job. The executor itself enforces those on memory and files."""

from worker_node.job_limits import LimitTable
from worker_node.slots.executor_process import ExecutorProcess
from worker_node.slots.reports import ReportChecker
from worker_node.slots.slot_events import RunningJob
from worker_node.slots.usage import measure


class LimitWatch:
    """Compares what one slot's jobs use with what they may use.

    Args:
        isolates: whether each job runs in a process of its own.
        checker: knows the function that a job calls.
    """

    def __init__(self, limits: LimitTable, checker: ReportChecker, *, isolates: bool) -> None:
        self._limits = limits
        self._checker = checker
        self._isolates = isolates
        self._cpu_at_start = (0, 0.0)

    def exceeded_limit(self, process: ExecutorProcess, running: RunningJob) -> str:
        """Return which limit the executor's running job has exceeded, in a sentence; or ''."""
        if not self._limits:
            return ""
        limits = self._limits.of(self._checker.function_of(running.job, process.status.function))
        if limits.cpu is None and limits.processes is None:
            return ""
        used = measure(process.pid)
        if self._cpu_at_start[0] != running.sequence:
            self._cpu_at_start = (running.sequence, used.cpu_seconds)
        if limits.cpu is not None and used.cpu_seconds - self._cpu_at_start[1] > limits.cpu:
            return limits.exceeded("cpu")
        own = running.job.isolated or self._isolates  # One of them is the job's own.
        if limits.processes is not None and used.processes - own > limits.processes:
            return limits.exceeded("processes")
        return ""
