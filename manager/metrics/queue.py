"""The state of the whole queue at this moment, which one manager tells."""

from collections.abc import Collection

from jobqueue.inspection.counters import QueueCounts, ShardCounts
from manager.metrics.exposition import Exposition, labels_text


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
    """Add what is known of each queue."""
    names = sorted({*counts.queues, *counts.paused})
    labels = {queue: labels_text(queue=queue) for queue in names}
    shown.begin("workmanager_queue_jobs", "gauge", "Jobs by queue and status")
    shown.add(_jobs_of(labels[queue], numbers) for queue, numbers in counts.queues.items())
    shown.gauges(
        "workmanager_queue_runnable_limited_jobs",
        "About how many of the deferred jobs could run now under their limits",
        ((labels[queue], numbers.limited) for queue, numbers in counts.queues.items()),
    )
    shown.gauges(
        "workmanager_queue_oldest_job_age_seconds",
        "Waiting time of the next job",
        ((labels[queue], numbers.oldest_seconds or 0.0) for queue, numbers in counts.queues.items()),
    )
    shown.gauges(
        "workmanager_queue_served",
        "Whether a worker serves the queue",
        ((labels[queue], queue not in unserved) for queue in names),
    )
    shown.gauges(
        "workmanager_queue_paused",
        "Whether the queue is paused",
        ((labels[queue], queue in counts.paused) for queue in names),
    )


def _jobs_of(labels: str, jobs: QueueCounts) -> str:
    """Return the lines of one queue, in one piece: there can be thousands."""
    start = f'workmanager_queue_jobs{labels[:-1]},status="'
    return (
        f'{start}queued"}} {jobs.queued}.0\n{start}scheduled"}} {jobs.scheduled}.0\n'
        f'{start}deferred"}} {jobs.deferred}.0\n{start}started"}} {jobs.started}.0\n'
        f'{start}finished"}} {jobs.finished}.0\n{start}failed"}} {jobs.failed}.0\n'
        f'{start}canceled"}} {jobs.canceled}.0\n{start}ready_to_enqueue"}} {jobs.ready_to_enqueue}.0\n'
    )
