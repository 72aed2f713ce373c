"""A job as it is submitted over HTTP: its fields, what is right about them, and the record it becomes."""

import binascii
import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)
from pydantic_core import PydanticCustomError

from jobqueue.functions import FunctionRegistry
from jobqueue.model import DEFAULT_QUEUE, DEFAULT_TIMEOUT_SECONDS, RESULT_TTL_SECONDS

ID_PATTERN = "[A-Za-z0-9_-]{1,64}"
QUEUE_PATTERN = "[A-Za-z0-9_.-]{1,64}"
BASE64_PATTERN = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
YEAR_SECONDS = 365 * 24 * 3600
MAX_ITERATIONS = 10**9


_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


def parse_instant(text: str) -> float:
    """Seconds since the epoch for an RFC 3339 time.

    Raises:
        ValueError: it is none, or has no zone.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError("an RFC 3339 time with a zone is expected")
    # RFC 3339 allows any number of decimals, Python up to six.
    text = re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text.upper())
    return datetime.fromisoformat(text).timestamp()


def _checked_base64(text: str) -> str:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise PydanticCustomError("base64", "standard base64 with padding is expected") from error
    return text


def _checked_instant(text: str) -> str:
    try:
        parse_instant(text)
    except ValueError as error:
        raise PydanticCustomError("instant", "an RFC 3339 time with a zone is expected") from error
    return text


def _whole(value: object) -> object:
    # To JSON 60.0 is the integer 60.
    return int(value) if isinstance(value, float) and value.is_integer() else value


Base64 = Annotated[
    str,
    AfterValidator(_checked_base64),
    Field(json_schema_extra={"pattern": f"^{BASE64_PATTERN}$", "contentEncoding": "base64"}),
]
Instant = Annotated[str, AfterValidator(_checked_instant), Field(json_schema_extra={"format": "date-time"})]
# The bounds stand before the validator: behind it they would be missing from the OpenAPI document.
Seconds = Annotated[int, Field(ge=0, le=YEAR_SECONDS), BeforeValidator(_whole)]
TimeoutSeconds = Annotated[int, Field(ge=1, le=YEAR_SECONDS), BeforeValidator(_whole)]
RetryCount = Annotated[int, Field(ge=0, le=100), BeforeValidator(_whole)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class RetryPolicy(_Strict):
    """How often a failed job runs again: `max` times, after the seconds in `intervals` (the last one goes on)."""

    max: RetryCount
    intervals: list[Seconds] = Field(default=[], max_length=100)


class UniqueKey(_Strict):
    """No other job with this `key` is taken for `within` seconds."""

    key: str = Field(min_length=1, max_length=256)
    within: float = Field(gt=0, le=YEAR_SECONDS)


# What pydantic checks after the fields, said in the OpenAPI document as well.
_EXCLUSIVE: list[Any] = [
    {"required": list(pair), "properties": {name: {"not": {"type": "null"}} for name in pair}}
    for pair in (("id", "unique"), ("delay", "at"))
] + [
    {
        "required": ["data", "kwargs"],
        "properties": {"data": {"not": {"type": "null"}}, "kwargs": {"type": "object", "required": ["data"]}},
    }
]


class Submission(_Strict):
    """A job to be run. What is left out, or null, is at its default."""

    model_config = ConfigDict(json_schema_extra={"not": {"anyOf": _EXCLUSIVE}})

    function: str = Field(min_length=1, max_length=256, description="A registered function")
    # Defaults by a factory: one that stands there would be copied deep for every job.
    args: list[JsonValue] = Field(
        default_factory=list, description="Positional arguments", json_schema_extra={"default": []}
    )
    kwargs: dict[str, JsonValue] = Field(
        default_factory=dict, description="Keyword arguments", json_schema_extra={"default": {}}
    )
    data: Base64 | None = Field(default=None, description="Binary data in base64: the keyword argument `data`")
    queue: str = Field(default=DEFAULT_QUEUE, pattern=f"^{QUEUE_PATTERN}$")
    order: Literal["fifo", "lifo"] = Field(default="fifo", description="lifo: next in line")
    timeout: TimeoutSeconds = Field(default=DEFAULT_TIMEOUT_SECONDS, description="Seconds it may run")
    retry: RetryPolicy | None = Field(default=None, description="Default: none; for the function `http` 3")
    unique: UniqueKey | None = None
    delay: float | None = Field(default=None, ge=0, le=YEAR_SECONDS, description="Seconds until it may begin")
    at: Instant | None = Field(default=None, description="When it may begin: RFC 3339 with a zone")
    result_ttl: Seconds = Field(default=RESULT_TTL_SECONDS, description="Seconds that a result is kept")
    feed: bool = Field(default=True, description="Whether POST /pullCompleted hands its result out")
    meta: dict[str, JsonValue] | None = Field(default=None, description="Kept with the job; at most 64 KiB as JSON")
    id: str | None = Field(default=None, pattern=f"^{ID_PATTERN}$", description="The Work ID; makes it idempotent")

    @model_validator(mode="after")
    def _check_together(self) -> "Submission":
        if self.unique is not None and self.id is not None:
            raise PydanticCustomError("exclusive", "'id' and 'unique' exclude each other")
        if self.delay is not None and self.at is not None:
            raise PydanticCustomError("exclusive", "'delay' and 'at' exclude each other")
        if self.data is not None and "data" in self.kwargs:
            raise PydanticCustomError("exclusive", "'data' and 'kwargs.data' exclude each other")
        return self


def submission_schema(functions: FunctionRegistry) -> dict[str, Any]:
    """JSON schema of a submission; `function` is one of those registered."""
    document = Submission.model_json_schema(ref_template="#/components/schemas/{model}")
    document["properties"]["function"] = {
        "type": "string",
        "enum": list(functions.names),
        "description": "A registered function",
    }
    return document
