"""Slot: the jobs assigned to one executor process. One of them runs at a time; the others are prefetched.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import asyncio
import logging
from collections.abc import Sequence
from time import monotonic_ns
from typing import TYPE_CHECKING

from jobqueue.claimed_job import ClaimedJob
from worker_node.slots.executor_deaths import ExecutorDeaths
from worker_node.slots.executor_keeper import ExecutorCallbacks, ExecutorKeeper
from worker_node.slots.executor_messages import ExecutorMessages
from worker_node.slots.executor_process import ExecutorOptions, ExecutorProcess
from worker_node.slots.held_jobs import HeldJobs
from worker_node.slots.job_output import JobOutput
from worker_node.slots.limit_watch import LimitWatch
from worker_node.slots.orphans import OrphanReaper
from worker_node.slots.outcomes import ExecutorDeath, KillReason
from worker_node.slots.prefetch import BATCH_SECONDS, PrefetchController
from worker_node.slots.recycling import RecyclingLimits
from worker_node.slots.reports import ReportChecker
from worker_node.slots.slot_events import RunningJob, SlotEvents

if TYPE_CHECKING:
    from worker_node.run_spans import RunSpans

log = logging.getLogger(__name__)

WITHDRAW_DELAY_SECONDS = 0.005
"""After this, an executor that was just starting a task when it was withdrawn shows it as running."""


class Slot:
    """Runs jobs in an executor process, in the order in which they are assigned.

    Args:
        number: for the log.
        orphans: ends what executors leave behind, shared by all slots of a worker.
        prefetch: recent run times, shared by all slots of a worker.
        checker: checks the reports.
        keep_output: which output of jobs is kept with them, see `JobOutput`.
        spans: of the runs; None if nothing is traced.
    """

    def __init__(
        self,
        number: int,
        options: ExecutorOptions,
        limits: RecyclingLimits,
        orphans: OrphanReaper,
        prefetch: PrefetchController,
        checker: ReportChecker,
        events: SlotEvents,
        *,
        keep_output: str = "notable",
        spans: "RunSpans | None" = None,
    ) -> None:
        self.number = number
        self._prefetch = prefetch
        self._events = events
        self._held = HeldJobs(spans)
        self._executor = ExecutorKeeper(number, options, limits, orphans)
        self._output = JobOutput(keep_output, events.printed)
        self._messages = ExecutorMessages(number, self._executor, self._held, checker, prefetch, events, self._output)
        self._deaths = ExecutorDeaths(number, self._held, checker, options.job_limits, events)
        self._limit_watch = LimitWatch(options.job_limits, checker, isolates=options.isolates)

    @property
    def jobs(self) -> Sequence[ClaimedJob]:
        """All jobs that the slot holds, in order, including the running one."""
        return self._held.jobs

    @property
    def busy(self) -> bool:
        """Whether the slot holds any job."""
        return bool(self._held)

    @property
    def pid(self) -> int | None:
        """Process id of the executor."""
        return None if self._executor.process is None else self._executor.process.pid

    @property
    def is_running_low(self) -> bool:
        """Whether at most one batch is left, so that the slot must be refilled before it runs out of work."""
        return len(self._held) <= self._prefetch.batch_size

    def jobs_wanted(self, now: float) -> int:
        """Return how many jobs to claim for the slot: one batch if it is idle, else as many as refill it."""
        held = len(self._held)
        wanted = self._prefetch.refill_level - held if held else self._prefetch.batch_size
        return max(0, min(self.max_accept(now), wanted))

    def max_accept(self, now: float) -> int:
        """Return how many jobs that have been claimed already the slot can take."""
        if not self._executor.accepts_jobs:
            return 0
        held = len(self._held)
        if not self._prefetch.prefetches:
            return 0 if held else 1
        running = self.running()
        if running is not None and now - running.started_at > BATCH_SECONDS:
            return 0
        return max(0, self._prefetch.max_held - held)

    def running(self) -> RunningJob | None:
        """Return the job that is running at this moment, as far as its executor's status page can be believed."""
        process = self._executor.process
        if process is None or not self._held:
            return None
        now_ns = monotonic_ns()
        return self._held.running(*process.status.running_task(now_ns), now_ns)

    def waiting_since(self) -> float | None:
        """Return when the first job that has not started was assigned; None if all have started."""
        running = self.running()
        first = next((sequence for sequence in self._held if running is None or sequence > running.sequence), None)
        return None if first is None else self._held.assigned_at(first)

    async def run(self) -> None:
        """Keep an executor process until `stop`."""
        await self._executor.run(
            ExecutorCallbacks(
                on_ready=self._events.capacity_freed,
                on_reports=self._messages.take_reports,
                on_queries=self._messages.take_queries,
                on_death=self._on_death,
            )
        )

    def assign(self, jobs: Sequence[ClaimedJob], now: float) -> None:
        """Send jobs to the executor, at most `max_accept`.

        Raises:
            RuntimeError: there is no executor at the moment.
        """
        process = self._executor.process
        if process is None:
            raise RuntimeError(f"jobs were assigned to slot {self.number}, which has no executor")
        process.send(self._held.assign(jobs, now))
        if process.is_deferred:
            self._messages.defer_reads()  # The slot holds more work than when the end of the deferral was set.

    def withdraw(self) -> None:
        """Take back, a moment later, every job that has not started; they are `released`."""
        process = self._executor.process
        if process is None or not self._held:
            return
        process.withdrawals.withdraw(self._held.last)
        asyncio.get_running_loop().call_later(WITHDRAW_DELAY_SECONDS, self._release_withdrawn, process, self._held.last)

    def exceeded_limit(self, running: RunningJob) -> str:
        """Return which limit on processor time or processes the running job has exceeded, in a sentence; or ''."""
        process = self._executor.process
        return "" if process is None else self._limit_watch.exceeded_limit(process, running)

    def kill(self, sequence: int, reason: KillReason, detail: str = "") -> None:
        """Kill the task with that sequence number if it is still running, and the executor with it."""
        process = self._executor.process
        if process is not None and not self._executor.is_killing and self._messages.read_up(process) == sequence:
            self._executor.kill(sequence, reason, detail)

    def check_progress(self, now: float, max_wait_seconds: float) -> None:
        """Replace an executor that does not do what its status page says, or that begins no job for so long."""
        process = self._executor.process
        if process is None or self._executor.is_killing or not self._held:
            return
        begun, started_ns = process.status.running_task(0)
        due = self._held.due
        if (begun == due and started_ns) or (begun < due and now - self._held.due_since() <= max_wait_seconds):
            return
        running = self._messages.read_up(process)
        if not running and not self._executor.is_killing and now - self._held.due_since() > max_wait_seconds:
            log.warning("event=executor_stalled slot=%d pid=%d", self.number, process.pid)
            self._executor.kill(0, KillReason.STALLED)

    def pass_on_output(self, running: RunningJob) -> None:
        """Pass on what the running job, which has run for long, has printed up to now."""
        process = self._executor.process
        if process is not None and running.sequence == self._held.due:
            self._output.note_running(process, running.job)

    def stop(self) -> None:
        """Kill the executor and let `run` end; jobs that the slot still holds are released."""
        self._executor.stop()

    def note_execution_record(self, sequence: int) -> None:
        """Note that an execution record of the running job is being written."""
        self._held.recorded = sequence

    def has_execution_record(self, sequence: int) -> bool:
        """Return whether an execution record of that job exists or is being written."""
        return self._held.recorded == sequence

    def _release_withdrawn(self, process: ExecutorProcess, up_to: int) -> None:
        if process is not self._executor.process:
            return  # It has died since, and all its jobs are accounted for.
        # A job that has run must not be taken for one that has not started.
        running = self._messages.read_up(process)
        if self._executor.is_killing:
            return  # When it has died, its jobs are accounted for.
        not_started = [sequence for sequence in self._held if running < sequence <= up_to]
        if not_started:
            self._events.released(self._held.remove(not_started))
            self._executor.recycle_if_due(idle=not self._held)
            self._events.capacity_freed()

    def _on_death(self, process: ExecutorProcess, death: ExecutorDeath, intended: bool) -> None:
        self._messages.forget(process)
        self._output.note_death(process, self._held.get(death.begun) if death.begun == self._held.due else None)
        self._deaths.handle(process.pid, death, intended=intended)
