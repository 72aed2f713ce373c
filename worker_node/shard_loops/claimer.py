"""Claim loop of one shard: claims jobs whenever the slots have free capacity (faktory: fetch, river: producer).

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cluster_cpu`).
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence

from jobqueue.backoff import Backoff
from jobqueue.claimed_job import ClaimedJob
from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.claim import claim
from jobqueue.sharding.shard import Shard
from jobqueue.workers.messages import WakeUp, WorkerCommand, pass_wake_up, wait_for_message
from worker_node.shard_loops.capacity import Capacity, Reservation

QUEUE_POLL_SECONDS = 5.0
"""An idle worker checks the queues after this time even without a wake-up. It is a safety net: managers send a wake-up
for every queue that has jobs but no wake-up pending (`jobqueue/maintenance/rq_wakeups.py`)."""


class Claimer:
    """Claims jobs from one shard.

    Args:
        on_claimed: receives the jobs.
        on_command: receives commands to this worker.
        poll_seconds: how long to wait for a wake-up before the queues are checked.
        traces: whether to ask for the spans of the jobs' submissions.

    Attributes:
        empty_claims: how often a claim, or a check of the queues, found no job.
    """

    def __init__(
        self,
        shard: Shard,
        worker: str,
        queues: Sequence[str],
        *,
        lease_seconds: float,
        capacity: Capacity,
        on_claimed: Callable[[Sequence[ClaimedJob]], None],
        on_command: Callable[[WorkerCommand], None],
        poll_seconds: float = QUEUE_POLL_SECONDS,
        traces: bool = False,
    ) -> None:
        self._shard = shard
        self._worker = worker
        self._queues = tuple(queues)
        self._lease_seconds = lease_seconds
        self._capacity = capacity
        self._on_claimed = on_claimed
        self._on_command = on_command
        self._poll_seconds = poll_seconds
        self._traces = traces
        self._token = secrets.token_hex(8)
        self._sample: list[bytes] = []
        self.empty_claims = 0

    async def run(self) -> None:
        """Claim until cancelled."""
        backoff = Backoff("claim", self._shard.prefix)
        while True:
            reservation = await self._capacity.reserve(self._shard.index)
            try:
                claimed = await self._claim_for(reservation)
            except JobQueueError as error:
                await backoff.failed(error)
                continue
            backoff.succeeded()
            if claimed < reservation.jobs:
                self.empty_claims += claimed == 0
                await self._wait_for_work(backoff)

    async def _claim_for(self, reservation: Reservation) -> int:
        claiming = asyncio.ensure_future(
            claim(
                self._shard,
                self._worker,
                self._queues,
                reservation.jobs,
                lease_seconds=self._lease_seconds,
                token=self._token,
                retry_seconds=0.0,
                traces=self._traces,
            )
        )
        try:
            # Shielded: Redis leases the jobs to this worker even if this task is cancelled meanwhile.
            jobs = await asyncio.shield(claiming)
            # Not earlier: a claim whose answer was lost is repeated with the same token and gets the same jobs.
            self._token = secrets.token_hex(8)
            if jobs:
                self._on_claimed(jobs)
        except asyncio.CancelledError:
            with contextlib.suppress(JobQueueError):
                self._on_claimed(await claiming)
            raise
        finally:
            # Not earlier: until the jobs are in the slots, another shard could claim for the same capacity.
            self._capacity.release(reservation)
        return len(jobs)

    async def _wait_for_work(self, backoff: Backoff) -> None:
        """Wait for a wake-up, or after a failure for the next try."""
        message: WorkerCommand | WakeUp | None = None
        while not isinstance(message, WakeUp):
            try:
                message = await wait_for_message(
                    self._shard,
                    self._worker,
                    self._queues,
                    for_work=True,
                    seconds=self._poll_seconds,
                    sample=self._sample,
                )
                if isinstance(message, WakeUp) and not self._capacity.has_unreserved:
                    # Jobs of another shard have filled the slots meanwhile: another worker must get this wake-up.
                    await pass_wake_up(self._shard, message)
            except JobQueueError as error:
                await backoff.failed(error)
                return
            if isinstance(message, WorkerCommand):
                self._on_command(message)
            elif message is None:
                self.empty_claims += 1
