"""Periodic tasks with APScheduler, whatever the wall clock does.

APScheduler compares times of the wall clock. After a step back it would start nothing until the clock has caught up;
after a leap ahead it would compute every run that was missed, one by one, and then drop the run as too late.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from scaler.state.clock_steps import ClockSteps

WATCH_SECONDS = 1.0
"""Interval between two looks at the wall clock."""

log = logging.getLogger(__name__)

Task = Callable[[], Awaitable[object]]


class PeriodicTasks:
    """Runs tasks on the event loop, each again and again, and never twice at a time."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._steps = ClockSteps(time.monotonic)
        self._watch: asyncio.TimerHandle | None = None

    def add(self, task: Task, seconds: float, *, id_: str) -> None:
        """Run a task every so many seconds."""
        # Without a grace time, a run is never dropped because it is late.
        self._scheduler.add_job(task, _After(seconds), id=id_, max_instances=1, coalesce=True, misfire_grace_time=None)

    def run_now(self, task: Task, *, id_: str) -> None:
        """Run a task once, at once."""
        self._scheduler.add_job(task, id=id_, replace_existing=True, misfire_grace_time=None)

    def start(self) -> None:
        """Start the tasks that were added."""
        self._scheduler.start()
        self._look_at_clock()

    def stop(self) -> None:
        """Start no further run, and cancel those that have not ended."""
        if self._watch is not None:
            self._watch.cancel()
        self._scheduler.shutdown(wait=False)

    def _look_at_clock(self) -> None:
        """Notice a step of the wall clock within a second: the event loop's timers follow the monotonic clock."""
        asked_at = time.monotonic()
        seconds = self._steps.step(_now().timestamp(), asked_at)
        if seconds:
            log.warning("event=clock_stepped seconds=%+.0f: this machine's clock was set, or it was asleep", seconds)
            for job in self._scheduler.get_jobs():
                job.modify(next_run_time=_now())
        self._watch = asyncio.get_running_loop().call_later(WATCH_SECONDS, self._look_at_clock)


class _After(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Fires so many seconds after now, not after the last time it should have fired."""

    def __init__(self, seconds: float) -> None:
        self._interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return now + self._interval


def _now() -> datetime:
    return datetime.now(UTC)
