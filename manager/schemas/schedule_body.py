"""Request bodies of the schedules' routes."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from jobqueue.functions import FunctionRegistry
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


def schedule_body_schema(functions: FunctionRegistry, template: str) -> dict[str, Any]:
    """Return the JSON schema of a schedule; its job's `function` must be a registered one."""
    document = ScheduleBody.model_json_schema(ref_template=template)
    job = document["$defs"]["ScheduledJob"]
    job["properties"]["function"] = submission_schema(functions)["properties"]["function"]
    job.pop("not", None)
    return document
