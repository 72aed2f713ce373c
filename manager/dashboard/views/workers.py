"""The rows of the page of workers."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue.workers.registry import WorkerView
from manager.dashboard.sampler import Sample

MAX_ROWS = 100
SILENT_SECONDS = 20.0
"""A worker without a heartbeat for this long has lost its leases, or soon will."""


@dataclass(frozen=True, slots=True)
class WorkersPage:
    """The workers that are shown, those first that need a look, and how many there are."""

    rows: Sequence[WorkerView]
    total: int
    silent: int


def workers_page(sample: Sample) -> WorkersPage:
    """Return what the page shows."""
    ordered = sorted(sample.workers, key=lambda worker: (not needs_look(worker), worker.name))
    return WorkersPage(ordered[:MAX_ROWS], len(ordered), sum(map(is_silent, ordered)))


def is_silent(worker: WorkerView) -> bool:
    """Return whether it has not been heard of for too long."""
    seconds = worker.seconds_since_heartbeat
    return seconds is not None and seconds > SILENT_SECONDS


def needs_look(worker: WorkerView) -> bool:
    """Return whether something is wrong with it."""
    return is_silent(worker) or bool(worker.problems or worker.interruption) or worker.state == "unreadable"
