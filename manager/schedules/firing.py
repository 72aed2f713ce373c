"""Runs the schedules that are due, on every shard.

Every manager does this, and none leads: the job of an instant has an id of its own, and the script that enqueues it
moves the schedule on only if nobody else has (`jobqueue/lua/fire_schedule.lua`).
"""

import asyncio
import logging

from redis.exceptions import RedisError

from jobqueue.backoff import Outage
from jobqueue.errors import JobQueueError, UnexpectedContent
from jobqueue.lifecycle.control import cancel
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.schedules.combined_calls import CombinedCalls
from manager.schedules.plan import plan
from manager.schedules.record import Schedule
from manager.schedules.run_ids import run_id
from manager.schedules.store import FIRE_SCRIPT, Fired, Stored, fire, read_due, read_schedule

TICK_SECONDS = 0.5
AT_ONCE = 16
"""Schedules of a shard whose scripts are under way at a time."""
MAX_STEPS = 100
"""Of one schedule at a time: the others are due, too."""

log = logging.getLogger(__name__)


class ScheduleFiring:
    """Runs the due schedules of all shards, independently: an unavailable shard delays no other."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._unreadable: set[str] = set()

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                group.create_task(self._run_on(shard))

    async def _run_on(self, shard: Shard) -> None:
        outage = Outage()
        while True:
            try:
                await self.fire_due(shard)
            except (JobQueueError, RedisError, OSError) as error:
                if outage.begin():
                    log.warning("event=schedules_failed shard=%s error=%s", shard.prefix, error)
            except Exception as error:  # The loop's edge: an unforeseen error must not end the manager.
                if outage.begin(repr(error)):
                    log.exception("event=schedules_crashed shard=%s", shard.prefix)
            else:
                if (seconds := outage.end()) is not None:
                    log.info("event=schedules_recovered shard=%s after_seconds=%.1f", shard.prefix, seconds)
            await asyncio.sleep(TICK_SECONDS)

    async def fire_due(self, shard: Shard, *, now: float | None = None) -> None:
        """Run what is due on a shard.

        Args:
            now: Unix time, instead of Redis' own.

        Raises:
            ShardUnavailable: the next call runs what is left.
            QueueFull: Redis has no memory for more jobs.
        """
        due, redis_time = await read_due(shard, now=now)
        calls = CombinedCalls(shard, FIRE_SCRIPT)
        for start in range(0, len(due), AT_ONCE):
            part = (self._fire_one(shard, stored, redis_time, now, calls) for stored in due[start : start + AT_ONCE])
            for outcome in await asyncio.gather(*part, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _fire_one(
        self, shard: Shard, stored: Stored, redis_time: float, now: float | None, calls: CombinedCalls
    ) -> None:
        if stored.schedule is None:
            self._tell_unreadable(stored.name, stored.problem)
            return
        try:
            await self._fire(shard, stored, redis_time, now, calls)
        except UnexpectedContent as error:
            # What something else has written into one schedule must not keep the others from running.
            self._tell_unreadable(stored.name, str(error))
        else:
            self._unreadable.discard(stored.name)

    def _tell_unreadable(self, name: str, problem: str) -> None:
        if name not in self._unreadable:
            self._unreadable.add(name)
            log.error("event=schedule_unreadable schedule=%r: %s", name, problem)

    async def _fire(
        self, shard: Shard, stored: Stored, redis_time: float, now: float | None, calls: CombinedCalls
    ) -> None:
        for _ in range(MAX_STEPS):
            schedule = stored.schedule
            step = None if schedule is None else plan(schedule, stored.progress, redis_time)
            if schedule is None or step is None:
                return
            job_id = "" if step.run is None else run_id(schedule.name, step.run, len(self._shards))
            fired = await fire(shard, schedule, stored.progress, step, job_id, now=now, calls=calls)
            if fired.outcome == "changed":
                return  # Another manager does it, or the schedule is another one now.
            await self._report(shard, schedule, fired, job_id, redis_time - (step.run or redis_time))
            if step.missed is not None and fired.outcome != "held":
                log.warning(
                    "event=schedule_missed schedule=%s first=%.0f runs=%d",
                    *(schedule.name, step.missed.first, step.missed.count),
                )
            if fired.outcome == "held" or step.next is None or step.next + schedule.offset_seconds > redis_time:
                return
            again, _, _ = await read_schedule(shard, schedule.name)
            if again is None:
                return
            stored = again

    async def _report(self, shard: Shard, schedule: Schedule, fired: Fired, job_id: str, late_seconds: float) -> None:
        name = schedule.name
        match fired.outcome:
            case "written":
                log.info("event=schedule_fired schedule=%s job_id=%s late_seconds=%.1f", name, job_id, late_seconds)
            case "taken":
                log.warning("event=schedule_id_taken schedule=%s job_id=%s: nothing was enqueued", name, job_id)
            case "skipped":
                log.info("event=schedule_skipped schedule=%s running=%s", name, fired.blocked_by[0])
            case "held" if schedule.overlap == "replace":
                # Those that run are told to stop. The new run begins when they have. In another queue, the id of a run
                # that was deleted is that of a job of somebody else by now.
                await cancel(shard, fired.blocked_by, [schedule.template.queue] * len(fired.blocked_by))
