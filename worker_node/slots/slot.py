"""Slot: the jobs assigned to one executor process. One of them runs at a time; the others are prefetched.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic, monotonic_ns

from jobqueue.model import ClaimedJob
from processes.exit_code import describe_exit
from worker_node.ipc.protocol import RECYCLING_REASONS
from worker_node.slots.executor_keeper import ExecutorKeeper
from worker_node.slots.executor_process import ExecutorOptions, ExecutorProcess, Frames
from worker_node.slots.held_jobs import HeldJobs
from worker_node.slots.orphans import OrphanReaper
from worker_node.slots.outcomes import ExecutorDeath, KillReason, classify_death
from worker_node.slots.prefetch import BATCH_SECONDS, PrefetchController
from worker_node.slots.queries import Queries
from worker_node.slots.recycling import RecyclingLimits
from worker_node.slots.report_intake import ReportIntake
from worker_node.slots.reports import ProtocolError, ReportChecker
from worker_node.slots.slot_events import RunningJob, SlotEvents
from worker_node.slots.usage import measure

log = logging.getLogger(__name__)

WITHDRAW_DELAY_SECONDS = 0.005
"""After this, an executor that was just starting a task when it was withdrawn shows it as running."""
MAX_START_SECONDS = 1.0
"""A job counts as running at the latest when it could have run for so long, whatever the status page says."""
MAX_UNREAD_SECONDS = 0.1
"""What is wrong among the queries may have been written so long ago, by a job that has ended since."""


class Slot:
    """Runs jobs in an executor process, in the order in which they are assigned.

    Args:
        number: for the log.
        orphans: ends what executors leave behind, shared by all slots of a worker.
        prefetch: recent run times, shared by all slots of a worker.
        checker: checks the reports.
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
    ) -> None:
        self.number = number
        self._prefetch = prefetch
        self._checker = checker
        self._events = events
        self._options = options
        self._cpu_at_start = (0, 0.0)
        self._executor = ExecutorKeeper(
            number,
            options,
            limits,
            orphans,
            on_ready=events.capacity_freed,
            on_reports=self._on_reports,
            on_queries=self._on_queries,
            on_death=self._on_death,
        )
        self._held = HeldJobs()
        self._recorded = 0
        self._report_bytes = 0.0
        self._intake = ReportIntake(self._held, checker)
        self._queries = Queries(self._held, events.queried)

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
        sequence, started_ns = process.status.running_task(now_ns)
        job = self._held.get(sequence)
        if job is None or not started_ns:
            return None
        started_at = max(min(started_ns, now_ns) / 1e9, self._held.assigned_at(sequence))
        if sequence == self._held.due:
            started_at = min(started_at, self._held.due_since() + MAX_START_SECONDS)
        return RunningJob(sequence, job, started_at)

    def waiting_since(self) -> float | None:
        """Return when the first job that has not started was assigned; None if all have started."""
        running = self.running()
        first = next((sequence for sequence in self._held if running is None or sequence > running.sequence), None)
        return None if first is None else self._held.assigned_at(first)

    async def run(self) -> None:
        """Keep an executor process until `stop`."""
        await self._executor.run()

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
            self._defer_reads()  # The slot holds more work than when the end of the deferral was set.

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
        if process is None or not self._options.job_limits:
            return ""
        limits = self._options.job_limits.of(self._checker.function_of(running.job, process.status.function))
        if limits.cpu is None and limits.processes is None:
            return ""
        used = measure(process.pid)
        if self._cpu_at_start[0] != running.sequence:
            self._cpu_at_start = (running.sequence, used.cpu_seconds)
        if limits.cpu is not None and used.cpu_seconds - self._cpu_at_start[1] > limits.cpu:
            return limits.exceeded("cpu")
        own = running.job.isolated or self._options.isolates  # One of them is the job's own.
        if limits.processes is not None and used.processes - own > limits.processes:
            return limits.exceeded("processes")
        return ""

    def kill(self, sequence: int, reason: KillReason, detail: str = "") -> None:
        """Kill the task with that sequence number if it is still running, and the executor with it."""
        process = self._executor.process
        if process is not None and not self._executor.is_killing and self._read_up(process) == sequence:
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
        running = self._read_up(process)
        if not running and not self._executor.is_killing and now - self._held.due_since() > max_wait_seconds:
            log.warning("event=executor_stalled slot=%d pid=%d", self.number, process.pid)
            self._executor.kill(0, KillReason.STALLED)

    def stop(self) -> None:
        """Kill the executor and let `run` end; jobs that the slot still holds are released."""
        self._executor.stop()

    def note_execution_record(self, sequence: int) -> None:
        """Note that an execution record of the running job is being written."""
        self._recorded = sequence

    def has_execution_record(self, sequence: int) -> bool:
        """Return whether an execution record of that job exists or is being written."""
        return self._recorded == sequence

    def _read_up(self, process: ExecutorProcess) -> int:
        """Read all reports that were sent before this moment; return the number of the running task, 0 for none."""
        begun, started_ns = process.status.running_task(monotonic_ns())
        process.read_available()
        due = self._held.due
        if begun == due and started_ns:
            return due
        if begun >= due and self._held:
            self._on_violation(process, "no report on a task, but the status page shows that it has ended", begun)
        return 0

    def _on_reports(self, frames: Frames) -> None:
        process = self._executor.process
        if process is None:
            return
        begun, _ = process.status.running_task(0)
        intake = self._intake.take(frames, begun=begun, recorded=self._recorded, now=monotonic())
        self._kill_for_violation(process)
        if intake.released:
            self._events.released(intake.released)
        if intake.outcomes:
            self._prefetch.observe([outcome.seconds for outcome in intake.outcomes])
            self._executor.count_jobs(len(intake.outcomes))
            self._events.ended(intake.outcomes)
        self._executor.recycle_if_due(idle=not self._held)
        self._events.capacity_freed()
        self._report_bytes = sum(len(frame or b"") for frame in frames) / len(frames)
        self._defer_reads()

    def _defer_reads(self) -> None:
        process = self._executor.process
        if process is not None:
            now = asyncio.get_running_loop().time()
            until = self._prefetch.batch_until(len(self._held), self._report_bytes, process.report_buffer_bytes, now)
            if until is not None:
                process.defer_reads(until)

    def _on_queries(self, frames: Frames) -> None:
        process = self._executor.process
        if process is not None:
            try:
                self._queries.take(process, frames)
            except ProtocolError as error:
                self._read_up(process)
                running = self.running()
                is_certain = running is not None and monotonic() - running.started_at > MAX_UNREAD_SECONDS
                self._on_violation(process, str(error), process.status.running_task(0)[0] if is_certain else 0)

    def _on_violation(self, process: ExecutorProcess, message: str, begun: int) -> None:
        self._intake.note_violation(message, begun)
        self._kill_for_violation(process)

    def _kill_for_violation(self, process: ExecutorProcess) -> None:
        violation = self._intake.violation
        if violation is not None and not self._executor.is_killing:
            log.error(
                "event=executor_protocol_error slot=%d pid=%d sequence=%d error=%r",
                *(self.number, process.pid, *violation),
            )
            self._executor.kill(violation.sequence, KillReason.PROTOCOL_ERROR)

    def _release_withdrawn(self, process: ExecutorProcess, up_to: int) -> None:
        if process is not self._executor.process:
            return  # It has died since, and all its jobs are accounted for.
        # A job that has run must not be taken for one that has not started.
        running = self._read_up(process)
        if self._executor.is_killing:
            return  # When it has died, its jobs are accounted for.
        not_started = [sequence for sequence in self._held if running < sequence <= up_to]
        if not_started:
            self._events.released(self._held.remove(not_started))
            self._executor.recycle_if_due(idle=not self._held)
            self._events.capacity_freed()

    def _on_death(self, process: ExecutorProcess, death: ExecutorDeath, intended: bool) -> None:
        sequence = self._held.due if death.begun >= self._held.due else 0
        if death.kill is not None:
            sequence = death.kill.sequence
        to_blame, since = self._held.get(sequence), self._held.due_since()
        jobs = self._held.clear()
        self._intake.violation = None
        self._queries.forget(process)
        death = replace(death, begun=0)
        if to_blame is not None:
            function = self._checker.function_of(to_blame, death.function)
            seconds = max(0.0, min(death.seconds, monotonic() - since))
            hint = self._options.job_limits.of(function).hint()
            death = replace(death, begun=sequence, function=function, seconds=seconds, hint=hint)
        outcomes, released = classify_death(jobs, death)
        if death.exit_code in RECYCLING_REASONS and to_blame is None:
            log.info(
                "event=executor_recycled slot=%d pid=%d reason=%s detail=%r",
                *(self.number, process.pid, RECYCLING_REASONS[death.exit_code], death.function),
            )
            intended = True
        elif not intended and (jobs or death.exit_code != 0):
            job_id = outcomes[0].job.id if outcomes else ""
            log.warning(
                "event=executor_died slot=%d pid=%d %s job_id=%s",
                *(self.number, process.pid, describe_exit(death.exit_code), job_id),
            )
        if outcomes:
            self._events.ended(outcomes)
        elif released and (not intended or (death.kill is not None and death.kill.is_unexplained)):
            self._events.suspected(released.pop(0))
        if released:
            self._events.released(released)
