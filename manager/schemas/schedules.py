"""Request and response bodies of the schedules' routes."""

import re
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.arguments import HIDDEN
from manager.schedules.clock_changes import ClockChange
from manager.schedules.record import CatchUp, Progress, Schedule
from manager.schedules.timing import Timing
from manager.schedules.zones import UTC_NAME, zone_of
from manager.schemas.json_types import YEAR_SECONDS, Instant, WholeNumber
from manager.schemas.submission import Submission, submission_schema

DAY_SECONDS = 24 * 3600
DEFAULT_CATCH_UP_SECONDS = 3600
MIN_CATCH_UP_SECONDS = 10
"""Managers look every half second, and one of them may have to take over."""
MAX_NOTE_CHARACTERS = 500

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY_SECONDS}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)


def _seconds(value: object) -> object:
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise PydanticCustomError("duration", "must be a number of seconds, or a text such as 90s, 15m, 6h or 1d")
        return int(match[1]) * _UNITS[match[2]]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _duration(least: int, most: int) -> Any:
    """Return the type of a time span: seconds, or a text with a unit."""
    shown = {
        "anyOf": [
            {"type": "integer", "minimum": least, "maximum": most},
            {"type": "string", "pattern": f"^{_DURATION.pattern}$"},
        ]
    }
    return Annotated[int, Field(ge=least, le=most), BeforeValidator(_seconds), WithJsonSchema(shown)]


def _refuse(value: object) -> object:
    if value is not None:
        raise PydanticCustomError("scheduled", "the job of a schedule cannot have this: each run has an id of its own")
    return value


_Never = Annotated[None, BeforeValidator(_refuse)]


class ScheduledJob(Submission):
    """The job that a schedule runs: as for `POST /jobs`, without `id`, `unique`, `delay`, `at` and `depends_on`."""

    unique: _Never = None
    delay: _Never = None
    at: _Never = None
    depends_on: _Never = None
    id: _Never = None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CatchUpBody(_Strict):
    """Which runs are made up for if nothing could run at their time."""

    within: _duration(MIN_CATCH_UP_SECONDS, YEAR_SECONDS) = Field(  # type: ignore[valid-type]  # made by a function
        default=DEFAULT_CATCH_UP_SECONDS, description="How late a run may begin; what is later is missed"
    )
    runs: Literal["latest", "all"] = Field(default="latest", description="`latest`: of several, only the last one")


def _catch_up(value: object) -> object:
    return {"within": value} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


class ScheduleBody(_Strict):
    """A schedule: exactly one of `cron` and `every`, and a job. A field that is left out or null has its default."""

    cron: str | None = Field(
        default=None,
        max_length=200,
        description="Five fields: minute hour day-of-month month day-of-week; or @hourly, @daily, @weekly, @monthly,"
        " @yearly",
    )
    every: _duration(1, YEAR_SECONDS) | None = Field(  # type: ignore[valid-type]  # made by a function
        default=None, description="Seconds, or a text such as 15m. Runs are at multiples of it since 1970-01-01T00:00Z"
    )
    timezone: str | None = Field(
        default=None, max_length=64, description="IANA time zone of `cron`, such as Europe/Berlin; default: UTC"
    )
    job: ScheduledJob
    overlap: Literal["skip", "queue", "allow", "replace"] = Field(
        default="skip",
        description="While the run before has not ended: `skip` this one, `queue` it, `allow` both, or cancel the old"
        " one and `replace` it",
    )
    catch_up: Annotated[CatchUpBody, BeforeValidator(_catch_up)] = Field(
        default=CatchUpBody(), description="A time span alone is its `within`"
    )
    jitter: _duration(0, DAY_SECONDS) = Field(  # type: ignore[valid-type]  # made by a function
        default=0, description="Runs are later by a part of this time span, which depends on the schedule's name"
    )
    start: Instant | None = Field(default=None, description="No run before it: RFC 3339 with a time zone")
    end: Instant | None = Field(default=None, description="No run after it")
    max_runs: Annotated[int, Field(ge=1, le=10**9), WholeNumber] | None = Field(
        default=None, description="It ends after so many runs"
    )

    @model_validator(mode="after")
    def _check_together(self) -> "ScheduleBody":
        if (self.cron is None) == (self.every is None):
            raise PydanticCustomError("exclusive", "give exactly one of 'cron' and 'every'")
        if self.every is not None and self.timezone is not None:
            raise PydanticCustomError("exclusive", "'timezone' is for 'cron': 'every' counts seconds")
        if self.catch_up.runs == "all" and self.overlap in ("skip", "replace"):
            raise PydanticCustomError(
                "exclusive", "'catch_up.runs' all needs 'overlap' queue or allow: others run one of them only"
            )
        return self


class PauseBody(_Strict):
    """Why a schedule is paused."""

    note: str = Field(default="", max_length=MAX_NOTE_CHARACTERS)


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


def schedule_body_schema(functions: FunctionRegistry, template: str) -> dict[str, Any]:
    """Return the JSON schema of a schedule; its job's `function` must be a registered one."""
    document = ScheduleBody.model_json_schema(ref_template=template)
    job = document["$defs"]["ScheduledJob"]
    job["properties"]["function"] = submission_schema(functions)["properties"]["function"]
    job.pop("not", None)
    return document


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
