"""The agent: puts the worker's loops together, and takes them apart again without losing a job."""

import asyncio
import contextlib
import logging
import math
import time
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from typing import Any

from jobqueue.functions import FunctionRegistry
from jobqueue.lifecycle.finish import Failed, Finished, Outcome, Stopped
from jobqueue.lifecycle.leases import LeaseUpdate
from jobqueue.model import ClaimedJob
from jobqueue.rq_call import requested_function
from jobqueue.sharding.shards import Shards
from jobqueue.workers.messages import WorkerCommand
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord
from worker_node.shard_loops.capacity import Capacity
from worker_node.shard_loops.claimer import QUEUE_POLL_SECONDS, Claimer
from worker_node.shard_loops.command_listener import listen_for_commands
from worker_node.shard_loops.finisher import Finisher
from worker_node.shard_loops.heartbeat import Heartbeater
from worker_node.shutdown.drain import Drain
from worker_node.slots import job_record
from worker_node.slots.executor_process import ExecutorOptions
from worker_node.slots.outcomes import KillReason
from worker_node.slots.prefetch import MAX_BATCH_SIZE, PrefetchController
from worker_node.slots.recycling import RecyclingLimits
from worker_node.slots.revoked_jobs import RevokedJobs
from worker_node.slots.slot import Slot
from worker_node.slots.slot_events import Reply, SlotEvents
from worker_node.slots.slot_pool import SlotPool
from worker_node.slots.watchdog import Watchdog

log = logging.getLogger(__name__)

DRAIN_RECORD_SECONDS = 10.0
"""How long a leaving worker tries to record what it has done."""
BURST_POLL_SECONDS = 0.05
MAX_CLAIM_JOBS = 2 * MAX_BATCH_SIZE


class Agent:
    """One worker. `run` it once.

    Args:
        shards: the queue.
        worker: how the worker is listed.
        redis_url: of the queue.
        lease_seconds: how long a job is this worker's without being renewed.
        burst: leave when the queues are empty and nothing runs.
    """

    def __init__(
        self,
        shards: Shards,
        worker: WorkerRecord,
        *,
        redis_url: str,
        lease_seconds: float,
        executor: ExecutorOptions,
        limits: RecyclingLimits,
        functions: FunctionRegistry,
        burst: bool,
    ) -> None:
        self._shards = shards
        self._worker = worker
        self._burst = burst
        self._functions = functions
        self._unwanted = RevokedJobs()
        self._answering: set[asyncio.Task[None]] = set()
        self._departure, self._quiet = Drain(), asyncio.Event()
        self._finished, self._failed, self._working_seconds = 0, 0, 0.0
        pace = PrefetchController()
        events = SlotEvents(self._on_ended, self._on_returned, self._on_asked, self._on_room)
        self._slots = SlotPool([Slot(number, executor, limits, pace, events) for number in range(worker.slots)])
        self._capacity = Capacity(self._slots.jobs_wanted, MAX_CLAIM_JOBS)
        self._watch = Watchdog(self._slots, self._unwanted, self._on_long_running)
        self._finishers = [Finisher(shard, worker.name, redis_url) for shard in shards]
        self._keepers = [
            Heartbeater(
                shard,
                worker,
                lease_seconds=lease_seconds,
                held_leases=self._held_leases,
                read_heartbeat=self._report,
                on_lost=self._on_lost,
                on_cancelled=self._on_cancelled,
            )
            for shard in shards
        ]
        self._feeders = [
            Claimer(
                shard,
                worker.name,
                worker.queues,
                lease_seconds=lease_seconds,
                capacity=self._capacity,
                on_claimed=self._hand_over,
                on_command=self._on_command,
                poll_seconds=BURST_POLL_SECONDS if burst else QUEUE_POLL_SECONDS,
            )
            for shard in shards
        ]

    def drain(self, grace_seconds: float, reason: str) -> None:
        """Begins to drain: no new jobs, running ones may go on for so long, everything else is given back.

        A limit that is set a second time means at once.
        """
        self._departure.start(grace_seconds, reason)
        self._quiet.set()

    def drain_for_spot(self, seconds: float) -> None:
        """Drains because EC2 takes the instance back in so many seconds; what has not ended by then goes back."""
        self._departure.start_for_spot(seconds)
        self._quiet.set()

    def note_rebalance(self) -> None:
        """Tells whoever scales the fleet that EC2 may take the instance back soon, and works on until replaced."""
        log.info("event=rebalance_recommended worker=%s reason=rebalance", self._worker.name)
        self._departure.note_rebalance()
        self._renew_soon()

    async def run(self) -> None:
        """Works until it is told to leave (or, in a burst, until nothing is left), and drains.

        Raises:
            Exception: what ended one of its loops, which is a fault of this program; it has drained before.
        """
        working = [self._start(slot.run()) for slot in self._slots]
        working += [self._start(finisher.run()) for finisher in self._finishers]
        working += [
            self._start(listen_for_commands(shard, self._worker.name, self._on_command)) for shard in self._shards
        ]
        working.append(self._start(self._watch.run()))
        keeping = [self._start(keeper.run()) for keeper in self._keepers]
        feeding = [self._start(feeder.run()) for feeder in self._feeders]
        if self._burst:
            feeding.append(self._start(self._leave_when_done()))
        log.info("event=worker_started worker=%s slots=%d", self._worker.name, self._worker.slots)
        await self._departure.started.wait()
        log.info(
            "event=worker_draining worker=%s reason=%s running=%d",
            *(self._worker.name, self._departure.reason, self._slots.running_count),
        )
        await _cancel(feeding)
        await self._drain()
        await _cancel(keeping)
        await asyncio.gather(*(keeper.unregister() for keeper in self._keepers))
        await _cancel([*working, *self._answering])
        log.info(
            "event=worker_stopped worker=%s finished=%d failed=%d", self._worker.name, self._finished, self._failed
        )
        for task in (*feeding, *keeping, *working):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def _renew_soon(self) -> None:
        for keeper in self._keepers:
            keeper.renew_soon()

    def _start(self, loop: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(loop)
        task.add_done_callback(self._on_loop_ended)
        return task

    def _on_loop_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.drain(0.0, "fault")

    async def _leave_when_done(self) -> None:
        while True:
            seen = [feeder.empty_claims for feeder in self._feeders]
            # Twice empty since: the second claim began after the first, so after whatever was seen here.
            while any(feeder.empty_claims < before + 2 for feeder, before in zip(self._feeders, seen, strict=True)):
                await asyncio.sleep(BURST_POLL_SECONDS)
                if self._working:
                    seen = [feeder.empty_claims for feeder in self._feeders]
            if not self._working:
                self.drain(0.0, "queues_empty")
                return

    @property
    def _working(self) -> bool:
        return self._slots.busy or not all(finisher.idle for finisher in self._finishers)

    async def _drain(self) -> None:
        self._renew_soon()
        for slot in self._slots:
            slot.withdraw()
        await self._until_quiet_or_due()
        for slot in self._slots:
            slot.stop()
        try:
            async with asyncio.timeout(DRAIN_RECORD_SECONDS):
                while self._slots.busy:
                    self._quiet.clear()
                    await self._quiet.wait()
                await asyncio.gather(*(finisher.wait_until_idle() for finisher in self._finishers))
        except TimeoutError:
            log.error("event=drain_incomplete worker=%s: jobs that it held run again elsewhere", self._worker.name)

    async def _until_quiet_or_due(self) -> None:
        while self._slots.busy and (left := self._departure.remaining_seconds) > 0:
            self._quiet.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), left if math.isfinite(left) else None)

    def _hand_over(self, jobs: Sequence[ClaimedJob]) -> None:
        if self._unwanted or self._departure.started.is_set():
            unwanted = [
                job for job in jobs if self._departure.started.is_set() or self._unwanted.reason(job) is not None
            ]
            self._on_returned(unwanted)
            jobs = [job for job in jobs if job not in unwanted]
        self._on_returned(self._slots.assign(jobs))
        self._watch.wake()

    def _on_ended(self, outcomes: Sequence[Outcome]) -> None:
        by_shard: dict[int, list[Outcome]] = defaultdict(list)
        for outcome in outcomes:
            by_shard[outcome.job.shard_index].append(outcome)
            self._working_seconds += outcome.seconds
            self._finished += isinstance(outcome, Finished)
            self._failed += isinstance(outcome, Failed)
            if self._unwanted:
                self._unwanted.forget(outcome.job)
        for index, some in by_shard.items():
            self._finishers[index].finish(some)
        self._quiet.set()

    def _on_returned(self, jobs: Sequence[ClaimedJob]) -> None:
        for job in jobs:
            why = self._unwanted.reason(job)
            self._unwanted.forget(job)
            finisher = self._finishers[job.shard_index]
            if why is KillReason.CANCELLED:
                finisher.finish([Stopped(job, requested_function(job.data, self._functions), 0.0)])
            elif why is None:
                finisher.release([job])
        self._quiet.set()

    def _on_room(self) -> None:
        self._capacity.notify()

    def _on_long_running(self, shard_index: int) -> None:
        self._keepers[shard_index].renew_soon()

    def _on_lost(self, jobs: Sequence[ClaimedJob]) -> None:
        for job in jobs:
            log.warning("event=job_lease_lost job_id=%s", job.id)
            self._unwanted.lose_lease(job, time.monotonic())
        self._watch.check(time.monotonic())

    def _on_cancelled(self, jobs: Sequence[ClaimedJob]) -> None:
        for job in jobs:
            self._unwanted.cancel(job.id, time.monotonic())
        self._watch.check(time.monotonic())

    def _on_command(self, command: WorkerCommand) -> None:
        log.info(
            "event=worker_command_received worker=%s verb=%s job_id=%s", self._worker.name, command.verb, command.job_id
        )
        if command.verb == "cancel":
            self._unwanted.cancel(command.job_id, time.monotonic())
            self._watch.check(time.monotonic())
        elif command.verb == "drain":
            # Whoever scales the fleet waits until this worker is empty.
            self.drain(math.inf, "drain_command")

    def _on_asked(self, reply: Reply, job: ClaimedJob, verb: str, field: str, value: bytes) -> None:
        shard = self._shards.all[job.shard_index]
        task = asyncio.create_task(job_record.answer_query(shard, reply, job, verb, field, value))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def _held_leases(self, shard_index: int) -> list[LeaseUpdate]:
        offset = time.time() - time.monotonic()
        updates = []
        for slot in self._slots:
            running = slot.running()
            for job in slot.jobs:
                if job.shard_index == shard_index:
                    recorded = (
                        running is not None and running.job is job and slot.has_execution_record(running.sequence)
                    )
                    updates.append(LeaseUpdate(job, running.started_at + offset if running and recorded else None))
        return updates

    def _report(self) -> WorkerHeartbeat:
        running = self._slots.running_count
        state = "draining" if self._departure.started.is_set() else "busy" if running else "idle"
        return WorkerHeartbeat(
            state, running, self._finished, self._failed, self._working_seconds, self._departure.interruption
        )


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
