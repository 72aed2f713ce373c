"""The state of the whole queue at this moment, which one manager tells."""

from collections.abc import Collection
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from jobqueue.inspection.counters import ShardCounts
from manager.metrics.exposition import Exposition, labels_text

_STATUSES = ("queued", "scheduled", "deferred", "started", "finished", "failed", "canceled", "ready_to_enqueue")
_by_status = attrgetter(*_STATUSES)
"""Returns the numbers of a queue's jobs."""


def show_queue(shown: Exposition, counts: ShardCounts, workers: int, unserved: Collection[str]) -> None:
    """Add all that can rise and fall.

    Args:
        unserved: queues that no worker serves.
    """
    shown.gauge("workmanager_workers", "Registered workers", workers)
    shown.gauge("workmanager_results_waiting", "Results waiting to be pulled", counts.completed)
    shown.gauge("workmanager_results_leased", "Pulled results waiting to be acknowledged", counts.results_leased)
    show_queues(shown, counts, unserved)
    shown.gauge("workmanager_schedules", "Schedules", counts.schedules)
    shown.gauge("workmanager_limits", "Keys of limits under which jobs have run lately", counts.limits)
    shown.gauges(
        "workmanager_callbacks",
        "Callbacks to be delivered, and those given up in the last 30 days",
        [
            (labels_text(status="waiting"), counts.callbacks.waiting),
            (labels_text(status="dead"), counts.callbacks.given_up),
        ],
    )
    shown.gauge(
        "workmanager_callback_oldest_age_seconds",
        "How long ago the event was that has waited longest to be delivered",
        counts.callbacks.oldest_seconds or 0.0,
    )


def show_queues(shown: Exposition, counts: ShardCounts, unserved: Collection[str]) -> None:
    """Add what is known of each queue. There can be thousands: each line is written with a template that is kept."""
    lines = {queue: _lines(queue) for queue in sorted({*counts.queues, *counts.paused})}
    each = [(lines[queue], numbers) for queue, numbers in counts.queues.items()]
    shown.begin("workmanager_queue_jobs", "gauge", "Jobs by queue and status")
    shown.add([line.jobs % _by_status(numbers) for line, numbers in each])
    shown.begin(
        "workmanager_queue_runnable_limited_jobs",
        "gauge",
        "About how many of the deferred jobs could run now under their limits",
    )
    shown.add([line.limited % numbers.limited for line, numbers in each])
    shown.begin("workmanager_queue_oldest_job_age_seconds", "gauge", "Waiting time of the next job")
    shown.add([line.age % (numbers.oldest_seconds or 0.0) for line, numbers in each])
    shown.begin("workmanager_queue_served", "gauge", "Whether a worker serves the queue")
    shown.add([line.served[queue not in unserved] for queue, line in lines.items()])
    shown.begin("workmanager_queue_paused", "gauge", "Whether the queue is paused")
    shown.add([line.paused[queue in counts.paused] for queue, line in lines.items()])


class _Lines(NamedTuple):
    """A queue's lines, but for their numbers; those for no and for yes, where there are no others."""

    jobs: bytes
    limited: bytes
    age: bytes
    served: tuple[bytes, bytes]
    paused: tuple[bytes, bytes]


@lru_cache(maxsize=5000)
def _lines(queue: str) -> _Lines:
    plain = labels_text(queue=queue)
    labels = plain.replace("%", "%%")
    return _Lines(
        "".join(f'workmanager_queue_jobs{labels[:-1]},status="{status}"}} %d.0\n' for status in _STATUSES).encode(),
        f"workmanager_queue_runnable_limited_jobs{labels} %d.0\n".encode(),
        f"workmanager_queue_oldest_job_age_seconds{labels} %.3f\n".encode(),
        (f"workmanager_queue_served{plain} 0.0\n".encode(), f"workmanager_queue_served{plain} 1.0\n".encode()),
        (f"workmanager_queue_paused{plain} 0.0\n".encode(), f"workmanager_queue_paused{plain} 1.0\n".encode()),
    )
