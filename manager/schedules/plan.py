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
    run = _instant_to_run(schedule, progress, expected, due_until)
    if run is None:
        following = schedule.next_after(due_until, progress.runs)
        return Plan(expected, None, following, _missed(schedule, expected, due_until))
    missed = _missed(schedule, expected, run) if run > expected else None
    return Plan(expected, run, schedule.next_after(run, progress.runs + 1), missed)


def _instant_to_run(schedule: Schedule, progress: Progress, expected: float, due_until: float) -> float | None:
    waits = progress.held and schedule.overlap in ("queue", "replace")
    # A run that waits for another one is not late: it may wait as long as that one takes.
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
