"""A job as users see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job did not succeed.

    Attributes:
        reason: a `FailureReason`; `exception` if a plain RQ worker recorded the failure.
        message: type and first lines of the exception's text, of an exception group the leaves.
        traceback: the recorded text; '' for none.
    """

    reason: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class ResultNote:
    """A result that is not shown.

    Attributes:
        kind: 'json', 'pickle' or 'unknown'.
        size_bytes: in a listing, about as many as it takes in Redis' memory.
        note: why it is not shown, and how to read it.
    """

    kind: str
    size_bytes: int
    note: str


@dataclass(frozen=True, slots=True)
class CallbackNote:
    """Whom a job tells of its end.

    Attributes:
        host: host and port of the URL, whose other parts can be secret; `listen/NAME` for a listener.
        events: the ends that it tells of.
        last_id: id of the callback of its last end that was told; None if there was none yet.
    """

    host: str
    events: tuple[str, ...]
    last_id: str | None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as users see it. Times are RQ's timestamps (UTC, ISO 8601), or None.

    Attributes:
        result: the result as JSON text; None if there is none.
        attempts: how many times it has started.
        meta: None if it is not shown, and `meta_note` says why.
        unreadable: whether the record cannot be read: `error` says why, and `status` is a guess.
        args, kwargs: the call, long values shortened; None if it is not shown, and `arguments_note` says why.
        timeout_seconds: None for no limit.
        due_at: when a scheduled job is due.
        depends_on: ids of the jobs that this one waits for, or has waited for.
        result_note: kind and size of a result that is not shown, and how to read it.
        version: hash of the source of the module whose function ran last; None for a built-in function.
        progress: what the job has told last: `done`, `total`, `text`, and `at` (Unix time); None for nothing.
        isolation: `ISOLATED` if the job asks for a process of its own.
        labels: by which it can be found.
        callback: whom it tells of its end; None for nobody.
        workflow: id of the one that it belongs to; None if it belongs to none.
    """

    id: str
    function: str | None
    queue: str
    status: str
    result: bytes | None
    error: JobError | None
    attempts: int
    created_at: str | None
    enqueued_at: str | None
    started_at: str | None
    ended_at: str | None
    worker: str | None
    meta: Mapping[str, Any] | None
    unreadable: bool = False
    args: list[Any] | None = None
    kwargs: Mapping[str, Any] | None = None
    arguments_note: str | None = None
    timeout_seconds: int | None = None
    retries_left: int = 0
    due_at: str | None = None
    depends_on: tuple[str, ...] = ()
    result_note: ResultNote | None = None
    meta_note: str | None = None
    version: str | None = None
    isolation: str | None = None
    progress: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    callback: CallbackNote | None = None
    workflow: str | None = None
