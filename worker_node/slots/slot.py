"""Slot: the jobs assigned to one executor process. One of them runs at a time; the others are prefetched.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

from jobqueue.lifecycle.finish import Outcome
from jobqueue.model import ClaimedJob
from processes.exit_code import describe_exit
from worker_node.ipc.protocol import RECYCLING_REASONS, Task, TaskOutcome, TaskReport, unpack
from worker_node.slots.executor_keeper import ExecutorKeeper
from worker_node.slots.executor_process import ExecutorOptions, ExecutorProcess
from worker_node.slots.orphans import OrphanReaper
from worker_node.slots.outcomes import ExecutorDeath, KillReason, classify_death, classify_report
from worker_node.slots.prefetch import BATCH_SECONDS, PrefetchController
from worker_node.slots.recycling import RecyclingLimits
from worker_node.slots.slot_events import RunningJob, SlotEvents
from worker_node.slots.usage import measure

log = logging.getLogger(__name__)

WITHDRAW_DELAY_SECONDS = 0.005
"""After this, an executor that was just starting a task when it was withdrawn shows it as running."""


class Slot:
    """Runs jobs in an executor process, in the order in which they are assigned.

    Args:
        number: for the log.
        orphans: ends what executors leave behind, shared by all slots of a worker.
        prefetch: recent run times, shared by all slots of a worker.
    """

    def __init__(
        self,
        number: int,
        options: ExecutorOptions,
        limits: RecyclingLimits,
        orphans: OrphanReaper,
        prefetch: PrefetchController,
        events: SlotEvents,
    ) -> None:
        self.number = number
        self._prefetch = prefetch
        self._events = events
        self._options = options
        self._cpu_at_start = (0, 0.0)
        self._executor = ExecutorKeeper(
            number,
            options,
            limits,
            orphans,
            on_reports=self._on_reports,
            on_queries=self._on_queries,
            on_protocol_error=self._on_protocol_error,
            on_death=self._on_death,
        )
        self._jobs: dict[int, ClaimedJob] = {}
        self._batches: deque[tuple[int, float]] = deque()
        self._sequence = 0
        self._recorded = 0
        self._report_bytes = 0.0

    @property
    def jobs(self) -> Sequence[ClaimedJob]:
        """All jobs that the slot holds, in order, including the running one."""
        return tuple(self._jobs.values())

    @property
    def busy(self) -> bool:
        """Whether the slot holds any job."""
        return bool(self._jobs)

    @property
    def pid(self) -> int | None:
        """Process id of the executor."""
        return None if self._executor.process is None else self._executor.process.pid

    @property
    def is_running_low(self) -> bool:
        """Whether at most one batch is left, so that the slot must be refilled before it runs out of work."""
        return len(self._jobs) <= self._prefetch.batch_size

    def jobs_wanted(self, now: float) -> int:
        """Return how many jobs to claim for the slot: one batch if it is idle, else as many as refill it."""
        held = len(self._jobs)
        wanted = self._prefetch.refill_level - held if held else self._prefetch.batch_size
        return max(0, min(self.max_accept(now), wanted))

    def max_accept(self, now: float) -> int:
        """Return how many jobs that have been claimed already the slot can take."""
        if not self._executor.accepts_jobs:
            return 0
        held = len(self._jobs)
        if not self._prefetch.prefetches:
            return 0 if held else 1
        running = self.running()
        if running is not None and now - running.started_at > BATCH_SECONDS:
            return 0
        return max(0, self._prefetch.max_held - held)

    def running(self) -> RunningJob | None:
        """Return the job that is running at this moment."""
        process = self._executor.process
        if process is None or not self._jobs:
            return None
        sequence, started_ns = process.status.running_task(monotonic_ns())
        job = self._jobs.get(sequence)
        return None if job is None else RunningJob(sequence, job, started_ns / 1e9)

    def waiting_since(self) -> float | None:
        """Return when the first job that has not started was assigned; None if all have started."""
        running = self.running()
        first = next((sequence for sequence in self._jobs if running is None or sequence > running.sequence), None)
        if first is None:
            return None
        while self._batches and self._batches[0][0] < first:
            self._batches.popleft()
        return self._batches[0][1] if self._batches else None

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
        if not self._jobs:
            self._batches.clear()
        tasks = []
        for job in jobs:
            self._sequence += 1
            self._jobs[self._sequence] = job
            tasks.append(Task(self._sequence, job.id, job.data, job.from_http, job.unsupported_feature, job.isolated))
        self._batches.append((self._sequence, now))
        process.send(tasks)
        if process.is_deferred:
            self._defer_reads()  # The slot holds more work than when the end of the deferral was set.

    def withdraw(self) -> None:
        """Take back, a moment later, every job that has not started; they are `released`."""
        process = self._executor.process
        if process is None or not self._jobs:
            return
        running, _ = process.status.running_task(0)
        # This range includes tasks that were withdrawn before and are perhaps still in the socket.
        process.status.withdraw(running, self._sequence)
        asyncio.get_running_loop().call_later(WITHDRAW_DELAY_SECONDS, self._release_withdrawn, process, self._sequence)

    def exceeded_limit(self, running: RunningJob) -> str:
        """Return which limit on processor time or processes the running job has exceeded, in a sentence; or ''."""
        process = self._executor.process
        if process is None or not self._options.job_limits:
            return ""
        limits = self._options.job_limits.of(process.status.function)
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
        if self._executor.is_killing:
            return
        running = self.running()
        if running is not None and running.sequence == sequence:
            self._executor.kill(sequence, reason, detail)

    def stop(self) -> None:
        """Kill the executor and let `run` end; jobs that the slot still holds are released."""
        running = self.running()
        self._executor.stop(0 if running is None else running.sequence)

    def note_execution_record(self, sequence: int) -> None:
        """Note that an execution record of the running job is being written."""
        self._recorded = sequence

    def has_execution_record(self, sequence: int) -> bool:
        """Return whether an execution record of that job exists or is being written."""
        return self._recorded == sequence

    def answer(self, ok: bool, content: Any) -> None:
        """Answer the running job's query."""
        if self._executor.process is not None:
            self._executor.process.answer(ok, content)

    def _on_reports(self, payloads: Sequence[bytes]) -> None:
        outcomes: list[Outcome] = []
        released: list[ClaimedJob] = []
        try:
            for payload in payloads:
                reports = unpack(payload)
                if not reports:
                    self._executor.mark_ready()
                for fields in reports:
                    self._take_report(TaskReport(*fields), outcomes, released)
        finally:
            # An invalid report raises; the valid ones before it count all the same.
            if released:
                self._events.released(released)
            if outcomes:
                self._prefetch.observe([outcome.seconds for outcome in outcomes])
                self._executor.count_jobs(len(outcomes))
                self._events.ended(outcomes)
        self._executor.recycle_if_due(idle=not self._jobs)
        self._events.capacity_freed()
        self._report_bytes = sum(map(len, payloads)) / max(1, len(outcomes))
        self._defer_reads()

    def _take_report(self, report: TaskReport, outcomes: list[Outcome], released: list[ClaimedJob]) -> None:
        job = self._jobs.pop(report.sequence, None)
        if job is None:
            return  # The job was withdrawn before, or the task is not one of ours.
        if report.outcome == TaskOutcome.WITHDRAWN:
            released.append(job)
        else:
            outcomes.append(classify_report(job, report, has_execution_record=report.sequence == self._recorded))

    def _defer_reads(self) -> None:
        now = asyncio.get_running_loop().time()
        until = self._prefetch.batch_until(len(self._jobs), self._report_bytes, now)
        if until is not None and self._executor.process is not None:
            self._executor.process.defer_reads(until)

    def _on_queries(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            sequence, operation, field, value = unpack(payload)
            job = self._jobs.get(sequence)
            if job is None:
                self.answer(False, "the job's record cannot be reached: the job is no longer running")
            else:
                self._events.queried(self.answer, job, operation, field, value)

    def _on_protocol_error(self, error: str) -> None:
        log.error("event=executor_protocol_error slot=%d pid=%s error=%r", self.number, self.pid, error)
        if self._jobs:
            # Reports arrive in order, so the first job without a report is the one that broke the stream.
            self._executor.kill(next(iter(self._jobs)), KillReason.PROTOCOL_ERROR)
        else:
            self._executor.kill_process()

    def _release_withdrawn(self, process: ExecutorProcess, up_to: int) -> None:
        if process is not self._executor.process:
            return  # It has died since, and all its jobs are accounted for.
        running, _ = process.status.running_task(0)
        # Read the reports first: a job that has run must not be taken for one that has not started.
        process.read_available()
        not_started = [sequence for sequence in self._jobs if running < sequence <= up_to]
        if not_started:
            self._events.released([self._jobs.pop(sequence) for sequence in not_started])
            self._executor.recycle_if_due(idle=not self._jobs)
            self._events.capacity_freed()

    def _on_death(self, death: ExecutorDeath, pid: int, intended: bool) -> None:
        outcomes, released = classify_death(self._jobs, death)
        if death.exit_code in RECYCLING_REASONS and not death.running:
            reason = RECYCLING_REASONS[death.exit_code]
            log.info(
                "event=executor_recycled slot=%d pid=%d reason=%s detail=%r", self.number, pid, reason, death.function
            )
        elif not intended and (self._jobs or death.exit_code != 0):
            job_id = outcomes[0].job.id if outcomes else ""
            log.warning(
                "event=executor_died slot=%d pid=%d %s job_id=%s",
                *(self.number, pid, describe_exit(death.exit_code), job_id),
            )
        self._jobs = {}
        self._batches.clear()
        if outcomes:
            self._events.ended(outcomes)
        if released:
            self._events.released(released)
