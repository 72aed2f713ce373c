"""Read and change schedules. A change is made to what was read; if others were faster, it is tried again."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from jobqueue.audit import Author
from jobqueue.errors import ChangedMeanwhile, ShardUnavailable
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import ShardBreaker
from manager.schedules.record import Pause, Progress, Schedule
from manager.schedules.run_ids import manual_run_id
from manager.schedules.runs import Attempt, Fired, fire
from manager.schedules.store import (
    Change,
    Stored,
    delete_schedule,
    read_history,
    read_schedule,
    read_schedules,
    save_schedule,
)

MAX_TRIES = 5

Sees = Callable[[Stored], bool]
"""Tells whether the caller sees a schedule; one that it does not see does not exist for it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a schedule that was sent.

    Attributes:
        outcome: `created`, `changed`, `same` (it was so already), `foreign` (the name is that of a schedule which the
            caller does not see), or `full` (there are too many).
    """

    outcome: Literal["created", "changed", "same", "foreign", "full"]
    progress: Progress


class ScheduleOperations:
    """Everything that requests do with schedules. All methods raise ShardUnavailable: try again."""

    def __init__(self, shards: Shards, breaker: ShardBreaker) -> None:
        self._shards = shards
        self._breaker = breaker

    async def all(self) -> tuple[list[Stored], int]:
        """Return all schedules by name, and how many shards did not answer."""

        async def ask(shard: Shard) -> list[Stored]:
            with self._breaker.guard(shard):
                return await read_schedules(shard)

        answers = await asyncio.gather(*(ask(shard) for shard in self._shards), return_exceptions=True)
        found: list[Stored] = []
        unavailable = 0
        for answer in answers:
            if isinstance(answer, ShardUnavailable):
                unavailable += 1
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found += answer
        if unavailable == len(answers):
            raise ShardUnavailable("no shard of the queue answers")
        return sorted(found, key=lambda stored: stored.name), unavailable

    async def read(self, name: str) -> tuple[Stored | None, float]:
        """Return a schedule, if there is one, and Redis' time."""
        stored, _, now = await self._read(name)
        return stored, now

    async def history(self, name: str) -> tuple[list[dict[str, Any]], list[str]]:
        """Return what a schedule has done, the latest first, and the ids of runs that may not have ended."""
        shard = self._shards.of(name)
        with self._breaker.guard(shard):
            return await read_history(shard, name)

    async def put(self, schedule: Schedule, author: Author, sees: Sees, *, dry_run: bool = False) -> Saved:
        """Create or replace a schedule. One that is replaced keeps its pause, and how often it has run.

        Args:
            dry_run: only tell what would become of it.

        Raises:
            ChangedMeanwhile: try again.
        """
        for _ in range(MAX_TRIES):
            stored, left, now = await self._read(schedule.name)
            if stored is not None and not sees(stored):
                return Saved("foreign", left)
            if stored is not None and stored.schedule == schedule:
                return Saved("same", left)
            new, keeps_next = _moved(schedule, stored, left, now)
            outcome: Literal["created", "changed"] = "created" if stored is None else "changed"
            if dry_run:
                return Saved(outcome, new)
            before = None if stored is None else _noted(stored.schedule, left)
            change = Change(author, "schedule_saved", before, _noted(schedule, new))
            shard = self._shards.of(schedule.name)
            with self._breaker.guard(shard):
                read = None if stored is None else left
                answer = await save_schedule(shard, schedule, read, new, change, keep_next=keeps_next)
            if answer == "full":
                return Saved("full", left)
            if answer == "saved":
                log.info("event=schedule_saved schedule=%s by=%s", schedule.name, author.actor)
                return Saved(outcome, new)
        raise ChangedMeanwhile(f"schedule {schedule.name}")

    async def pause(self, name: str, note: str, author: Author, sees: Sees) -> Stored | None:
        """Pause a schedule; return it, or None if there is none.

        Raises:
            ChangedMeanwhile: try again.
        """

        def paused(_: Schedule, progress: Progress, now: float) -> Progress:
            pause = progress.pause
            if pause is not None and pause.note == note:
                return progress
            return replace(progress, pause=Pause(now if pause is None else pause.at, author.actor, note))

        return await self._change(name, "event=schedule_paused schedule=%s by=%s", paused, author, sees)

    async def resume(self, name: str, author: Author, sees: Sees) -> Stored | None:
        """End a pause: what would have run during it does not; return the schedule, or None if there is none.

        Raises:
            ChangedMeanwhile: try again.
        """

        def resumed(schedule: Schedule, progress: Progress, now: float) -> Progress:
            if progress.pause is None:
                return progress
            following = schedule.next_after(max(now, progress.last or now), progress.runs)
            return replace(progress, pause=None, next=following, held=False)

        return await self._change(name, "event=schedule_resumed schedule=%s by=%s", resumed, author, sees)

    async def delete(self, name: str, author: Author, sees: Sees) -> bool:
        """Delete a schedule; return whether there was one. Jobs that it has enqueued stay.

        Raises:
            ChangedMeanwhile: try again.
        """
        shard = self._shards.of(name)
        for _ in range(MAX_TRIES):
            stored, progress, _ = await self._read(name)
            if stored is None or not sees(stored):
                return False
            change = Change(author, "schedule_deleted", _noted(stored.schedule, progress))
            with self._breaker.guard(shard):
                if await delete_schedule(shard, name, progress, change) == "saved":
                    log.info("event=schedule_deleted schedule=%s by=%s", name, author.actor)
                    return True
        raise ChangedMeanwhile(f"schedule {name}")

    async def trigger(self, name: str, author: Author, sees: Sees) -> tuple[str, Fired] | None:
        """Run a schedule now, whether it is paused or has ended; return the job's id, or None if there is none.

        Raises:
            ChangedMeanwhile: try again.
        """
        shard = self._shards.of(name)
        job_id = manual_run_id(name, secrets.token_hex(4), len(self._shards))
        for _ in range(MAX_TRIES):
            stored, progress, _ = await self._read(name)
            if stored is None or stored.schedule is None or not sees(stored):
                return None
            with self._breaker.guard(shard):
                (fired,) = await fire(shard, [Attempt(stored.schedule, progress, None, job_id)])
            if fired.outcome != "changed":
                if fired.outcome == "written":
                    log.info("event=schedule_triggered schedule=%s job_id=%s by=%s", name, job_id, author.actor)
                return job_id, fired
        raise ChangedMeanwhile(f"schedule {name}")

    async def _read(self, name: str) -> tuple[Stored | None, Progress, float]:
        shard = self._shards.of(name)
        with self._breaker.guard(shard):
            return await read_schedule(shard, name)

    async def _change(
        self,
        name: str,
        log_line: str,
        change: Callable[[Schedule, Progress, float], Progress],
        author: Author,
        sees: Sees,
    ) -> Stored | None:
        shard = self._shards.of(name)
        for _ in range(MAX_TRIES):
            stored, progress, now = await self._read(name)
            if stored is None or stored.schedule is None or not sees(stored):
                return None
            changed = change(stored.schedule, progress, now)
            if changed == progress:
                return stored
            changed = replace(changed, changed_at=now)
            action = log_line.partition(" ")[0].removeprefix("event=")
            noted = Change(author, action, _noted(stored.schedule, progress), _noted(stored.schedule, changed))
            with self._breaker.guard(shard):
                answer = await save_schedule(shard, stored.schedule, progress, changed, noted)
            if answer == "saved":
                log.info(log_line, name, author.actor)
                return replace(stored, progress=changed)
        raise ChangedMeanwhile(f"schedule {name}")


def _moved(schedule: Schedule, stored: Stored | None, left: Progress, now: float) -> tuple[Progress, bool]:
    """Return the progress of a schedule that is saved, and whether its next instant stays as it is by then."""
    after = max(now, left.last or now)
    if stored is None:
        return Progress("", schedule.next_after(after, 0), created_at=now, changed_at=now), False
    before = stored.schedule
    has_runs = schedule.max_runs is None or left.runs < schedule.max_runs
    if before is not None and before.timing == schedule.timing and left.next is not None and has_runs:
        # What is due by now still runs.
        return replace(left, changed_at=now), True
    return replace(left, next=schedule.next_after(after, left.runs), held=False, changed_at=now), False


def _noted(schedule: Schedule | None, progress: Progress) -> Mapping[str, Any]:
    noted: dict[str, Any] = {} if schedule is None else schedule.noted()
    pause = progress.pause
    return noted | {"paused": None if pause is None else {"by": pause.by, "note": pause.note}}
