"""What a schedule does now: which instant runs, which ones are missed, and what comes next. Pure."""

from dataclasses import dataclass

from manager.schedules.record import Progress, Schedule

MAX_WAITING = 100
"""Instants that wait for the run before to end; of more than these, the first ones are missed."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Instants that do not run.

    Attributes:
        first: the first one of them.
        count: how many they are; at least so many, if it is `timing.MAX_COUNTED`.
    """

    first: float
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One step of a schedule.

    Attributes:
        expected: the next instant that the plan was made for.
        run: the instant to run; None for none.
        next: the next instant afterwards; None for none.
        missed: what is left out on the way.
    """

    expected: float
    run: float | None
    next: float | None
    missed: Missed | None = None


def plan(schedule: Schedule, progress: Progress, now: float) -> Plan | None:
    """Return what is to be done; None if nothing is due."""
    due_until = now - schedule.offset_seconds
    expected = progress.next
    if expected is None or progress.pause is not None or expected > due_until:
        return None
    following = schedule.timing.next_after(expected)
    if (following is None or following > due_until) and not _is_too_late(schedule, progress, expected, due_until):
        # The usual case: it alone is due.
        return Plan(expected, expected, _next(schedule, following, progress.runs + 1))
    run = _instant_to_run(schedule, progress, expected, due_until)
    if run is None:
        after_all = _next(schedule, schedule.timing.next_after(due_until), progress.runs)
        return Plan(expected, None, after_all, _missed(schedule, expected, due_until))
    missed = _missed(schedule, expected, run) if run > expected else None
    return Plan(expected, run, _next(schedule, schedule.timing.next_after(run), progress.runs + 1), missed)


def _next(schedule: Schedule, instant: float | None, runs: int) -> float | None:
    return None if schedule.is_over(runs) else instant


def _waits(schedule: Schedule, progress: Progress) -> bool:
    """Return whether runs are due that wait for another one: they are not late, however long that one takes."""
    return progress.held and schedule.overlap in ("queue", "replace")


def _is_too_late(schedule: Schedule, progress: Progress, instant: float, due_until: float) -> bool:
    return not _waits(schedule, progress) and instant < due_until - schedule.catch_up.within_seconds


def _instant_to_run(schedule: Schedule, progress: Progress, expected: float, due_until: float) -> float | None:
    waits = _waits(schedule, progress)
    first = expected if waits else max(expected, due_until - schedule.catch_up.within_seconds)
    if waits and schedule.overlap == "queue":
        limit = MAX_WAITING
    elif schedule.catch_up.runs == "all":
        instant = schedule.timing.next_after(first - 1e-3)
        return instant if instant is not None and instant <= due_until else None
    else:
        limit = 1
    instants = schedule.timing.latest(first, due_until, limit)
    return instants[0] if instants else None


def _missed(schedule: Schedule, first: float, until: float) -> Missed:
    return Missed(first, max(1, schedule.timing.count(first, until)))
