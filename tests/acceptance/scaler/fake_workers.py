"""Workers on a virtual clock: they do with the queue what a worker's agent does, one step at a time, one job each."""

from __future__ import annotations

from dataclasses import dataclass

from jobqueue.lifecycle.claim import claim, release
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend
from jobqueue.model import ClaimedJob
from jobqueue.sharding.shard import Shard
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat, unregister
from tests.acceptance.scaler.fake_cloud import Machine
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import success_outcome

BEAT_SECONDS = 5.0
SPARE_SECONDS = 15.0
"""So long before it is taken back it gives its job back."""


@dataclass(slots=True)
class FakeWorker:
    """The worker of one instance. `dead`: it does nothing any more, and its instance does not know."""

    machine: Machine
    shard: Shard
    clock: FakeClock
    job: ClaimedJob | None = None
    ends_at: float = 0.0
    beaten_at: float = float("-inf")
    draining: bool = False
    leaving: str = ""
    listed: bool = False
    dead: bool = False
    left: bool = False
    finished: int = 0

    @property
    def is_awake(self) -> bool:
        """Whether there is anything that it may do."""
        return not (self.machine.ended or self.dead or self.left)

    async def step(self, seconds_of: dict[str, float], *, told: bool, work_waits: bool) -> None:
        """What it does now.

        Args:
            told: there is a message for it: to drain.
        """
        now, name = self.clock.now, self.machine.id
        if self.job is not None and now >= self.ends_at:
            await finish(self.shard, name, [success_outcome(self.job)])
            self.job, self.finished, self.beaten_at = None, self.finished + 1, float("-inf")
        self.draining = self.draining or told or self.leaving == "spot"
        if self.draining and self.job is None:
            await unregister(self.shard, name, ("default",))
            self.left = True
            return
        if not self.draining and self.job is None and work_waits:
            jobs = await claim(self.shard, name, ("default",), 1, lease_seconds=20.0)
            if jobs:
                self.job, self.ends_at = jobs[0], now + seconds_of[jobs[0].id]
                self.beaten_at = float("-inf")
        if now - self.beaten_at >= BEAT_SECONDS:
            await self._beat(name)

    async def give_back(self) -> None:
        """The instance is about to be taken back: the job goes to somebody else."""
        if self.job is not None:
            await release(self.shard, [self.job])
            self.job = None

    async def _beat(self, name: str) -> None:
        if self.job is not None:
            extension = await extend(self.shard, name, [LeaseUpdate(self.job, None)], lease_seconds=20.0)
            if extension.lost:
                self.job = None
        if not self.listed:
            await register(self.shard, WorkerRecord(name, "host", 1, ("default",), 1, "cloud", name))
        state = "draining" if self.draining else "busy" if self.job else "idle"
        report = WorkerHeartbeat(state, int(self.job is not None), self.finished, 0, 0.0, self.leaving)
        self.listed = await send_worker_heartbeat(self.shard, name, report)
        self.beaten_at = self.clock.now
