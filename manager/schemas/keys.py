"""Request and response bodies of the API keys' routes."""

from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from manager.api_keys.limits import KeyLimits
from manager.api_keys.record import MAX_QUEUES, QUEUE_PATTERN, UNBOUND_SCOPES, KeyRecord
from manager.schemas.json_types import DAY_SECONDS, YEAR_SECONDS, WholeNumber, null_is_default

MAX_OVERLAP_SECONDS = 30 * DAY_SECONDS
DEFAULT_OVERLAP_SECONDS = DAY_SECONDS

Scope = Literal["jobs:write", "jobs:read", "results:pull", "admin"]
QueuePattern = Annotated[str, Field(pattern=QUEUE_PATTERN)]
_Queues = Annotated[list[QueuePattern], Field(max_length=MAX_QUEUES)]

# The check of `_check_together`, in the OpenAPI document's terms.
_UNBOUND_ONLY: dict[str, Any] = {
    "required": ["queues"],
    "properties": {
        "queues": {"type": "array", "minItems": 1},
        "scopes": {"type": "array", "contains": {"enum": sorted(UNBOUND_SCOPES)}},
    },
}


Rate = Annotated[float, Field(ge=0.001, le=1e6)]


class KeyLimitsBody(BaseModel):
    """Limits of a key; null for none. Of those to set, one that is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    requests_per_second: Rate | None = Field(default=None, description="At each manager; beyond it 429")
    jobs_per_second: Rate | None = Field(
        default=None, description="That are submitted at each manager, those of a batch included; beyond it 429"
    )
    payload_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024), WholeNumber] | None = Field(
        default=None,
        description="Of a job's binary data, and of its other arguments and meta as JSON; beyond it 413. The managers'"
        " own limit holds as well",
    )
    waiting_jobs: Annotated[int, Field(ge=1, le=10**9), WholeNumber] | None = Field(
        default=None, description="The key submits no more to a queue in which so many are queued or scheduled: 429"
    )

    def changed(self, limits: KeyLimits) -> KeyLimits:
        """Return the limits after this change."""
        return replace(limits, **{name: getattr(self, name) for name in self.model_fields_set})


class KeyBody(BaseModel):
    """A key to create. A key bound to `queues` sees no others; it cannot have `admin` or `results:pull`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, json_schema_extra={"not": _UNBOUND_ONLY})

    scopes: list[Scope] = Field(min_length=1, max_length=4, description="What it may do; `admin` includes the others")
    queues: Annotated[_Queues, null_is_default(_Queues)] = Field(
        default=[], description="Names of queues; `*` stands for any text. Empty: all queues"
    )
    expires: Annotated[int, Field(ge=1, le=10 * YEAR_SECONDS), WholeNumber] | None = Field(
        default=None,
        description="Whole seconds after which it ends, such as 7776000 for 90 days; by default it does not",
    )
    limits: Annotated[KeyLimitsBody, null_is_default(KeyLimitsBody)] = Field(
        default=KeyLimitsBody(), description="By default it has none"
    )

    @model_validator(mode="after")
    def _check_together(self) -> "KeyBody":
        for scope in sorted(UNBOUND_SCOPES):
            if self.queues and scope in self.scopes:
                raise PydanticCustomError(
                    "unbound", "the scope '{scope}' concerns all queues: it cannot be bound to some", {"scope": scope}
                )
        return self


_Overlap = Annotated[int, Field(ge=0, le=MAX_OVERLAP_SECONDS), WholeNumber]


class RollBody(BaseModel):
    """How a key's secret is replaced. Without a body, each field has its default."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    overlap: Annotated[_Overlap, null_is_default(_Overlap)] = Field(
        default=DEFAULT_OVERLAP_SECONDS, description="Seconds for which the secret before stays valid"
    )


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class KeyResponse(_Response):
    """A key, without its secret. Times are Unix times in seconds."""

    id: str
    scopes: list[Scope]
    queues: list[str] = Field(description="The queues that it is bound to; empty if it is not bound")
    created_at: float
    created_by: str = Field(description="Id of the key that created it")
    expires_at: float | None
    expired: bool
    secrets: int = Field(description="Secrets that are valid: more than one while an overlap lasts")
    limits: KeyLimitsBody


class CreatedKey(KeyResponse):
    """A key that was created or rolled, with its text, which is not shown again."""

    key: str


class KeyList(_Response):
    """All keys in Redis, the oldest first."""

    keys: list[KeyResponse]


def key_document(record: KeyRecord, now: float) -> dict[str, Any]:
    """Return a key as a response body."""
    return {
        "id": record.id,
        "scopes": record.scopes,
        "queues": record.queues,
        "created_at": record.created_at,
        "created_by": record.created_by,
        "expires_at": record.expires_at,
        "expired": record.is_expired(now),
        "secrets": len(record.valid_digests(now)),
        "limits": asdict(record.limits),
    }
