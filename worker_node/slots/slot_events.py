"""What a slot says: which job runs in it, and what has come of those that it was given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobqueue.lifecycle.finish import Outcome
from jobqueue.model import ClaimedJob

if TYPE_CHECKING:
    from worker_node.slots.slot import Slot


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs at this moment. `began` is by the event loop's clock, in seconds."""

    sequence: int
    job: ClaimedJob
    began: float


@dataclass(frozen=True, slots=True)
class SlotEvents:
    """What a slot tells its agent.

    Attributes:
        ended: jobs that came to an end.
        returned: jobs that are not going to run here; nothing is recorded of them.
        asked: the running job asks for its own record: (slot, job, verb, field, value).
        room: there may be room for jobs again.
    """

    ended: Callable[[Sequence[Outcome]], None]
    returned: Callable[[Sequence[ClaimedJob]], None]
    asked: Callable[[Slot, ClaimedJob, str, str, bytes], None]
    room: Callable[[], None]
