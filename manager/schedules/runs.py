"""Runs of schedules: jobs that one script enqueues while it moves the schedules on, for many schedules in one call."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobqueue.lifecycle.enqueue import script_arguments
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import text_of
from jobqueue.timestamps import clock_argument
from manager.schedules.plan import Plan
from manager.schedules.record import Progress, Schedule
from manager.schedules.store import MAX_ROWS, instant_argument

LATE_SECONDS = 10
"""A run that begins later than this counts as late."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A schedule that is to be run, unless somebody else was first.

    Attributes:
        progress: as it was read.
        step: what is due; None to run it once because somebody asks for it.
        job_id: of the run; '' if nothing is to be run.
    """

    schedule: Schedule
    progress: Progress
    step: Plan | None
    job_id: str

    def is_due_again(self, now: float) -> bool:
        """Return whether the step leaves something to do by now."""
        following = None if self.step is None else self.step.next
        return following is not None and following + self.schedule.offset_seconds <= now

    def after(self, outcome: str) -> Progress:
        """Return how far it has come with this outcome of its step, which is neither `changed` nor `held`."""
        assert self.step is not None
        following = self.step.next
        if outcome == "moved":
            return replace(self.progress, next=following)
        runs = self.progress.runs + (outcome == "written")
        return replace(self.progress, next=following, last=self.step.run, runs=runs)


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of an attempt.

    Attributes:
        outcome: `written`; `taken` (there is a job with the id already); `changed` (another manager was first, or the
            schedule was changed); `moved` (nothing was to be run); `skipped` or `held` because of the runs in
            `blocked_by`, which have not ended.
    """

    outcome: str
    blocked_by: tuple[str, ...] = field(default=())


async def fire(shard: Shard, attempts: Sequence[Attempt], *, now: float | None = None) -> list[Fired]:
    """Run schedules as planned, each at most once; return once that survives the loss of the master.

    Args:
        attempts: of different schedules.
        now: Unix time, instead of Redis' own.

    Returns:
        What became of each, in order.

    Raises:
        ShardUnavailable: nothing was changed, unless `outcome_unknown`; a repeat is safe.
        QueueFull: Redis has no memory for the jobs.
        UnexpectedContent: the script fails on what something else has written. Instants that it has not finished come
            again.
    """
    jobs = [attempt.schedule.template._replace(id=attempt.job_id) for attempt in attempts if attempt.job_id]
    answers = await shard.run(
        *(script("fire_schedules"), clock_argument(now), LATE_SECONDS, MAX_ROWS),
        # One argument for all: Redis' clients take as long for each as JSON does for a row.
        json.dumps(list(map(_row, attempts)), separators=(",", ":")),
        *(script_arguments(jobs, now) if jobs else ()),
        replicate=True,
        needs_memory=bool(jobs),
    )
    return list(map(_fired, answers))


def _row(attempt: Attempt) -> Sequence[str | int]:
    schedule, step = attempt.schedule, attempt.step
    name, revision, overlap = schedule.name, attempt.progress.revision, schedule.overlap
    if step is None:
        return (name, revision, "", "", "", "", "+inf", overlap, "", 0, attempt.job_id)
    offset = schedule.offset_seconds
    run_due, due = (instant_argument(each and each + offset) for each in (step.run, step.next))
    first, count = ("", 0) if step.missed is None else (repr(step.missed.first), step.missed.count)
    return (
        *(name, revision, repr(step.expected), instant_argument(step.run), run_due),
        *(instant_argument(step.next), due or "+inf", overlap, first, count, attempt.job_id),
    )


def _fired(answer: Any) -> Fired:
    if isinstance(answer, list):
        outcome, *blocked_by = answer
        return Fired(text_of(outcome), tuple(map(text_of, blocked_by)))
    return Fired(text_of(answer))
