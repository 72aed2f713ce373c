"""Request bodies of the schedules' routes."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from jobqueue.functions import FunctionRegistry
from manager.schedules.zones import UTC_NAME
from manager.schemas.json_types import DAY_SECONDS, YEAR_SECONDS, Instant, WholeNumber, duration, null_is_default
from manager.schemas.submission import Submission, submission_schema

DEFAULT_CATCH_UP_SECONDS = 3600
MIN_CATCH_UP_SECONDS = 10
"""Managers look every half second, and one of them may have to take over."""
MAX_NOTE_CHARACTERS = 500


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


_Runs = Literal["latest", "all"]
_Overlap = Literal["skip", "queue", "allow", "replace"]


class CatchUpBody(_Strict):
    """Which runs are made up for if nothing could run at their time."""

    within: duration(MIN_CATCH_UP_SECONDS, YEAR_SECONDS) = Field(  # type: ignore[valid-type]  # made by a function
        default=DEFAULT_CATCH_UP_SECONDS, description="How late a run may begin; what is later is missed"
    )
    runs: Annotated[_Runs, null_is_default(_Runs)] = Field(
        default="latest", description="`latest`: of several, only the last one"
    )


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
    every: duration(1, YEAR_SECONDS) = Field(  # type: ignore[valid-type]  # made by a function
        default=None, description="Seconds, or a text such as 15m. Runs are at multiples of it since 1970-01-01T00:00Z"
    )
    timezone: str | None = Field(
        default=None, max_length=64, description="IANA time zone of `cron`, such as Europe/Berlin; default: UTC"
    )
    job: ScheduledJob
    overlap: Annotated[_Overlap, null_is_default(_Overlap)] = Field(
        default="skip",
        description="While the run before has not ended: `skip` this one, `queue` it, `allow` both, or cancel the old"
        " one and `replace` it",
    )
    catch_up: Annotated[CatchUpBody, BeforeValidator(_catch_up), null_is_default(CatchUpBody)] = Field(
        default=CatchUpBody(), description="A time span alone is its `within`"
    )
    jitter: duration(0, DAY_SECONDS) = Field(  # type: ignore[valid-type]  # made by a function
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
        if self.every is not None and self.timezone not in (None, UTC_NAME):
            raise PydanticCustomError("exclusive", "'timezone' is for 'cron': 'every' counts seconds in UTC")
        if self.catch_up.runs == "all" and self.overlap in ("skip", "replace"):
            raise PydanticCustomError(
                "exclusive", "'catch_up.runs' all needs 'overlap' queue or allow: others run one of them only"
            )
        return self


_Note = Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS)]


class PauseBody(_Strict):
    """Why a schedule is paused."""

    note: Annotated[_Note, null_is_default(_Note)] = ""


def schedule_body_schema(functions: FunctionRegistry, template: str) -> dict[str, Any]:
    """Return the JSON schema of a schedule; its job's `function` must be a registered one."""
    document = ScheduleBody.model_json_schema(ref_template=template)
    job = document["$defs"]["ScheduledJob"]
    job["properties"]["function"] = submission_schema(functions)["properties"]["function"]
    job.pop("not", None)
    return document
