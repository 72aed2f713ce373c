"""What a slot says: which job runs in it, and what has come of those that it was given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jobqueue.lifecycle.finish import Outcome
from jobqueue.model import ClaimedJob

Reply = Callable[[bool, Any], None]
"""Answer a running job's query: (whether it succeeded, the content or the error's text)."""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that runs at this moment. `began` is by the event loop's clock, in seconds."""

    sequence: int
    job: ClaimedJob
    started_at: float


@dataclass(frozen=True, slots=True)
class SlotEvents:
    """What a slot tells its agent.

    Attributes:
        ended: jobs that came to an end.
        returned: jobs that are not going to run here; nothing is recorded of them.
        asked: the running job asks for its own record: (reply, job, verb, field, value).
        room: there may be room for jobs again.
    """

    ended: Callable[[Sequence[Outcome]], None]
    released: Callable[[Sequence[ClaimedJob]], None]
    queried: Callable[[Reply, ClaimedJob, str, str, bytes], None]
    capacity_freed: Callable[[], None]
