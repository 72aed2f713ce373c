"""Claims a shard's jobs whenever the slots have room, and hands them over."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence

from jobqueue.backoff import Backoff
from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.claim import claim
from jobqueue.model import ClaimedJob
from jobqueue.sharding.shard import Shard
from jobqueue.workers.messages import WakeUp, WorkerCommand, pass_wake_up, wait_for_message
from worker_node.shard_loops.capacity import Capacity, Reservation

QUEUE_POLL_SECONDS = 5.0
"""How long a worker sleeps at most before it looks at the queues unasked, which it need not where a manager lives: that
one rings for a queue with jobs and without wake tokens (`jobqueue/maintenance/rq_wakeups.py`)."""


class Claimer:
    """One shard's way into the slots.

    Args:
        hand_over: takes claimed jobs.
        on_command: takes a message to this worker.
        listen_seconds: how long to wait for a job before the queues are looked at again.

    Attributes:
        empty_claims: how often there was nothing to claim, or to be seen in the queues.
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
    ) -> None:
        self._shard = shard
        self._worker = worker
        self._queues = tuple(queues)
        self._lease_seconds = lease_seconds
        self._capacity = capacity
        self._hand_over = on_claimed
        self._on_command = on_command
        self._listen_seconds = poll_seconds
        self._token = secrets.token_hex(8)
        self.empty_claims = 0

    async def run(self) -> None:
        """Claims until it is cancelled."""
        patience = Backoff("claim", self._shard.prefix)
        while True:
            reservation = await self._capacity.reserve(self._shard.index)
            try:
                claimed = await self._claim_for(reservation)
            except JobQueueError as error:
                await patience.failed(error)
                continue
            patience.succeeded()
            if claimed < reservation.jobs:
                self.empty_claims += claimed == 0
                await self._listen(patience)

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
            )
        )
        try:
            # Redis leases the jobs, whether somebody here still waits for them or not.
            jobs = await asyncio.shield(claiming)
            # Only now: a claim whose answer was lost is repeated under its own name, and gets the same jobs.
            self._token = secrets.token_hex(8)
            if jobs:
                self._hand_over(jobs)
        except asyncio.CancelledError:
            with contextlib.suppress(JobQueueError):
                self._hand_over(await claiming)
            raise
        finally:
            # After the jobs are with the slots: before, their room would be given to another shard's claim as well.
            self._capacity.release(reservation)
        return len(jobs)

    async def _listen(self, patience: Backoff) -> None:
        """Returns when it is time to claim."""
        heard: WorkerCommand | WakeUp | None = None
        while not isinstance(heard, WakeUp):
            try:
                heard = await wait_for_message(
                    self._shard, self._worker, self._queues, for_work=True, seconds=self._listen_seconds
                )
                if isinstance(heard, WakeUp) and not self._capacity.has_room:
                    # Another shard's jobs have filled the slots meanwhile: somebody else must hear of this one.
                    await pass_wake_up(self._shard, heard)
            except JobQueueError as error:
                await patience.failed(error)
                return
            if isinstance(heard, WorkerCommand):
                self._on_command(heard)
            elif heard is None:
                self.empty_claims += 1
