"""What a slot tells its owner: which job is running, and what became of the jobs it was given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.finish import Outcome
from jobqueue.lifecycle.notes import NewLine

Reply = Callable[[bool, Any], None]
"""Answer a running job's query: (whether it succeeded, the content or the error's text)."""

Queried = Callable[[Reply, ClaimedJob, str, str, bytes], None]
"""The running job reads or writes its own record. Arguments: reply, job, operation (see `Query`), field,
value."""


Printed = Callable[[ClaimedJob, Sequence[NewLine]], None]


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that is running at this moment. `started_at` is in seconds of the monotonic clock."""

    sequence: int
    job: ClaimedJob
    started_at: float


@dataclass(frozen=True, slots=True)
class SlotEvents:
    """Callbacks of a slot.

    Attributes:
        ended: jobs ended, with these outcomes.
        released: these jobs left the slot without an outcome. The receiver releases, records or drops them.
        suspected: this job left the slot without an outcome, as the first of those that an executor had when it ended
            without a job to blame.
        printed: lines that this job has printed. If it has ended, that is told afterwards.
        queried: the running job reads or writes its own record.
        capacity_freed: the slot may be able to take jobs again.
    """

    ended: Callable[[Sequence[Outcome]], None]
    released: Callable[[Sequence[ClaimedJob]], None]
    suspected: Callable[[ClaimedJob], None]
    printed: Printed
    queried: Queried
    capacity_freed: Callable[[], None]
