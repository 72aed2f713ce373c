"""Workers on a fake clock: they use the queue like a worker's agent, one step at a time and one job each."""

from dataclasses import dataclass

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.claim import claim, release
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend
from jobqueue.model import LEASE_SECONDS
from jobqueue.sharding.shard import Shard
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat, unregister
from tests.acceptance.scaler.fake_cloud import Machine
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import success_outcome

HEARTBEAT_SECONDS = 5.0
RELEASE_MARGIN_SECONDS = 15.0
"""How long before a spot interruption the worker releases its job."""


@dataclass(slots=True)
class FakeWorker:
    """The worker of one instance.

    Attributes:
        job: the job that it runs; it ends at `ends_at`.
        interruption: as in `WorkerView`.
        registered_at: when it registered first.
        dead: it has stopped working, but its instance keeps running.
        exited: it drained and unregistered.
    """

    machine: Machine
    shard: Shard
    clock: FakeClock
    job: ClaimedJob | None = None
    ends_at: float = 0.0
    heartbeat_at: float = float("-inf")
    draining: bool = False
    interruption: str = ""
    registered: bool = False
    registered_at: float = float("inf")
    dead: bool = False
    exited: bool = False
    finished: int = 0

    @property
    def is_awake(self) -> bool:
        """Whether it still does anything."""
        return not (self.machine.ended or self.dead or self.exited)

    async def step(self, seconds_of: dict[str, float], *, drain_requested: bool, jobs_wait: bool) -> None:
        """Finish, drain, claim, and send a heartbeat, as far as each is due.

        Args:
            seconds_of: run time of each job by id.
            drain_requested: the worker has received the command to drain.
            jobs_wait: there are jobs in the queue.
        """
        now, name = self.clock.now, self.machine.id
        if self.job is not None and now >= self.ends_at:
            await finish(self.shard, name, [success_outcome(self.job)])
            self.job, self.finished, self.heartbeat_at = None, self.finished + 1, float("-inf")
        self.draining = self.draining or drain_requested or self.interruption == "spot"
        if self.draining and self.job is None:
            await unregister(self.shard, name, ("default",))
            self.exited = True
            return
        if not self.draining and self.job is None and jobs_wait:
            jobs = await claim(self.shard, name, ("default",), 1, lease_seconds=LEASE_SECONDS)
            if jobs:
                self.job, self.ends_at = jobs[0], now + seconds_of[jobs[0].id]
                self.heartbeat_at = float("-inf")
        if now - self.heartbeat_at >= HEARTBEAT_SECONDS:
            await self._send_heartbeat(name)

    async def release_job(self) -> None:
        """Release the job to other workers before the instance is reclaimed."""
        if self.job is not None:
            await release(self.shard, [self.job])
            self.job = None

    async def _send_heartbeat(self, name: str) -> None:
        if self.job is not None:
            extension = await extend(self.shard, name, [LeaseUpdate(self.job, None)], lease_seconds=LEASE_SECONDS)
            if extension.lost:
                self.job = None
        if not self.registered:
            await register(self.shard, WorkerRecord(name, "host", 1, ("default",), 1, "cloud", name))
            self.registered_at = min(self.registered_at, self.clock.now)
        state = "draining" if self.draining else "busy" if self.job else "idle"
        heartbeat = WorkerHeartbeat(
            state=state,
            running=int(self.job is not None),
            finished=self.finished,
            failed=0,
            working_seconds=0.0,
            interruption=self.interruption,
        )
        self.registered = await send_worker_heartbeat(self.shard, name, heartbeat)
        self.heartbeat_at = self.clock.now
