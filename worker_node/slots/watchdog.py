"""Watches the jobs that are here: ends those that run too long or are not wanted, returns those that wait too long."""

import asyncio
import logging
import time
from collections.abc import Callable

from worker_node.slots.outcomes import Why
from worker_node.slots.revoked_jobs import Unwanted
from worker_node.slots.slot import Slot
from worker_node.slots.slot_events import Running
from worker_node.slots.slot_pool import Slots

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
LONG_SECONDS = 1.0
"""A job that has run for so long gets RQ's execution record; one that has waited here for so long is given back."""


class Watch:
    """Looks at the slots four times a second while any job is here.

    Args:
        on_long: a job of the shard with that index has become a long one.
    """

    def __init__(self, slots: Slots, unwanted: Unwanted, on_long: Callable[[int], None]) -> None:
        self._slots = slots
        self._unwanted = unwanted
        self._on_long = on_long
        self._busy = asyncio.Event()

    def begin(self) -> None:
        """Jobs have come."""
        self._busy.set()

    async def run(self) -> None:
        """Watches until it is cancelled."""
        while True:
            await self._busy.wait()
            self._busy.clear()
            while self._slots.busy:
                self.look(time.monotonic())
                await asyncio.sleep(LOOK_SECONDS)

    def look(self, now: float) -> None:
        """Does what is due at `now`, by the monotonic clock."""
        for slot in self._slots:
            running = slot.running()
            if running is not None:
                self._look_at(slot, running, now)
            since = slot.waiting_since()
            if since is not None and (now - since > LONG_SECONDS or self._any_unwanted(slot)):
                slot.withdraw()

    def _look_at(self, slot: Slot, running: Running, now: float) -> None:
        job, seconds = running.job, now - running.began
        why = self._unwanted.why(job)
        if why is None and job.timeout_seconds is not None and seconds > job.timeout_seconds:
            why = Why.TIMEOUT
        if why is not None:
            log.info("event=job_killed job_id=%s reason=%s seconds=%.1f", job.id, why.value, seconds)
            slot.kill(running.sequence, why)
        elif seconds > LONG_SECONDS and not slot.is_recorded(running.sequence):
            slot.mark_recorded(running.sequence)
            self._on_long(job.shard_index)

    def _any_unwanted(self, slot: Slot) -> bool:
        return bool(self._unwanted) and any(self._unwanted.why(job) is not None for job in slot.jobs)
