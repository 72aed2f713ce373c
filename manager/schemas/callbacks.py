"""Request and response bodies of the routes of callbacks."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jobqueue.inspection.callback_listing import CallbackView
from jobqueue.stored_values import shown_name
from manager.schemas.json_types import Instant

MAX_ACKNOWLEDGED = 100


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ReplayBody(_Body):
    """Which of the callbacks that were given up are sent again; without any field, all of them."""

    since: Instant | None = Field(default=None, description="Those that were given up then or later: RFC 3339")
    host: str | None = Field(default=None, max_length=300, description="Those for this host and port")


class ListenerAckBody(_Body):
    """Receipts of callbacks that a listener has taken."""

    receipts: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(max_length=MAX_ACKNOWLEDGED)


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CallbackAttempt(_Response):
    """An attempt to deliver a callback."""

    at: str
    milliseconds: int
    status: int | None = Field(description="HTTP status of the answer; null if there was none")
    error: str | None = Field(description="Why there was none")
    answer: str = Field(description="Beginning of the answer's body, at most 1 KiB")


class CallbackResponse(_Response):
    """A callback."""

    id: str
    job_id: str
    event: Literal["finished", "failed", "stopped", "canceled"] | str
    event_at: str
    function: str
    queue: str
    host: str = Field(description="Host and port of its URL, whose other parts can be secret")
    status: Literal["waiting", "failing", "delivered", "dead"]
    tries: int
    next_attempt_at: str | None = Field(description="Null if there is none, or if it is being sent")
    last_attempt: CallbackAttempt | None


class CallbackDetails(CallbackResponse):
    """A callback with its attempts."""

    attempts: list[CallbackAttempt] = Field(description="The last twelve, the earliest first")


class CallbackList(_Response):
    """Callbacks, the latest first; `cursor` leads to the page after, and is null on the last one."""

    callbacks: list[CallbackResponse]
    cursor: str | None


class ReplayedCallbacks(_Response):
    """How many callbacks are sent again."""

    callbacks: int


class HeardCallback(_Response):
    """A callback for a listener."""

    receipt: str = Field(description="Acknowledges it")
    headers: dict[str, str]
    body: str


class HeardCallbacks(_Response):
    """Callbacks for a listener. They come again after a minute unless they are acknowledged."""

    callbacks: list[HeardCallback]


class AcknowledgedCallbacks(_Response):
    """How many callbacks were still waiting for this."""

    acknowledged: int


def callback_document(view: CallbackView) -> dict[str, Any]:
    """Return a callback as a part of a response body."""
    entry = view.entry
    return {
        "id": shown_name(entry.id),
        "job_id": shown_name(entry.job_id),
        "event": entry.event,
        "event_at": entry.time,
        "function": entry.function,
        "queue": entry.queue,
        "host": entry.host,
        "status": view.status,
        "tries": entry.tries,
        "next_attempt_at": None if view.due_at is None else _instant(view.due_at),
        "last_attempt": _attempt(entry.log[-1]) if entry.log else None,
    }


def details_document(view: CallbackView) -> dict[str, Any]:
    """Return a callback with its attempts."""
    return callback_document(view) | {"attempts": [_attempt(attempt) for attempt in view.entry.log]}


def _attempt(attempt: Mapping[str, Any]) -> dict[str, Any]:
    """Return an attempt whose record another program may have written."""
    status, milliseconds = attempt.get("status"), attempt.get("milliseconds")
    return {
        "at": str(attempt.get("at", "")),
        "milliseconds": milliseconds if type(milliseconds) is int else 0,
        "status": status if type(status) is int else None,
        "error": str(attempt.get("error") or "") or None,
        "answer": str(attempt.get("answer", "")),
    }


def _instant(seconds: float) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
