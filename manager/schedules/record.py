"""A schedule as it is stored: its definition, and how far it has come. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args
from zlib import crc32

from jobqueue.lifecycle.enqueue import script_arguments
from jobqueue.model import Dependency, Limit, NewJob
from jobqueue.stored_values import integer_of, number_of
from manager.schedules.timing import Timing

Overlap = Literal["skip", "queue", "allow", "replace"]
CatchUpRuns = Literal["latest", "all"]


@dataclass(frozen=True, slots=True)
class CatchUp:
    """What happens to instants at which nothing could be run.

    Attributes:
        within_seconds: how late a run may be; what is later is missed.
        runs: `latest` runs only the last one of them, `all` runs each.
    """

    within_seconds: int
    runs: CatchUpRuns


@dataclass(frozen=True, slots=True)
class Schedule:
    """The definition of a schedule.

    Attributes:
        overlap: what happens while the run before has not ended: `skip` leaves the new one out, `queue` lets it wait,
            `allow` runs both, `replace` cancels the old one first.
        jitter_seconds: every run is later by the same part of this, which depends on the name.
        max_runs: it ends after so many; None for no end.
        job: as it was submitted, a body of `POST /jobs`.
        template: what is enqueued; its id is empty.
    """

    name: str
    timing: Timing
    overlap: Overlap
    catch_up: CatchUp
    jitter_seconds: int
    max_runs: int | None
    job: Mapping[str, Any]
    template: NewJob

    @property
    def offset_seconds(self) -> float:
        """By how much runs are later than their instants, in whole milliseconds."""
        if not self.jitter_seconds:
            return 0.0
        return crc32(self.name.encode()) % (self.jitter_seconds * 1000 + 1) / 1000

    def next_after(self, instant: float, runs: int) -> float | None:
        """Return the instant after another one; None if there is none, or the schedule has had all its runs."""
        return None if self.is_over(runs) else self.timing.next_after(instant)

    def is_over(self, runs: int) -> bool:
        """Return whether it has had all its runs."""
        return self.max_runs is not None and runs >= self.max_runs

    def noted(self) -> dict[str, Any]:
        """Return what the audit stream notes of it: of the job's arguments, which may be secret, a digest alone."""
        digest = hashlib.sha256(repr(self.template).encode()).hexdigest()
        job = {"function": self.template.function, "queue": self.template.queue, "digest": digest[:12]}
        return self._fields() | {"job": job}

    def to_json(self) -> str:
        """Return the definition as it is stored."""
        template = self.template._asdict()
        template["data"] = self.template.data.decode()
        template["meta"] = None if self.template.meta is None else self.template.meta.decode()
        return json.dumps(self._fields() | {"template": template}, separators=(",", ":"), sort_keys=True)

    def _fields(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name not in ("name", "template")}

    @classmethod
    def from_json(cls, name: str, text: bytes) -> "Schedule":
        """Parse a stored definition.

        Raises:
            ValueError: it is none.
        """
        try:
            value = json.loads(text)
            timing = Timing(**value["timing"])
            # What cannot be read is found now, and not by whoever asks for an instant.
            timing.check()
            if value["overlap"] not in get_args(Overlap) or not isinstance(value["job"], dict):
                raise ValueError("overlap or job")
            return cls(
                name=name,
                timing=timing,
                overlap=value["overlap"],
                catch_up=CatchUp(int(value["catch_up"]["within_seconds"]), value["catch_up"]["runs"]),
                jitter_seconds=int(value["jitter_seconds"]),
                max_runs=None if value["max_runs"] is None else int(value["max_runs"]),
                job=value["job"],
                template=_template(value["template"]),
            )
        except Exception as error:  # Whatever another program has written there.
            raise ValueError(f"the record of schedule {name!r} cannot be read: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when (Unix time), by whom and why a schedule is paused."""

    at: float
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a schedule has come. Times are Unix times.

    Attributes:
        revision: of the definition and the pause; each change makes another one.
        next: the next instant; None if there is none any more.
        last: the last instant that was run or left out: nothing up to it ever runs again.
        runs: how many there were.
        missed: how many instants were missed, at `missed_at` for the last time.
        held: runs that are due wait for the run before to end.
        pause: None if it is not paused.
    """

    revision: str
    next: float | None
    last: float | None = None
    runs: int = 0
    missed: int = 0
    missed_at: float | None = None
    held: bool = False
    pause: Pause | None = None
    created_at: float = 0.0
    changed_at: float = 0.0

    @classmethod
    def from_fields(cls, fields: Mapping[str, bytes]) -> "Progress":
        """Read it from the fields of the hash."""
        return cls(
            revision=fields.get("revision", b"").decode(errors="replace"),
            next=number_of(fields.get("next")),
            last=number_of(fields.get("last")),
            runs=integer_of(fields.get("runs")),
            missed=integer_of(fields.get("missed")),
            missed_at=number_of(fields.get("missed_at")),
            held=fields.get("held") == b"1",
            pause=_pause(fields.get("paused")),
            created_at=number_of(fields.get("created_at")) or 0.0,
            changed_at=number_of(fields.get("changed_at")) or 0.0,
        )


def pause_json(pause: Pause) -> str:
    """Return a pause as it is stored."""
    return json.dumps(asdict(pause))


def _pause(text: bytes | None) -> Pause | None:
    if not text:
        return None
    try:
        value = json.loads(text)
        return Pause(float(value["at"]), str(value["by"]), str(value["note"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Pause(0.0, "", "")  # Something says that it is paused.


def _template(fields: Mapping[str, Any]) -> NewJob:
    known = {name: value for name, value in fields.items() if name in NewJob._fields}
    known["data"] = known["data"].encode()
    if known.get("meta") is not None:
        known["meta"] = known["meta"].encode()
    known["retry_intervals"] = tuple(known["retry_intervals"])
    if known.get("depends_on") is not None:
        known["depends_on"] = tuple(Dependency(*each) for each in known["depends_on"])
    known["limits"] = tuple(Limit(*each) for each in known.get("limits", ()))
    template = NewJob(**known)
    _check_runnable(template)
    return template


def _check_runnable(template: NewJob) -> None:
    """Check that Redis can write the job: else no schedule that is due beside it would run.

    Raises:
        ValueError, TypeError: it cannot.
    """
    if any(each is not None for each in (template.unique_key, template.due_at, template.depends_on)):
        raise ValueError("the job of a schedule has a unique key, a time or parents")
    if template.labels is not None and not all(isinstance(each, str) for each in json.loads(template.labels).values()):
        raise TypeError(f"labels {template.labels!r} in the job")
    for argument in script_arguments([template], 0.0):
        if type(argument) not in (str, bytes, int, float):
            raise TypeError(f"{argument!r} in the job")
        if isinstance(argument, str):
            argument.encode()
