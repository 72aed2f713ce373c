"""The body of `POST /jobs`: fields of a job, their validation, and their JSON schema.

`workmanager/http/submission.py` is the client's side of it.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from jobqueue.callbacks.entry import EVENTS
from jobqueue.functions import FunctionRegistry
from jobqueue.model import DEFAULT_QUEUE, DEFAULT_TIMEOUT_SECONDS, RESULT_TTL_SECONDS, Dependency
from manager.callbacks.target import MAX_URL_CHARACTERS, URL_PATTERN
from manager.schemas.json_types import YEAR_SECONDS, Base64, Instant, QueueName, Seconds, WholeNumber, null_is_default
from manager.schemas.limits import MAX_LIMITS, LimitKey, LimitOptions

ID_PATTERN = "[A-Za-z0-9_-]{1,64}"
JOB_ID_PATTERN = r"^[^\x00-\x1f\x7f:]{1,256}$"
"""Plain RQ clients choose ids of any form."""
MAX_DEPENDENCIES = 1000
MAX_LABELS = 8
LABEL_NAME_PATTERN = "[A-Za-z0-9_.-]{1,64}"
LABEL_VALUE_PATTERN = r"[^\x00-\x1f\x7f]{1,128}"

TimeoutSeconds = Annotated[int, Field(ge=1, le=YEAR_SECONDS), WholeNumber]
_Order = Literal["fifo", "lifo"]
RetryCount = Annotated[int, Field(ge=0, le=100), WholeNumber]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


_Intervals = Annotated[list[Seconds], Field(max_length=100)]


class RetryPolicy(_Strict):
    """Retries of a failed job: `max` of them, after the seconds in `intervals` (the last interval repeats)."""

    max: RetryCount
    intervals: Annotated[_Intervals, null_is_default(_Intervals)] = []


class UniqueKey(_Strict):
    """No other job with this `key` is accepted for `within` seconds."""

    key: str = Field(min_length=1, max_length=256)
    within: float = Field(gt=0, le=YEAR_SECONDS)


_When = Literal["finished", "ended"]


class DependsOn(_Strict):
    """A job that this one waits for: until it has `finished`, or `ended` in any way."""

    id: str = Field(pattern=JOB_ID_PATTERN)
    when: Annotated[_When, null_is_default(_When)] = "finished"


def _parent(value: object) -> object:
    return {"id": value} if isinstance(value, str) else value


# Not a union with a text: the problem of a wrong one would name its members.
Parent = Annotated[
    DependsOn,
    BeforeValidator(_parent, json_schema_input_type=Annotated[str, Field(pattern=JOB_ID_PATTERN)] | DependsOn),
]


def _none_if_empty(value: list[Any] | None) -> list[Any] | None:
    return value or None


NONE_IF_EMPTY = AfterValidator(_none_if_empty)
"""Makes an empty list the same as one that is left out: what makes the jobs may have nothing to put into it."""


CallbackUrl = Annotated[
    str, Field(min_length=1, max_length=MAX_URL_CHARACTERS, json_schema_extra={"pattern": f"^{URL_PATTERN}$"})
]
CallbackEvent = Literal["finished", "failed", "stopped", "canceled"]
_Events = Annotated[list[CallbackEvent], Field(min_length=1, max_length=4)]
_Included = Annotated[list[Literal["result"]], Field(max_length=1)]


LabelName = Annotated[str, Field(pattern=f"^{LABEL_NAME_PATTERN}$")]
LabelValue = Annotated[str, Field(pattern=f"^{LABEL_VALUE_PATTERN}$")]


def _all_events() -> list[CallbackEvent]:
    return ["finished", "failed", "stopped", "canceled"]


class CallbackOptions(_Strict):
    """Tell `url` when the job has ended: with one of `events`, and with what `include` names."""

    url: CallbackUrl
    events: Annotated[_Events, null_is_default(_Events)] = Field(
        default_factory=_all_events, json_schema_extra={"default": list(EVENTS)}
    )
    include: Annotated[_Included, null_is_default(_Included)] = Field(
        default_factory=list, json_schema_extra={"default": []}
    )


def given(*names: str) -> dict[str, Any]:
    """Return the JSON schema of an object that has these fields, neither null nor an empty list."""
    properties: dict[str, Any] = {name: {"not": {"enum": [None, []]}} for name in names}
    return {"type": "object", "required": list(names), "properties": properties}


# The checks of `_check_together`, in the OpenAPI document's terms.
EXCLUSIVE: list[Any] = [
    given(*pair)
    for pair in (
        *(("id", "unique"), ("delay", "at"), ("depends_on", "delay"), ("depends_on", "at")),
        ("callback", "callback_url"),
    )
] + [
    {
        "required": ["data", "kwargs"],
        "properties": {"data": {"not": {"type": "null"}}, "kwargs": {"type": "object", "required": ["data"]}},
    }
]


Labels = Annotated[
    dict[LabelName, LabelValue],
    # pydantic describes the names that match, and says nothing of others.
    Field(max_length=MAX_LABELS, json_schema_extra={"additionalProperties": False}),
]


class Submission(_Strict):
    """A job to run. A field that is left out or null has its default."""

    model_config = ConfigDict(json_schema_extra={"not": {"anyOf": EXCLUSIVE}})

    function: str = Field(min_length=1, max_length=256, description="A registered function")
    # A factory, because pydantic makes a deep copy of any other default for every job.
    args: Annotated[list[JsonValue], null_is_default(list[JsonValue])] = Field(
        default_factory=list, description="Positional arguments", json_schema_extra={"default": []}
    )
    kwargs: Annotated[dict[str, JsonValue], null_is_default(dict[str, JsonValue])] = Field(
        default_factory=dict, description="Keyword arguments", json_schema_extra={"default": {}}
    )
    data: Base64 | None = Field(default=None, description="Binary data in base64, passed as keyword argument `data`")
    queue: Annotated[QueueName, null_is_default(QueueName)] = DEFAULT_QUEUE
    order: Annotated[_Order, null_is_default(_Order)] = Field(
        default="fifo", description="`lifo` puts the job at the front of the queue"
    )
    timeout: Annotated[TimeoutSeconds, null_is_default(TimeoutSeconds)] = Field(
        default=DEFAULT_TIMEOUT_SECONDS, description="Maximum run time in seconds"
    )
    retry: RetryPolicy | None = Field(default=None, description="Default: no retries; 3 for the function `http`")
    unique: UniqueKey | None = None
    delay: float | None = Field(default=None, ge=0, le=YEAR_SECONDS, description="Seconds before the job can start")
    at: Instant | None = Field(default=None, description="Earliest start: RFC 3339 with a time zone")
    result_ttl: Annotated[Seconds, null_is_default(Seconds)] = Field(
        default=RESULT_TTL_SECONDS, description="Seconds for which the result is kept"
    )
    feed: Annotated[bool, null_is_default(bool)] = Field(
        default=True, description="Whether POST /pullCompleted hands out the result"
    )
    isolation: Literal["job"] | None = Field(
        default=None, description="`job` runs it in a process of its own, whatever the worker's WORKMANAGER_ISOLATION"
    )
    depends_on: Annotated[list[Parent] | None, NONE_IF_EMPTY] = Field(
        default=None,
        max_length=MAX_DEPENDENCIES,
        description="Jobs that this one waits for: ids, or `{id, when}`; if one of them does not finish, "
        "it is canceled, unless `when` is `ended`",
    )
    callback: CallbackOptions | None = Field(default=None, description="Whom to tell of the job's end")
    callback_url: CallbackUrl | None = Field(default=None, description="Short for `callback` with this `url` alone")
    limits: Annotated[list[LimitOptions] | None, NONE_IF_EMPTY] = Field(
        default=None,
        max_length=MAX_LIMITS,
        description="How many jobs with the same key run at a time, or begin in a time: it waits until each allows it",
    )
    fair_key: LimitKey | None = Field(
        default=None, description="Jobs with different ones take turns in the queue, however many there are of each"
    )
    labels: Labels | None = Field(default=None, description="Texts by which `GET /jobs?label=NAME:VALUE` finds the job")
    meta: dict[str, JsonValue] | None = Field(default=None, description="Stored with the job; at most 64 KiB as JSON")
    id: str | None = Field(
        default=None, pattern=f"^{ID_PATTERN}$", description="The Work ID; makes the request idempotent"
    )

    @property
    def shard_mate(self) -> str | None:
        """On whose shard the job must lie, if its id is not given: that of its unique key, or best of a parent."""
        if self.unique is not None:
            return self.unique.key
        return self.dependencies[0].parent_id if self.depends_on else None

    @property
    def dependencies(self) -> tuple[Dependency, ...]:
        """What it waits for."""
        return tuple(Dependency(parent.id, parent.when) for parent in self.depends_on or ())

    @model_validator(mode="after")
    def _check_together(self) -> "Submission":
        if self.unique is not None and self.id is not None:
            raise PydanticCustomError("exclusive", "'id' and 'unique' exclude each other")
        if self.delay is not None and self.at is not None:
            raise PydanticCustomError("exclusive", "'delay' and 'at' exclude each other")
        if self.depends_on is not None and (self.delay is not None or self.at is not None):
            raise PydanticCustomError("exclusive", "'depends_on' and 'delay' or 'at' exclude each other")
        if self.callback is not None and self.callback_url is not None:
            raise PydanticCustomError("exclusive", "'callback' and 'callback_url' exclude each other")
        if self.data is not None and "data" in self.kwargs:
            raise PydanticCustomError("exclusive", "'data' and 'kwargs.data' exclude each other")
        return self


def submission_schema(functions: FunctionRegistry) -> dict[str, Any]:
    """Return the JSON schema of a submission; `function` must be a registered one."""
    document = Submission.model_json_schema(ref_template="#/components/schemas/{model}")
    document["properties"]["function"] = function_schema(functions)
    return document


def function_schema(functions: FunctionRegistry) -> dict[str, Any]:
    """Return the JSON schema of a registered function's name."""
    return {"type": "string", "enum": list(functions.names), "description": "A registered function"}
