"""What the schedules' routes answer."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from jobqueue.inspection.arguments import HIDDEN
from manager.schedules.clock_changes import ClockChange
from manager.schedules.record import CatchUp, Progress, Schedule
from manager.schedules.timing import Timing
from manager.schedules.zones import UTC_NAME, zone_of


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CatchUpResponse(_Response):
    """See `catch_up` of the body; in seconds."""

    within: int
    runs: str


class PauseResponse(_Response):
    """Since when, by which key and why a schedule is paused."""

    at: str | None
    by: str
    note: str


class ScheduleResponse(_Response):
    """A schedule. Times are in its time zone; time spans in seconds."""

    name: str
    description: str = Field(description="When it runs, in words")
    cron: str | None
    every: int | None
    timezone: str
    job: dict[str, Any]
    overlap: str
    catch_up: CatchUpResponse
    jitter: int
    start: str | None
    end: str | None
    max_runs: int | None
    next: str | None = Field(description="The next instant; null if it is paused or has ended")
    last: str | None = Field(description="The last instant that was run or skipped")
    runs: int = Field(description="How often it has run")
    missed: int = Field(description="How many instants were missed")
    missed_at: str | None = Field(description="When this was noticed last; null if never")
    paused: PauseResponse | None
    created_at: str | None
    changed_at: str | None


class SavedSchedule(ScheduleResponse):
    """A schedule that was sent, and whether it was `created`, `changed`, or the `same` already."""

    outcome: str
    warning: str | None = Field(default=None, description="Why its jobs would not run for now; missing if they would")


class UnreadableSchedule(_Response):
    """A schedule whose record cannot be read: it does not run."""

    name: str
    problem: str


class ScheduleList(_Response):
    """The schedules by name, and how many shards did not answer: those on them are missing."""

    schedules: list[ScheduleResponse]
    unreadable: list[UnreadableSchedule]
    shards_unavailable: int


class InstantResponse(_Response):
    """An instant at which a schedule runs; `note` if a change of the clock has moved it."""

    at: str
    note: str | None


class ScheduleRun(_Response):
    """What a schedule has done: `fired`, `skipped` because of the run `job_id`, `missed`, or `triggered` on request."""

    at: str = Field(description="When this was done")
    instant: str = Field(description="For which instant; of several missed ones, the first")
    outcome: str
    job_id: str | None = Field(
        description="The run; if `skipped`, the one that had not ended; if `missed`, a job of others with the run's id"
    )
    count: int = Field(description="How many instants were missed, at least, if it is 1,000; else 1")
    late_seconds: float | None = Field(description="By how much it was late, if by more than 10 seconds")
    waited: bool = Field(description="It was late because the run before had not ended")


class ScheduleDetails(ScheduleResponse):
    """A schedule with what comes and what has been, the latest first: the last 100."""

    upcoming: list[InstantResponse]
    clock_changes: list[InstantResponse]
    history: list[ScheduleRun]
    active: list[str] = Field(description="Ids of runs that may not have ended")


class SchedulePreview(_Response):
    """When a cron expression runs, and what changes of the clock do to it within a year."""

    cron: str
    timezone: str
    description: str
    instants: list[InstantResponse]
    clock_changes: list[InstantResponse]
    time_zone_rules: str = Field(description="Version of the time zones' rules")


class TriggeredRun(_Response):
    """A run that was asked for."""

    id: str


def schedule_document(schedule: Schedule, progress: Progress, *, hide_arguments: bool) -> dict[str, Any]:
    """Return a schedule as a response body."""
    job = dict(schedule.job)
    if hide_arguments:
        for name in ("args", "kwargs", "data", "meta"):
            job.pop(name, None)
        job["arguments_note"] = HIDDEN
    zone = zone_of(schedule.timing.timezone)
    timing, pause = schedule.timing, progress.pause
    return {
        "name": schedule.name,
        "description": description(timing),
        "cron": timing.cron,
        "every": timing.every_seconds,
        "timezone": timing.timezone,
        "job": job,
        "overlap": schedule.overlap,
        "catch_up": catch_up_document(schedule.catch_up),
        "jitter": schedule.jitter_seconds,
        "start": shown(timing.start, zone),
        "end": shown(timing.end, zone),
        "max_runs": schedule.max_runs,
        "next": None if pause is not None else shown(progress.next, zone),
        "last": shown(progress.last, zone),
        "runs": progress.runs,
        "missed": progress.missed,
        "missed_at": shown(progress.missed_at, zone),
        "paused": None if pause is None else {"at": shown(pause.at, zone), "by": pause.by, "note": pause.note},
        "created_at": shown(progress.created_at, zone),
        "changed_at": shown(progress.changed_at, zone),
    }


def run_document(row: dict[str, Any], zone: tzinfo) -> dict[str, Any]:
    """Return a row of the history as a part of a response body."""
    late = row.get("late_seconds")
    return {
        "at": shown(_number(row.get("at")), zone),
        "instant": shown(_number(row.get("instant")), zone),
        "outcome": str(row.get("outcome")),
        "job_id": None if row.get("job_id") is None else str(row["job_id"]),
        "count": int(_number(row.get("count", 1))),
        "late_seconds": None if late is None else round(_number(late), 3),
        "waited": row.get("waited") is True,
    }


def instant_documents(
    instants: Sequence[float], changes: Sequence[ClockChange], zone: tzinfo
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return instants, with a note where a change of the clock moves them, and these changes."""
    notes = {change.at: change.text for change in changes}
    return (
        [{"at": shown(each, zone), "note": notes.get(each)} for each in instants],
        [{"at": shown(change.at, zone), "note": change.text} for change in changes],
    )


def catch_up_document(catch_up: CatchUp) -> dict[str, Any]:
    """Return it as a part of a response body."""
    return {"within": catch_up.within_seconds, "runs": catch_up.runs}


def description(timing: Timing) -> str:
    """Return when it runs, in words."""
    if timing.cron is None:
        return timing.in_words
    return f"{timing.in_words} ({timing.timezone})"


def shown(instant: float | None, zone: tzinfo) -> str | None:
    """Return a time in a time zone, as RFC 3339 has it; None for none, and for one that is no time."""
    if instant is None:
        return None
    try:
        whole = datetime.fromtimestamp(instant, zone)
    except (ValueError, OverflowError, OSError):
        return None
    text = whole.isoformat(timespec="milliseconds" if whole.microsecond else "seconds")
    return text.replace("+00:00", "Z") if zone is zone_of(UTC_NAME) else text


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e11 else 0.0
