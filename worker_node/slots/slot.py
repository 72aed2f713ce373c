"""A slot: room for one running job, kept by an executor that is replaced whenever it dies or has grown old."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from jobqueue.backoff import exponential_seconds
from jobqueue.lifecycle.finish import Outcome
from jobqueue.model import ClaimedJob
from worker_node.ipc.protocol import Task, TaskOutcome, TaskReport, unpack
from worker_node.slots.executor_process import ExecutorOptions, ExecutorProcess
from worker_node.slots.outcomes import ExecutorDeath, KillReason, classify_death, classify_report, describe_exit
from worker_node.slots.prefetch import BATCH_SECONDS, PrefetchController
from worker_node.slots.recycling import ExecutorUsage, RecyclingLimits
from worker_node.slots.slot_events import RunningJob, SlotEvents

log = logging.getLogger(__name__)

WITHDRAW_DELAY_SECONDS = 0.005
MIN_RESTART_SECONDS, MAX_RESTART_SECONDS = 0.1, 10.0


class Slot:
    """Runs jobs in an executor, in the order in which they are handed over.

    Args:
        number: names the slot in the log.
        pace: the service time of late, shared by all slots of an agent.
    """

    def __init__(
        self,
        number: int,
        options: ExecutorOptions,
        limits: RecyclingLimits,
        prefetch: PrefetchController,
        events: SlotEvents,
    ) -> None:
        self.number = number
        self._options = options
        self._limits = limits
        self._pace = prefetch
        self._events = events
        self._child: ExecutorProcess | None = None
        self._ready = False
        self._leaving = False
        self._stopping = False
        self._jobs: dict[int, ClaimedJob] = {}
        self._batches: deque[tuple[int, float]] = deque()
        self._sequence = 0
        self._doomed: tuple[int, KillReason] | None = None
        self._recorded = 0
        self._report_bytes = 0.0
        self._wear = ExecutorUsage(limits, 0)

    @property
    def jobs(self) -> Sequence[ClaimedJob]:
        """Every job that is here, in order, the running one included."""
        return tuple(self._jobs.values())

    @property
    def busy(self) -> bool:
        """Whether any job is here."""
        return bool(self._jobs)

    @property
    def pid(self) -> int | None:
        """The executor's process id."""
        return None if self._child is None else self._child.pid

    @property
    def is_running_low(self) -> bool:
        """Whether one depth is left at most, so that it is to be filled up before it runs dry."""
        return len(self._jobs) <= self._pace.batch_size

    def jobs_wanted(self, now: float) -> int:
        """How many jobs it takes beside those that are here, to be stocked up; one depth where it stands idle."""
        held = len(self._jobs)
        return max(0, min(self.max_accept(now), self._pace.refill_level - held if held else self._pace.batch_size))

    def max_accept(self, now: float) -> int:
        """How many jobs it takes now, of those that have been claimed."""
        if not self._ready or self._leaving or self._stopping:
            return 0
        held = len(self._jobs)
        if not self._pace.prefetches:
            return 0 if held else 1
        running = self.running()
        if running is not None and now - running.started_at > BATCH_SECONDS:
            return 0
        return max(0, self._pace.max_held - held)

    def running(self) -> RunningJob | None:
        """The job that runs at this moment."""
        if self._child is None or not self._jobs:
            return None
        sequence, began_ns = self._child.status.running_task(time.monotonic_ns())
        job = self._jobs.get(sequence)
        return None if job is None else RunningJob(sequence, job, began_ns / 1e9)

    def assign(self, jobs: Sequence[ClaimedJob], now: float) -> None:
        """Hands jobs over. There must be an executor: see `room`."""
        if self._child is None:
            raise RuntimeError("jobs were handed to a slot without an executor")
        if not self._jobs:
            self._batches.clear()
        tasks = []
        for job in jobs:
            self._sequence += 1
            self._jobs[self._sequence] = job
            tasks.append(Task(self._sequence, job.id, job.data, job.from_http, job.unsupported_feature))
        self._batches.append((self._sequence, now))
        self._child.send(tasks)
        if self._child.is_deferred:
            self._rest()  # There is more work now than when its end was set.

    def waiting_since(self) -> float | None:
        """When the first of the jobs that have not begun was handed over; None where all have."""
        running = self.running()
        first = next((sequence for sequence in self._jobs if running is None or sequence > running.sequence), None)
        if first is None:
            return None
        while self._batches and self._batches[0][0] < first:
            self._batches.popleft()
        return self._batches[0][1] if self._batches else None

    def withdraw(self) -> None:
        """Takes back, in a moment, every job that has not begun; they come as `returned`."""
        if self._child is None or not self._jobs:
            return
        running, _ = self._child.status.running_task(0)
        # This takes in what was withdrawn before and may still stand in the socket.
        self._child.status.withdraw(running, self._sequence)
        asyncio.get_running_loop().call_later(WITHDRAW_DELAY_SECONDS, self._take_back, self._child, self._sequence)

    def kill(self, sequence: int, reason: KillReason) -> None:
        """Ends the job of that sequence number if it still runs, and the executor with it."""
        if self._child is None or self._doomed is not None:
            return
        running = self.running()
        if running is None or running.sequence != sequence:
            return
        self._doomed = (sequence, reason)
        self._child.kill()

    def note_execution_record(self, sequence: int) -> None:
        """Notes that an execution record of the running job is being written."""
        self._recorded = sequence

    def has_execution_record(self, sequence: int) -> bool:
        """Whether an execution record of that job is being written or stands."""
        return self._recorded == sequence

    def answer(self, ok: bool, content: Any) -> None:
        """Answers what the running job asked."""
        if self._child is not None:
            self._child.answer(ok, content)

    async def run(self) -> None:
        """Keeps an executor until `stop`. One that cannot start is tried again, ever more slowly."""
        failures = 0
        while not self._stopping:
            try:
                child = await ExecutorProcess.start(
                    self._options,
                    on_reports=self._on_reports,
                    on_queries=self._on_questions,
                    on_protocol_error=self._on_garbage,
                )
            except OSError as error:
                log.error("event=executor_spawn_failed slot=%d error=%r", self.number, str(error))
                code, started = 0, False
            else:
                self._child = child
                if self._stopping:
                    child.kill()
                code, started = await child.wait(), self._ready
                self._settle(child, code)
            if started:
                failures = 0
            elif not self._stopping:
                pause = exponential_seconds(failures, MIN_RESTART_SECONDS, MAX_RESTART_SECONDS)
                failures += 1
                log.error(
                    "event=executor_start_failed slot=%d %s retry_in_seconds=%.1f",
                    *(self.number, describe_exit(code), pause),
                )
                await asyncio.sleep(pause)

    def stop(self) -> None:
        """Lets `run` end: the executor is killed, and what still ran is returned."""
        self._stopping = True
        if self._child is not None:
            running = self.running()
            if running is not None and self._doomed is None:
                self._doomed = (running.sequence, KillReason.DRAINED)
            self._child.kill()

    def _on_reports(self, payloads: Sequence[bytes]) -> None:
        outcomes: list[Outcome] = []
        returned: list[ClaimedJob] = []
        try:
            for payload in payloads:
                reports = unpack(payload)
                if not reports and not self._ready:
                    self._become_ready()
                for fields in reports:
                    self._take(TaskReport(*fields), outcomes, returned)
        finally:
            # What is no report must not take along those that came before it.
            if returned:
                self._events.released(returned)
            if outcomes:
                self._pace.observe([outcome.seconds for outcome in outcomes])
                self._wear.jobs += len(outcomes)
                self._events.ended(outcomes)
        self._leave_if_due()
        self._events.capacity_freed()
        self._report_bytes = sum(map(len, payloads)) / max(1, len(outcomes))
        self._rest()

    def _take(self, report: TaskReport, outcomes: list[Outcome], returned: list[ClaimedJob]) -> None:
        job = self._jobs.pop(report.sequence, None)
        if job is None:
            return  # Withdrawn before, or no task of ours.
        if report.outcome == TaskOutcome.WITHDRAWN:
            returned.append(job)
        else:
            outcomes.append(classify_report(job, report, recorded=report.sequence == self._recorded))

    def _rest(self) -> None:
        now = asyncio.get_running_loop().time()
        until = self._pace.batch_until(len(self._jobs), self._report_bytes, now)
        if until is not None and self._child is not None:
            self._child.defer_reads(until)

    def _become_ready(self) -> None:
        assert self._child is not None
        self._ready, self._leaving, self._doomed = True, False, None
        self._wear = ExecutorUsage(self._limits, self._child.status.resident_bytes)
        log.debug("event=executor_ready slot=%d pid=%d", self.number, self._child.pid)

    def _on_questions(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            sequence, verb, field, value = unpack(payload)
            job = self._jobs.get(sequence)
            if job is None:
                self.answer(False, "the job does not run any more, so its record cannot be reached through it")
            else:
                self._events.queried(self.answer, job, verb, field, value)

    def _on_garbage(self, what: str) -> None:
        log.error("event=executor_protocol_error slot=%d pid=%s what=%r", self.number, self.pid, what)
        if self._child is not None:
            # Reports come in order, so the first that is missing is the one that was garbled.
            if self._doomed is None and self._jobs:
                self._doomed = (next(iter(self._jobs)), KillReason.PROTOCOL_ERROR)
            self._child.kill()

    def _take_back(self, child: ExecutorProcess, up_to: int) -> None:
        if child is not self._child:
            return  # It has died meanwhile, which has settled everything.
        running, _ = child.status.running_task(0)
        # What has run by now has been reported, so that it is not taken for unbegun.
        child.drain()
        unbegun = [sequence for sequence in self._jobs if running < sequence <= up_to]
        if unbegun:
            self._events.released([self._jobs.pop(sequence) for sequence in unbegun])
            self._leave_if_due()
            self._events.capacity_freed()

    def _leave_if_due(self) -> None:
        child = self._child
        if child is None or not self._ready or not self._wear.exceeds_limits(child.status.resident_bytes):
            return
        self._leaving = True
        if not self._jobs:
            growth = self._wear.growth_bytes(child.status.resident_bytes)
            log.info(
                "event=executor_recycled slot=%d pid=%d jobs=%d grown_bytes=%d",
                *(self.number, child.pid, self._wear.jobs, growth),
            )
            child.kill()

    def _settle(self, child: ExecutorProcess, exit_code: int) -> None:
        now_ns = time.monotonic_ns()
        running, began_ns = child.status.running_task(now_ns)
        death = ExecutorDeath(exit_code, running, child.status.function, (now_ns - began_ns) / 1e9, self._doomed)
        ended, returned = classify_death(self._jobs, death)
        expected = self._stopping or self._leaving or death.killing is not None
        if not expected and (self._jobs or exit_code != 0):
            job_id = ended[0].job.id if ended else ""
            log.warning(
                "event=executor_died slot=%d pid=%d %s job_id=%s",
                *(self.number, child.pid, describe_exit(exit_code), job_id),
            )
        child.close()
        self._child, self._ready, self._leaving, self._doomed = None, False, False, None
        self._jobs = {}
        self._batches.clear()
        if ended:
            self._events.ended(ended)
        if returned:
            self._events.released(returned)
