"""Watchdog over the jobs in the slots: kills jobs past their timeout or revoked, withdraws jobs that wait too long."""

import asyncio
import logging
import time
from collections.abc import Callable

from jobqueue.claimed_job import RqCallbacks
from worker_node.slots.job_output import LONG_RUNNING_SECONDS
from worker_node.slots.outcomes import KillReason
from worker_node.slots.revoked_jobs import RevokedJobs
from worker_node.slots.slot import Slot
from worker_node.slots.slot_events import RunningJob
from worker_node.slots.slot_pool import SlotPool

log = logging.getLogger(__name__)

CHECK_SECONDS = 0.25
CALLBACKS_SECONDS = 2
MAX_WAIT_SECONDS = 1.0
"""A job that has waited in a slot for longer is released, so that another worker can run it."""


class Watchdog:
    """Checks the slots every `CHECK_SECONDS` while any of them holds a job.

    Args:
        on_long_running: called with a shard's index when a job of that shard has run for `LONG_RUNNING_SECONDS`.
    """

    def __init__(self, slots: SlotPool, revoked: RevokedJobs, on_long_running: Callable[[int], None]) -> None:
        self._slots = slots
        self._revoked = revoked
        self._on_long_running = on_long_running
        self._busy = asyncio.Event()

    def wake(self) -> None:
        """Start checking: a slot has been given jobs."""
        self._busy.set()

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await self._busy.wait()
            self._busy.clear()
            while self._slots.busy:
                self.check(time.monotonic())
                await asyncio.sleep(CHECK_SECONDS)

    def check(self, now: float) -> None:
        """Kill and withdraw what is due at `now`, by the monotonic clock."""
        for slot in self._slots:
            running = slot.running()
            if running is not None:
                self._check_running(slot, running, now)
            slot.check_progress(now, MAX_WAIT_SECONDS)
            since = slot.waiting_since()
            if since is not None and (now - since > MAX_WAIT_SECONDS or self._holds_revoked(slot)):
                slot.withdraw()

    def _check_running(self, slot: Slot, running: RunningJob, now: float) -> None:
        job, seconds = running.job, now - running.started_at
        reason = self._revoked.reason(job)
        if reason is None and job.timeout_seconds is not None and seconds > job.timeout_seconds:
            # The executor itself ends a job that has callbacks, so that they are still called. This is for one that
            # cannot be interrupted.
            callbacks = job.rq_callbacks
            if callbacks is None or seconds > job.timeout_seconds + _longest(callbacks):
                reason = KillReason.TIMEOUT
        detail = "" if reason is not None else slot.exceeded_limit(running)
        if detail:
            reason = KillReason.LIMIT
        if reason is not None:
            log.info("event=job_killed job_id=%s reason=%s seconds=%.1f", job.id, reason.value, seconds)
            slot.kill(running.sequence, reason, detail)
            return
        if seconds <= LONG_RUNNING_SECONDS:
            return
        slot.pass_on_output(running)
        if not slot.has_execution_record(running.sequence):
            slot.note_execution_record(running.sequence)
            self._on_long_running(job.shard_index)

    def _holds_revoked(self, slot: Slot) -> bool:
        return bool(self._revoked) and any(self._revoked.reason(job) is not None for job in slot.jobs)


def _longest(callbacks: RqCallbacks) -> int:
    """Return for how long the callbacks of a job can run, and what they need around that."""
    return CALLBACKS_SECONDS + sum(max(0, callback.timeout_seconds) for callback in callbacks if callback is not None)
