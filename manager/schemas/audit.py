"""Response bodies of the audit stream's route."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from jobqueue.audit import AuditEntry


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AuditEntryResponse(_Response):
    """A change of the configuration."""

    id: str
    at: float = Field(description="Unix time in seconds")
    actor: str = Field(description="Id of the key or subject of the token; `none` if the manager asks for neither")
    address: str = Field(description="Of the client")
    request_id: str = Field(description="As in the access log, and in `X-Request-Id` of the answer")
    action: str = Field(description="As the log event is called, such as `queue_paused`")
    target: str = Field(description="The key, queue or schedule; empty for the scaler")
    before: dict[str, Any] | None = Field(description="What was changed; null if there was nothing")
    after: dict[str, Any] | None


class AuditPage(_Response):
    """Changes, the latest first; `cursor` leads to the page after, and is null on the last one."""

    entries: list[AuditEntryResponse]
    cursor: str | None


def entry_document(entry: AuditEntry) -> dict[str, Any]:
    """Return an entry as a part of a response body."""
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.author.actor,
        "address": entry.author.address,
        "request_id": entry.author.request_id,
        "action": entry.action,
        "target": entry.target,
        "before": entry.before,
        "after": entry.after,
    }
