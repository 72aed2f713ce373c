"""Request and response bodies of the operations' routes."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from jobqueue.model import Status
from manager.operations.operation import APPLIES_TO, JobFilter, Operation, request_of
from manager.schemas.json_types import null_is_default
from manager.schemas.submission import ID_PATTERN, LABEL_NAME_PATTERN, LABEL_VALUE_PATTERN

_TEXT = r"^[^\x00-\x1f\x7f]{1,256}$"
ChangeableStatus = Literal["scheduled", "deferred", "queued", "started", "failed", "stopped", "canceled", "finished"]
OperationStatus = Literal["queued", "running", "canceling", "finished", "canceled"]


class OperationFilter(BaseModel):
    """Which jobs: those that match everything that is given, and were submitted before the operation."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    status: ChangeableStatus | None = Field(default=None, description="Default: all that the action can change")
    queue: Annotated[str, Field(pattern=_TEXT)] | None = None
    function: Annotated[str, Field(pattern=_TEXT)] | None = None
    label: Annotated[str, Field(pattern=f"^{LABEL_NAME_PATTERN}:{LABEL_VALUE_PATTERN}$")] | None = Field(
        default=None, description="`NAME:VALUE`"
    )
    reason: Literal["exception", "timeout", "worker_lost", "rejected", "dependency_failed"] | None = Field(
        default=None, description="`error.reason` of the job"
    )

    def to_filter(self) -> JobFilter:
        """Return it as the operations take it."""
        status = None if self.status is None else Status(self.status)
        return JobFilter(status, self.queue, self.function, self.label, self.reason)


# The checks of `_check_together`, in the OpenAPI document's terms.
_EMPTY: dict[str, Any] = {
    "properties": {"filter": {"properties": {name: {"type": "null"} for name in OperationFilter.model_fields}}},
}
_WRONG_STATUS: list[dict[str, Any]] = [
    {
        "required": ["action", "filter"],
        "properties": {
            "action": {"const": action},
            "filter": {
                "type": "object",
                "required": ["status"],
                "properties": {"status": {"type": "string", "not": {"enum": list(statuses)}}},
            },
        },
    }
    for action, statuses in APPLIES_TO.items()
]


class OperationBody(BaseModel):
    """What to do with which jobs. With an `id` of its own, a repeat changes nothing."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, json_schema_extra={"not": {"anyOf": [_EMPTY, *_WRONG_STATUS]}}
    )

    action: Literal["requeue", "cancel", "delete"]
    filter: OperationFilter = Field(description="At least one of its fields")
    dry_run: Annotated[bool, null_is_default(bool)] = Field(default=False, description="Only count the jobs that match")
    id: str | None = Field(default=None, pattern=f"^{ID_PATTERN}$")

    @model_validator(mode="after")
    def _check_together(self) -> "OperationBody":
        given = self.filter.to_filter()
        if given == JobFilter():
            raise PydanticCustomError("empty_filter", "filter: give at least one of its fields")
        applies_to = APPLIES_TO[self.action]
        if given.status is not None and given.status not in applies_to:
            raise PydanticCustomError(
                "wrong_status",
                "filter.status: {action} changes only jobs that are {statuses}",
                {"action": self.action, "statuses": ", ".join(applies_to)},
            )
        return self


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OperationResponse(_Response):
    """An operation, and how far it has come. Times are UTC, ISO 8601."""

    id: str
    action: Literal["requeue", "cancel", "delete"]
    filter: dict[str, str]
    dry_run: bool
    status: OperationStatus
    searched: int = Field(description="Jobs that were looked at, some perhaps twice")
    matched: int = Field(description="Those of them that match")
    changed: int = Field(description="Those that were changed; of a dry run none")
    refused: int = Field(
        description="Those that could not be changed: they are something else by now, or wait for another job"
    )
    note: str | None = Field(description="Why it does not go on at the moment")
    created_by: str = Field(description="Id of the key; `none` if the manager asks for none")
    created_at: str
    started_at: str | None
    ended_at: str | None


class OperationList(_Response):
    """Operations, the latest first."""

    operations: list[OperationResponse]


def operation_document(operation: Operation) -> dict[str, Any]:
    """Return an operation as a response body."""
    progress = operation.progress
    return {
        "id": operation.id,
        **request_of(operation.action, operation.filter, dry_run=operation.dry_run),
        "status": operation.status,
        "searched": progress.searched,
        "matched": progress.matched,
        "changed": progress.changed,
        "refused": progress.refused,
        "note": progress.note or None,
        "created_by": operation.actor,
        "created_at": operation.created_at,
        "started_at": operation.started_at,
        "ended_at": operation.ended_at,
    }
