"""Limits of jobs: what a submission asks for, and the bodies of the limits' routes."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from jobqueue.inspection.limit_waits import MAX_NAMED, WaitingJobs
from jobqueue.lifecycle.limits import LimitView
from jobqueue.model import Limit
from manager.schemas.json_types import WholeNumber

KEY_PATTERN = "[A-Za-z0-9_.:@-]{1,128}"
RATE_PATTERN = "[1-9][0-9]{0,6}/([1-9][0-9]{0,4})?[smhd]"
MAX_LIMITS = 8
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

LimitKey = Annotated[str, Field(pattern=f"^{KEY_PATTERN}$")]
Rate = Annotated[str, Field(pattern=f"^{RATE_PATTERN}$")]
Burst = Annotated[int, Field(ge=1, le=1_000_000), WholeNumber]

# The checks of `_check_numbers`, in the OpenAPI document's terms.
_PRESENT = {"not": {"type": "null"}}
_NEITHER: dict[str, Any] = {
    "not": {"anyOf": [{"required": [n], "properties": {n: _PRESENT}} for n in ("concurrency", "rate")]}
}
_BURST_ALONE: dict[str, Any] = {
    "required": ["burst"],
    "properties": {"burst": _PRESENT},
    "not": {"required": ["rate"], "properties": {"rate": _PRESENT}},
}


class LimitNumbers(BaseModel):
    """How many jobs with a key may run at a time (`concurrency`), and how many may begin in a time (`rate`)."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, json_schema_extra={"not": {"anyOf": [_NEITHER, _BURST_ALONE]}}
    )

    concurrency: Annotated[int, Field(ge=0, le=1_000_000), WholeNumber] | None = Field(
        default=None, description="How many may run at a time; 0: none"
    )
    rate: Rate | None = Field(default=None, description="How many may begin in a time, evenly: `100/1m`, `5/s`")
    burst: Burst | None = Field(default=None, description="How many of these may begin at once (default 1)")

    @model_validator(mode="after")
    def _check_numbers(self) -> "LimitNumbers":
        if self.concurrency is None and self.rate is None:
            raise PydanticCustomError("missing", "a limit has a 'concurrency' or a 'rate'")
        if self.burst is not None and self.rate is None:
            raise PydanticCustomError("exclusive", "'burst' needs a 'rate'")
        return self

    def limit(self, key: str) -> Limit:
        """Return these numbers as those of a key."""
        if self.rate is None:
            return Limit(key, self.concurrency)
        starts, _, period = self.rate.partition("/")
        number, unit = re.fullmatch(r"(\d*)(\w)", period).groups()  # type: ignore[union-attr]  # by the pattern
        return Limit(key, self.concurrency, int(starts), float(int(number or 1) * _UNIT_SECONDS[unit]), self.burst or 1)


class LimitOptions(LimitNumbers):
    """A limit that a job runs under. Its numbers hold as long as none are set for the key."""

    key: LimitKey


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LimitResponse(_Response):
    """A limit."""

    key: str
    concurrency: int | None
    rate: str | None
    burst: int | None
    fixed: bool = Field(description="Whether the numbers were set for all jobs, or are those of a job")
    running: int | None = Field(
        description="How many jobs run under it; null without a `concurrency`, where nobody counts them"
    )
    holders: list[str] = Field(description="Those of them that run longest, ten at most")
    blocked_lanes: int = Field(description="How many groups of jobs with the same limits wait for a place of it")
    waiting: int = Field(
        description="How many jobs wait for it, those that wait for its rate included;"
        " some may have been canceled since"
    )
    more_waiting: bool = Field(description="Whether more may wait: of many groups, only some are counted")
    first_waiting: list[str] = Field(description=f"Those of them that are next, {MAX_NAMED} at most")


class LimitList(_Response):
    """Limits, those under which a job has begun last come first."""

    limits: list[LimitResponse]


def limit_document(view: LimitView, waiting: WaitingJobs) -> dict[str, Any]:
    """Return a limit as a response body."""
    limit = view.limit
    return {
        "key": limit.key,
        "concurrency": limit.concurrency,
        "rate": None if limit.starts is None else f"{limit.starts}/{_period(limit.seconds or 1.0)}",
        "burst": limit.burst,
        "fixed": view.fixed,
        "running": view.running,
        "holders": view.holders,
        "blocked_lanes": view.blocked_lanes,
        "waiting": waiting.count,
        "more_waiting": not waiting.is_complete,
        "first_waiting": waiting.first,
    }


def _period(seconds: float) -> str:
    unit = next(unit for unit in "dhms" if seconds % _UNIT_SECONDS[unit] == 0 or unit == "s")
    return f"{seconds / _UNIT_SECONDS[unit]:g}{unit}"
