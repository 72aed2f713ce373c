"""The agent: main process of a worker. Runs the loops that claim and report jobs, and drains them at the end.

Only the agent talks to Redis. The jobs themselves run in executor processes.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from jobqueue.claimed_job import ClaimedJob
from jobqueue.functions import FunctionRegistry
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.messages import WorkerCommand
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord
from worker_node.jobs_in_hand import JobsInHand
from worker_node.shard_loops.capacity import Capacity
from worker_node.shard_loops.claimer import QUEUE_POLL_SECONDS, Claimer
from worker_node.shard_loops.command_listener import listen_for_commands
from worker_node.shard_loops.finisher import Finisher
from worker_node.shard_loops.heartbeat import Heartbeater
from worker_node.shard_loops.lease_renewer import LeaseRenewer
from worker_node.shard_loops.note_writer import NoteWriter
from worker_node.shutdown.drain import Drain
from worker_node.slots.executor_process import ExecutorOptions
from worker_node.slots.job_output import LONG_RUNNING_SECONDS
from worker_node.slots.prefetch import MAX_BATCH_SIZE
from worker_node.slots.recycling import RecyclingLimits
from worker_node.slots.slot_events import RunningJob

if TYPE_CHECKING:
    from worker_node.run_spans import RunSpans

log = logging.getLogger(__name__)

DRAIN_RECORD_SECONDS = 10.0
"""How long a worker that has drained tries to record the last outcomes in Redis."""
PROCESSES_END_SECONDS = 2.0
"""How long a worker that has drained waits until all processes that its jobs have started have ended."""
BURST_POLL_SECONDS = 0.05
MAX_CLAIM_JOBS = 2 * MAX_BATCH_SIZE


class Agent:
    """One worker. Call `run` once.

    Args:
        worker: the worker's record, by which it is listed.
        lease_seconds: how long a claimed job belongs to this worker without a renewal.
        executor, limits: how executor processes are started, and when they are replaced.
        keep_output: which output of jobs is kept with them: `notable`, `all` or `none`.
        burst: exit when the queues are empty and nothing runs.
        spans: of the runs; None if nothing is traced.
    """

    def __init__(
        self,
        shards: Shards,
        worker: WorkerRecord,
        *,
        lease_seconds: float,
        executor: ExecutorOptions,
        limits: RecyclingLimits,
        functions: FunctionRegistry,
        keep_output: str,
        burst: bool,
        spans: "RunSpans | None" = None,
    ) -> None:
        self._shards = shards
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._burst = burst
        self._traces = spans is not None
        self._drain = Drain()
        writers = [NoteWriter(shard, executor.redaction) for shard in shards]
        self._finishers = [
            Finisher(shard, worker.name, writer, spans) for shard, writer in zip(shards, writers, strict=True)
        ]
        self._jobs = JobsInHand(
            shards,
            self._finishers,
            writers,
            slots=worker.slots,
            executor=executor,
            limits=limits,
            functions=functions,
            keep_output=keep_output,
            on_capacity_freed=self._on_capacity_freed,
            on_long_running=self._on_long_running,
            spans=spans,
        )
        self._capacity = Capacity(self._jobs.slots.jobs_wanted, MAX_CLAIM_JOBS)
        self._heartbeaters = [self._new_heartbeater(shard) for shard in shards]
        self._claimers = [self._new_claimer(shard) for shard in shards]

    def drain(self, grace_seconds: float, reason: str) -> None:
        """Start to drain: claim no more jobs, let running ones continue for `grace_seconds`, release the others.

        A second call with a finite time means: stop at once.
        """
        self._drain.start(grace_seconds, reason)
        self._on_drain_changed()

    def drain_for_spot(self, seconds: float) -> None:
        """Drain because EC2 reclaims the instance in `seconds`; jobs that would not end in time are released."""
        self._drain.start_for_spot(seconds)
        self._on_drain_changed()

    def note_rebalance(self) -> None:
        """Report to the scaler that EC2 may reclaim the instance soon, and continue until replaced."""
        log.info("event=rebalance_recommended worker=%s", self._worker.name)
        self._drain.note_rebalance()
        self._send_heartbeats_soon()

    def heartbeat(self) -> WorkerHeartbeat:
        """Return the worker's current state."""
        running = self._jobs.slots.running_jobs
        return WorkerHeartbeat(
            state="draining" if self._drain.started.is_set() else "busy" if running else "idle",
            running=len(running),
            finished=self._jobs.finished,
            failed=self._jobs.failed,
            working_seconds=self._jobs.working_seconds,
            interruption=self._drain.interruption,
            jobs=_long_running(running, time.monotonic()),
        )

    async def run(self) -> None:
        """Work until told to drain (or, in a burst, until no job is left), then drain.

        Raises:
            Exception: one of the loops crashed, which is a bug; the worker has drained before.
        """
        working = self._start(self._jobs.loops())
        working += self._start(
            listen_for_commands(shard, self._worker.name, self._on_command) for shard in self._shards
        )
        heartbeats = self._start(heartbeater.run() for heartbeater in self._heartbeaters)
        claiming = self._start(claimer.run() for claimer in self._claimers)
        if self._burst:
            claiming += self._start([self._drain_when_done()])
        log.info("event=worker_started worker=%s slots=%d", self._worker.name, self._worker.slots)
        await self._drain.started.wait()
        log.info(
            "event=worker_draining worker=%s reason=%s running=%d",
            *(self._worker.name, self._drain.reason, self._jobs.slots.running_count),
        )
        await _cancel(claiming)
        await self._finish_jobs()
        await _cancel(heartbeats)
        await asyncio.gather(*(heartbeater.unregister() for heartbeater in self._heartbeaters))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._jobs.wait_until_ended(), PROCESSES_END_SECONDS)
        await _cancel(working)
        await self._jobs.cancel_answers()
        log.info(
            "event=worker_stopped worker=%s finished=%d failed=%d",
            *(self._worker.name, self._jobs.finished, self._jobs.failed),
        )
        for task in (*claiming, *heartbeats, *working):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def _new_heartbeater(self, shard: Shard) -> Heartbeater:
        renewer = LeaseRenewer(
            shard,
            self._worker.name,
            lease_seconds=self._lease_seconds,
            held_leases=self._jobs.leases,
            on_lost=self._jobs.lose_leases,
            on_cancelled=self._on_cancelled,
        )
        times = self._finishers[shard.index].times
        return Heartbeater(shard, self._worker, renewer, times, read_heartbeat=self.heartbeat)

    def _new_claimer(self, shard: Shard) -> Claimer:
        return Claimer(
            shard,
            self._worker.name,
            self._worker.queues,
            lease_seconds=self._lease_seconds,
            capacity=self._capacity,
            on_claimed=self._jobs.accept,
            on_command=self._on_command,
            poll_seconds=BURST_POLL_SECONDS if self._burst else QUEUE_POLL_SECONDS,
            traces=self._traces,
        )

    def _start(self, loops: Iterable[Coroutine[Any, Any, None]]) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(loop) for loop in loops]
        for task in tasks:
            task.add_done_callback(self._on_loop_ended)
        return tasks

    def _on_loop_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.drain(0.0, "internal_error")

    async def _drain_when_done(self) -> None:
        while True:
            before = [claimer.empty_claims for claimer in self._claimers]
            # Two empty claims are needed: only the second is sure to have started after `before` was read.
            while any(claimer.empty_claims < count + 2 for claimer, count in zip(self._claimers, before, strict=True)):
                await asyncio.sleep(BURST_POLL_SECONDS)
                if not self._jobs.all_recorded:
                    before = [claimer.empty_claims for claimer in self._claimers]
            if self._jobs.all_recorded:
                self.drain(0.0, "queues_empty")
                return

    def _on_drain_changed(self) -> None:
        self._jobs.stop_accepting()
        self._jobs.changed.set()  # The wait in `_finish_jobs` reads the deadline again.

    async def _finish_jobs(self) -> None:
        self._send_heartbeats_soon()
        self._jobs.withdraw()
        while self._jobs.busy and (left := self._drain.remaining_seconds) > 0:
            self._jobs.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._jobs.changed.wait(), left if math.isfinite(left) else None)
        self._jobs.stop()
        try:
            async with asyncio.timeout(DRAIN_RECORD_SECONDS):
                await self._jobs.wait_until_recorded()
        except TimeoutError:
            log.error(
                "event=drain_incomplete worker=%s: the outcomes of some jobs are not recorded, so they run again",
                self._worker.name,
            )

    def _send_heartbeats_soon(self) -> None:
        for heartbeater in self._heartbeaters:
            heartbeater.wake()

    def _on_capacity_freed(self) -> None:
        self._capacity.notify()

    def _on_long_running(self, shard_index: int) -> None:
        self._heartbeaters[shard_index].wake()

    def _on_cancelled(self, jobs: Sequence[ClaimedJob]) -> None:
        self._jobs.cancel(job.id for job in jobs)

    def _on_command(self, command: WorkerCommand) -> None:
        log.info(
            "event=worker_command_received worker=%s verb=%s job_id=%s", self._worker.name, command.verb, command.job_id
        )
        if command.verb == "cancel":
            self._jobs.cancel([command.job_id])
        elif command.verb == "kill":
            self._jobs.kill_running()
        elif command.verb == "drain":
            # No deadline: the scaler waits until this worker has drained.
            self.drain(math.inf, "drain_command")


def _long_running(running: Sequence[RunningJob], now: float) -> Sequence[str]:
    """Return the ids of jobs that have run for long, the longest first: others end before anybody looks at them."""
    long_running = [each for each in running if now - each.started_at > LONG_RUNNING_SECONDS]
    return [each.job.id for each in sorted(long_running, key=lambda each: each.started_at)]


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
