"""Watches the jobs that are here: ends those that run too long or are not wanted, returns those that wait too long."""

import asyncio
import logging
import time
from collections.abc import Callable

from worker_node.slots.outcomes import KillReason
from worker_node.slots.revoked_jobs import RevokedJobs
from worker_node.slots.slot import Slot
from worker_node.slots.slot_events import RunningJob
from worker_node.slots.slot_pool import SlotPool

log = logging.getLogger(__name__)

CHECK_SECONDS = 0.25
LONG_RUNNING_SECONDS = 1.0
"""A job that has run for so long gets RQ's execution record; one that has waited here for so long is given back."""


class Watchdog:
    """Looks at the slots four times a second while any job is here.

    Args:
        on_long: a job of the shard with that index has become a long one.
    """

    def __init__(self, slots: SlotPool, revoked: RevokedJobs, on_long_running: Callable[[int], None]) -> None:
        self._slots = slots
        self._unwanted = revoked
        self._on_long = on_long_running
        self._busy = asyncio.Event()

    def wake(self) -> None:
        """Jobs have come."""
        self._busy.set()

    async def run(self) -> None:
        """Watches until it is cancelled."""
        while True:
            await self._busy.wait()
            self._busy.clear()
            while self._slots.busy:
                self.check(time.monotonic())
                await asyncio.sleep(CHECK_SECONDS)

    def check(self, now: float) -> None:
        """Does what is due at `now`, by the monotonic clock."""
        for slot in self._slots:
            running = slot.running()
            if running is not None:
                self._look_at(slot, running, now)
            since = slot.waiting_since()
            if since is not None and (now - since > LONG_RUNNING_SECONDS or self._any_unwanted(slot)):
                slot.withdraw()

    def _look_at(self, slot: Slot, running: RunningJob, now: float) -> None:
        job, seconds = running.job, now - running.started_at
        why = self._unwanted.reason(job)
        if why is None and job.timeout_seconds is not None and seconds > job.timeout_seconds:
            why = KillReason.TIMEOUT
        if why is not None:
            log.info("event=job_killed job_id=%s reason=%s seconds=%.1f", job.id, why.value, seconds)
            slot.kill(running.sequence, why)
        elif seconds > LONG_RUNNING_SECONDS and not slot.has_execution_record(running.sequence):
            slot.note_execution_record(running.sequence)
            self._on_long(job.shard_index)

    def _any_unwanted(self, slot: Slot) -> bool:
        return bool(self._unwanted) and any(self._unwanted.reason(job) is not None for job in slot.jobs)
