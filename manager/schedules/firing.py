"""Runs the schedules that are due, on every shard.

Every manager does this, and none leads: the job of an instant has an id of its own, and the script that enqueues it
moves the schedule on only if nobody else has (`jobqueue/lua/fire_schedules.lua`).
"""

import asyncio
import logging
from collections.abc import Sequence

from redis.exceptions import RedisError

from jobqueue.backoff import Outage
from jobqueue.errors import JobQueueError, UnexpectedContent
from jobqueue.lifecycle.control import cancel
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.schedules.plan import plan
from manager.schedules.run_ids import run_id
from manager.schedules.runs import Attempt, Fired, fire
from manager.schedules.store import Stored, read_due

TICK_SECONDS = 0.5
AT_ONCE = 50
"""Schedules that one call of the script runs: Redis does nothing else for 1 to 2 ms."""
MAX_STEPS = 100
"""Of one schedule in a call of `fire_due`; what is left is due half a second later."""

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
        for _ in range(MAX_STEPS):
            attempts = [attempt for stored in due if (attempt := self._plan(stored, redis_time)) is not None]
            due = []
            for start in range(0, len(attempts), AT_ONCE):
                due += await self._fire(shard, attempts[start : start + AT_ONCE], redis_time, now)
            if not due:
                return

    def _plan(self, stored: Stored, redis_time: float) -> Attempt | None:
        """Return what is to be done with a schedule; None if nothing is."""
        schedule = stored.schedule
        if schedule is None:
            self._tell_unreadable(stored.name, stored.problem)
            return None
        try:
            step = plan(schedule, stored.progress, redis_time)
            if step is None:
                return None
            job_id = "" if step.run is None else run_id(schedule.name, step.run, len(self._shards))
        except (ValueError, OverflowError) as error:
            # Something else has written numbers that lead to no time.
            self._tell_unreadable(stored.name, str(error))
            return None
        return Attempt(schedule, stored.progress, step, job_id)

    def _tell_unreadable(self, name: str, problem: str) -> None:
        if name not in self._unreadable:
            self._unreadable.add(name)
            log.error("event=schedule_unreadable schedule=%r: %s", name, problem)

    async def _fire(
        self, shard: Shard, attempts: Sequence[Attempt], redis_time: float, now: float | None
    ) -> list[Stored]:
        """Run schedules; return those that have more to do, as far as they have come."""
        try:
            all_fired = await fire(shard, attempts, now=now)
        except UnexpectedContent as error:
            if len(attempts) == 1:
                self._tell_unreadable(attempts[0].schedule.name, str(error))
                return []
            # What something else has written into one schedule must not keep the others from running.
            parts = [await self._fire(shard, [attempt], redis_time, now) for attempt in attempts]
            return [stored for part in parts for stored in part]
        left = []
        for attempt, fired in zip(attempts, all_fired, strict=True):
            name = attempt.schedule.name
            self._unreadable.discard(name)
            if fired.outcome == "changed":
                continue  # Another manager does it, or the schedule is another one now.
            await self._report(shard, attempt, fired, redis_time)
            if fired.outcome != "held" and attempt.is_due_again(redis_time):
                left.append(Stored(name, attempt.schedule, attempt.after(fired.outcome)))
        return left

    async def _report(self, shard: Shard, attempt: Attempt, fired: Fired, redis_time: float) -> None:
        schedule, step, job_id = attempt.schedule, attempt.step, attempt.job_id
        assert step is not None
        name = schedule.name
        match fired.outcome:
            case "written":
                late_seconds = redis_time - (step.run or redis_time)
                log.info("event=schedule_fired schedule=%s job_id=%s late_seconds=%.1f", name, job_id, late_seconds)
            case "taken":
                log.warning("event=schedule_id_taken schedule=%s job_id=%s: nothing was enqueued", name, job_id)
            case "skipped":
                log.info("event=schedule_skipped schedule=%s running=%s", name, fired.blocked_by[0])
            case "held" if schedule.overlap == "replace":
                # Those that run are told to stop. The new run begins when they have. In another queue, the id of a run
                # that was deleted is that of a job of somebody else by now.
                await cancel(shard, fired.blocked_by, [schedule.template.queue] * len(fired.blocked_by))
        if step.missed is not None and fired.outcome != "held":
            first, runs = step.missed.first, step.missed.count
            log.warning("event=schedule_missed schedule=%s first=%.0f runs=%d", name, first, runs)
