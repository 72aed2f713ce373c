"""The jobs that a worker has claimed and not yet reported: assigned to slots, and passed on to Redis when they end.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from jobqueue.claimed_job import ClaimedJob
from jobqueue.functions import FunctionRegistry
from jobqueue.lifecycle.finish import Failed, Finished, Outcome, Stopped
from jobqueue.lifecycle.leases import LeaseUpdate
from jobqueue.lifecycle.notes import NewLine
from jobqueue.model import FailureReason
from jobqueue.rq_call import requested_function
from jobqueue.sharding.shards import Shards
from worker_node.shard_loops.finisher import Finisher
from worker_node.shard_loops.note_writer import NoteWriter
from worker_node.slots.executor_process import ExecutorOptions
from worker_node.slots.job_record import answer_query
from worker_node.slots.orphans import RETRY_SECONDS, OrphanReaper
from worker_node.slots.outcomes import KillReason
from worker_node.slots.prefetch import PrefetchController
from worker_node.slots.recycling import RecyclingLimits
from worker_node.slots.reports import ReportChecker
from worker_node.slots.revoked_jobs import RevokedJobs
from worker_node.slots.slot import Slot
from worker_node.slots.slot_events import Reply, SlotEvents
from worker_node.slots.slot_pool import SlotPool
from worker_node.slots.suspects import Suspects
from worker_node.slots.watchdog import Watchdog
from worker_node.stopped_callbacks import StoppedCallbacks

if TYPE_CHECKING:
    from worker_node.run_spans import RunSpans

log = logging.getLogger(__name__)

SUSPECTED_TEXT = (
    "the job failed because several executor processes broke down, without a word why, when it was next or running"
)


class JobsInHand:
    """Routes claimed jobs into the slots, and their outcomes to the finisher of their shard.

    Args:
        finishers, note_writers: by shard index.
        functions: names the function of a job that is cancelled before it starts.
        keep_output: which output of jobs is kept with them: `notable`, `all` or `none`.
        spans: of the runs; None if nothing is traced.
        on_capacity_freed: called when the slots may be able to take jobs again.
        on_long_running: called with a shard's index when a job of that shard has run for a second.

    Attributes:
        slots: the slot pool; all jobs in hand are in it.
        slot_events: what the slots call.
        finished, failed, working_seconds: totals since the start.
        changed: set whenever jobs have left the slots; whoever waits for it clears it first.
    """

    def __init__(
        self,
        shards: Shards,
        finishers: Sequence[Finisher],
        note_writers: Sequence[NoteWriter],
        *,
        slots: int,
        executor: ExecutorOptions,
        limits: RecyclingLimits,
        functions: FunctionRegistry,
        keep_output: str,
        on_capacity_freed: Callable[[], None],
        on_long_running: Callable[[int], None],
        spans: "RunSpans | None" = None,
    ) -> None:
        self._shards = shards
        self._tell_capacity_freed = on_capacity_freed
        self._finishers = finishers
        self._functions = functions
        self._note_writers = note_writers
        self._spans = spans
        self._revoked = RevokedJobs()
        self._suspects = Suspects()
        self._accepting = True
        self._answers: set[asyncio.Task[None]] = set()
        prefetch = PrefetchController()
        checker = ReportChecker(functions)
        self.slot_events = events = SlotEvents(
            ended=self._on_ended,
            released=self._release,
            suspected=self._on_suspected,
            printed=self._on_printed,
            queried=self._on_queried,
            capacity_freed=self._on_capacity_freed,
        )
        self._orphans = OrphanReaper()
        self.slots = SlotPool(
            [
                Slot(
                    *(number, executor, limits, self._orphans, prefetch, checker, events),
                    keep_output=keep_output,
                    spans=spans,
                )
                for number in range(slots)
            ]
        )
        self._stopped_callbacks = StoppedCallbacks(self.slots)
        self._watchdog = Watchdog(self.slots, self._revoked, on_long_running)
        self.finished = self.failed = 0
        self.working_seconds = 0.0
        self.changed = asyncio.Event()

    def loops(self) -> Iterable[Coroutine[Any, Any, None]]:
        """Yield the loops of the slots, the finishers, the watchdog and others, for the agent to run as tasks."""
        yield self._orphans.run()
        yield from (slot.run() for slot in self.slots)
        yield from (finisher.run() for finisher in self._finishers)
        yield from (writer.run() for writer in self._note_writers)
        yield self._watchdog.run()

    @property
    def busy(self) -> bool:
        """Whether a slot holds a job, or will get one whose callback is still to be called."""
        return self.slots.busy or bool(self._stopped_callbacks.waiting)

    @property
    def all_recorded(self) -> bool:
        """Whether no job is in hand and all outcomes are recorded in Redis."""
        return not self.busy and all(finisher.idle for finisher in self._finishers)

    def accept(self, jobs: Sequence[ClaimedJob]) -> None:
        """Assign claimed jobs to slots; release them if they are revoked, or if no slot can take them.

        A job whose record cannot be read fails, and costs its neighbours nothing.
        """
        if any(job.unreadable for job in jobs):
            self._on_ended([_rejected(job, self._functions) for job in jobs if job.unreadable])
            jobs = [job for job in jobs if not job.unreadable]
        if self._revoked or not self._accepting:
            refused = [job for job in jobs if not self._accepting or self._revoked.reason(job) is not None]
            self._release(refused)
            jobs = [job for job in jobs if job not in refused]
        self._release(self.slots.assign(jobs))
        self._watchdog.wake()

    def stop_accepting(self) -> None:
        """Release all jobs that are accepted from now on."""
        self._accepting = False

    def withdraw(self) -> None:
        """Release all jobs that have not started."""
        for slot in self.slots:
            slot.withdraw()

    def stop(self) -> None:
        """Kill and release all jobs that are still running, and end the executors."""
        self._on_ended([self._stopped(job) for job in self._stopped_callbacks.close()])
        for slot in self.slots:
            slot.stop()

    async def wait_until_recorded(self) -> None:
        """Wait until no slot holds a job, and all outcomes and notes are recorded in Redis."""
        while self.slots.busy:
            self.changed.clear()
            await self.changed.wait()
        await asyncio.gather(*(finisher.wait_until_idle() for finisher in self._finishers))
        await asyncio.gather(*(writer.wait_until_idle() for writer in self._note_writers))

    async def wait_until_ended(self) -> None:
        """Wait, after `stop`, until the executors and all processes that jobs have started have ended."""
        while any(slot.pid is not None for slot in self.slots):  # noqa: ASYNC110 - only here, at the end
            await asyncio.sleep(RETRY_SECONDS)
        await self._orphans.end_all()

    async def cancel_answers(self) -> None:
        """Give up answering the queries of running jobs."""
        answers = tuple(self._answers)
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)

    def leases(self, shard_index: int) -> list[LeaseUpdate]:
        """Return the leases to renew on one shard; with its start for a job that has an execution record."""
        offset = time.time() - time.monotonic()
        updates = []
        for slot in self.slots:
            running = slot.running()
            for job in slot.jobs:
                if job.shard_index == shard_index:
                    recorded = (
                        running is not None and running.job is job and slot.has_execution_record(running.sequence)
                    )
                    updates.append(LeaseUpdate(job, running.started_at + offset if running and recorded else None))
        waiting = self._stopped_callbacks.waiting
        updates += [LeaseUpdate(job, None) for job in waiting if job.shard_index == shard_index]
        return updates

    def lose_leases(self, jobs: Sequence[ClaimedJob]) -> None:
        """Kill or drop jobs whose lease is gone: they may be running on another worker."""
        now = time.monotonic()
        for job in jobs:
            log.warning("event=job_lease_lost job_id=%s", job.id)
            self._revoked.lose_lease(job, now)
        self._stopped_callbacks.drop(jobs)
        self._watchdog.check(now)

    def cancel(self, job_ids: Iterable[str]) -> None:
        """Kill jobs that were cancelled, or do not start them; one of them may still be on its way to this worker."""
        now = time.monotonic()
        for job_id in job_ids:
            self._revoked.cancel(job_id, now)
        self._watchdog.check(now)

    def kill_running(self) -> None:
        """Kill all running jobs, which fail; those that wait in their slots run elsewhere, or later."""
        for slot in self.slots:
            running = slot.running()
            if running is not None:
                seconds = time.monotonic() - running.started_at
                log.info("event=job_killed job_id=%s reason=command seconds=%.1f", running.job.id, seconds)
                slot.kill(running.sequence, KillReason.COMMAND)

    def _on_ended(self, outcomes: Sequence[Outcome]) -> None:
        by_shard: dict[int, list[Outcome]] = defaultdict(list)
        if any(outcome.job.rq_callbacks is not None for outcome in outcomes):
            for outcome in outcomes:
                self._revoked.forget(outcome.job)
            outcomes = self._stopped_callbacks.take(outcomes)
            self._assign_stopped()
        if self._spans is not None:
            self._spans.end(outcomes)
        for outcome in outcomes:
            by_shard[outcome.job.shard_index].append(outcome)
            self.working_seconds += outcome.seconds
            self.finished += isinstance(outcome, Finished)
            self.failed += isinstance(outcome, Failed)
            if self._revoked:
                self._revoked.forget(outcome.job)
        for index, some in by_shard.items():
            self._finishers[index].finish(some)
        self.changed.set()

    def _release(self, jobs: Sequence[ClaimedJob]) -> None:
        for job in jobs:
            reason = self._revoked.reason(job)
            self._revoked.forget(job)
            finisher = self._finishers[job.shard_index]
            if job.stopped and reason is None and self._stopped_callbacks.take_back(job):
                continue
            if reason is KillReason.CANCELLED or (job.stopped and reason is None):
                self._on_ended([self._stopped(job)])
            elif reason is None:
                finisher.release([job])
        self.changed.set()

    def _stopped(self, job: ClaimedJob) -> Stopped:
        return Stopped(job, requested_function(job.data, self._functions), 0.0)

    def _assign_stopped(self) -> None:
        if self._stopped_callbacks.waiting:
            self._stopped_callbacks.assign()
            self._watchdog.wake()

    def _on_capacity_freed(self) -> None:
        self._assign_stopped()
        self._tell_capacity_freed()

    def _on_suspected(self, job: ClaimedJob) -> None:
        if self._suspects.is_guilty(job.id):
            function = requested_function(job.data, self._functions)
            self._on_ended([Failed(job, function, 0.0, FailureReason.WORKER_LOST, SUSPECTED_TEXT)])
        else:
            self._release([job])

    def _on_printed(self, job: ClaimedJob, lines: Sequence[NewLine]) -> None:
        self._note_writers[job.shard_index].take_output(job, lines)

    def _on_queried(self, reply: Reply, job: ClaimedJob, operation: str, field: str, value: bytes) -> None:
        if operation in ("progress", "log"):
            try:
                self._note_writers[job.shard_index].take(job, operation, value)
            except ValueError as error:
                reply(False, f"not understood: {error}")
            else:
                reply(True, None)
            return
        task = asyncio.create_task(answer_query(self._shards, reply, job, operation, field, value))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)


def _rejected(job: ClaimedJob, functions: FunctionRegistry) -> Failed:
    function = requested_function(job.data, functions)
    return Failed(job, function, 0.0, FailureReason.REJECTED, job.unreadable or "")
