"""The rows of the page of queues."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue.inspection.counters import QueueCounts
from jobqueue.model import ALL_QUEUES, Status
from manager.api_keys.caller import Caller
from manager.dashboard.sampler import Sample

MAX_ROWS = 100


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue.

    Attributes:
        state: paused, unserved or served.
        paused_since: None if it is not paused.
        numbers: jobs by status, in the order of the columns.
    """

    name: str
    counts: QueueCounts
    state: str
    paused_since: str | None
    served_by: str

    @property
    def numbers(self) -> Sequence[tuple[Status, int]]:
        counts = self.counts
        return (
            (Status.QUEUED, counts.queued),
            (Status.STARTED, counts.started),
            (Status.SCHEDULED, counts.scheduled),
            (Status.DEFERRED, counts.deferred),
            (Status.FAILED, counts.failed),
            (Status.FINISHED, counts.finished),
        )


@dataclass(frozen=True, slots=True)
class QueuesPage:
    """The queues that are shown, by name; how many there are; and what their names must have, if that is asked for."""

    rows: Sequence[QueueRow]
    total: int
    part: str


def queues_page(sample: Sample, caller: Caller, part: str = "") -> QueuesPage:
    """Return the queues that a caller sees. Of more than `MAX_ROWS`, those in which something waits or has failed."""
    rows = [row for row in _queue_rows(sample, caller) if part.lower() in row.name.lower()]
    shown = sorted(rows, key=_needs_no_look)[:MAX_ROWS] if len(rows) > MAX_ROWS else rows
    return QueuesPage(sorted(shown, key=lambda row: row.name), len(rows), part)


def _needs_no_look(row: QueueRow) -> tuple[bool, int]:
    counts = row.counts
    return row.state == "served" or not counts.queued, -(counts.queued + counts.started + counts.failed)


def _queue_rows(sample: Sample, caller: Caller) -> list[QueueRow]:
    counts = sample.counts.only(caller.sees) if caller.is_bound else sample.counts
    # A queue may have been paused before it has ever had a job.
    workers = Counter(queue for worker in sample.workers for queue in set(worker.queues))
    names = sorted({*counts.queues, *counts.paused})
    return [_row(name, sample, counts.queues.get(name), workers[name] + workers[ALL_QUEUES[0]]) for name in names]


def _row(name: str, sample: Sample, counts: QueueCounts | None, workers: int) -> QueueRow:
    paused_since = sample.counts.paused.get(name)
    state = "paused" if paused_since is not None else "unserved" if name in sample.unserved else "served"
    if workers:
        served_by = f"{workers:,} worker{'s' if workers > 1 else ''}"
    else:
        served_by = "nobody" if name in sample.unserved else "workers that the scaler starts"
    return QueueRow(name, counts or QueueCounts(), state, paused_since, served_by)
