"""What an operation on many jobs is: what it does to which jobs, and how far it has come. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from jobqueue.job_view import JobView
from jobqueue.json_text import json_object
from jobqueue.model import Status
from jobqueue.stored_values import integer_of, text_of

Action = Literal["requeue", "cancel", "delete"]
APPLIES_TO: Mapping[str, tuple[Status, ...]] = {
    "requeue": (Status.FAILED, Status.STOPPED, Status.CANCELED),
    "cancel": (Status.SCHEDULED, Status.DEFERRED, Status.QUEUED, Status.STARTED),
    "delete": (
        *(Status.SCHEDULED, Status.DEFERRED, Status.QUEUED),
        *(Status.FAILED, Status.STOPPED, Status.CANCELED, Status.FINISHED),
    ),
}
"""The statuses of jobs that an action changes, in the order in which they are searched: a job that goes on from one to
a later one meanwhile is found there."""
ENDED = frozenset({"finished", "canceled"})
"""The statuses of operations that are over."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs an operation changes: those that match everything that is given.

    Attributes:
        label: `name:value`.
        reason: of a failure.
    """

    status: Status | None = None
    queue: str | None = None
    function: str | None = None
    label: str | None = None
    reason: str | None = None

    def matches(self, job: JobView) -> bool:
        """Return whether a job matches; its label is left to the search."""
        return (
            self.status in (None, job.status)
            and self.queue in (None, job.queue)
            and self.function in (None, job.function)
            and (self.reason is None or (job.error is not None and job.error.reason == self.reason))
        )


@dataclass(frozen=True, slots=True)
class Position:
    """Where an operation goes on.

    Attributes:
        source: which of its searches, by number.
        cursor: the place in it; None for its beginning.
        has_changed: the search has changed jobs since its beginning, so that it begins once more after its end.
    """

    source: int = 0
    cursor: str | None = None
    has_changed: bool = False

    def next_source(self) -> "Position":
        """Return the beginning of the next search."""
        return Position(self.source + 1)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an operation has come.

    Attributes:
        searched: jobs that were looked at, some perhaps twice.
        matched: those of them that match.
        changed: those that were changed; of a dry run none.
        refused: those that could not be changed: they are something else by now, or wait for another job.
        note: why it does not go on at the moment; '' if it does.
    """

    position: Position = field(default_factory=Position)
    searched: int = 0
    matched: int = 0
    changed: int = 0
    refused: int = 0
    note: str = ""

    def to_fields(self) -> dict[str, str | int]:
        """Return what Redis keeps of it."""
        at = self.position
        return {
            "position": f"{at.source} {int(at.has_changed)} {at.cursor or ''}",
            "searched": self.searched,
            "matched": self.matched,
            "changed": self.changed,
            "refused": self.refused,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation.

    Attributes:
        queues: names or patterns of the queues that its author's key is bound to; empty if it is not bound.
        status: `queued`, `running`, `canceling`, or one of `ENDED`.
        actor: id of the key that started it; `none` if nobody is asked who they are.
    """

    id: str
    action: Action
    filter: JobFilter
    dry_run: bool
    queues: tuple[str, ...]
    actor: str
    created_at: str
    status: str = "queued"
    started_at: str | None = None
    ended_at: str | None = None
    progress: Progress = field(default_factory=Progress)

    @property
    def statuses(self) -> tuple[Status, ...]:
        """The statuses of the jobs that it can change."""
        return APPLIES_TO[self.action] if self.filter.status is None else (self.filter.status,)

    def concerns(self, job: JobView) -> bool:
        """Return whether it is to change a job: one that was submitted later, it leaves alone."""
        return (
            job.status in self.statuses
            and self.filter.matches(job)
            and _unix(job.created_at, 0.0) <= _unix(self.created_at, float("inf"))
        )

    def at(self, progress: Progress) -> "Operation":
        """Return it after a step."""
        return replace(self, progress=progress)

    @classmethod
    def from_fields(cls, operation_id: str, fields: Mapping[str, bytes]) -> "Operation | None":
        """Return what Redis holds; None if it cannot be read."""
        request = json_object(fields.get("request"))
        if request is None or request.get("action") not in APPLIES_TO or not isinstance(request.get("filter"), dict):
            return None
        known = {name: request["filter"].get(name) for name in JobFilter.__slots__}
        try:
            status = None if known["status"] is None else Status(known["status"])
            source, has_changed, cursor = text_of(fields.get("position", b"0 0 ")).split(" ", 2)
            position = Position(int(source), cursor or None, has_changed == "1")
        except ValueError:
            return None
        counts = {name: integer_of(fields.get(name)) for name in ("searched", "matched", "changed", "refused")}
        texts = {name: text_of(fields[name]) for name in ("started_at", "ended_at") if name in fields}
        return cls(
            operation_id,
            request["action"],
            JobFilter(**{**known, "status": status}),
            bool(request.get("dry_run")),
            _queues(fields.get("queues")),
            text_of(fields.get("actor", b"none")),
            text_of(fields.get("created_at", b"")),
            text_of(fields.get("status", b"queued")),
            progress=Progress(position, note=text_of(fields.get("note", b"")), **counts),
            **texts,
        )


def request_of(action: str, job_filter: JobFilter, *, dry_run: bool) -> dict[str, Any]:
    """Return what was asked for, as it is stored."""
    given = {name: getattr(job_filter, name) for name in JobFilter.__slots__}
    return {
        "action": action,
        "filter": {name: value for name, value in given.items() if value is not None},
        "dry_run": dry_run,
    }


def _queues(raw: bytes | None) -> tuple[str, ...]:
    names: Sequence[str] = text_of(raw or b"").split("\n")
    return tuple(name for name in names if name)


def _unix(text: str | None, default: float) -> float:
    try:
        return default if text is None else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return default
