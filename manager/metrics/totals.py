"""Totals since the queue was created, which never fall.

While a shard is away, its totals are those that it had before: a total that falls looks like a counter that has begun
anew, and one that comes back like as many jobs at once.
"""

from collections.abc import Iterator, Mapping, Sequence

from jobqueue.inspection.counters import ShardCounts
from manager.metrics.exposition import Exposition, labels_text
from manager.metrics.job_times import JobTimesText

SCHEDULE_OUTCOMES = ("fired", "triggered", "skipped", "missed", "late")
"""Labels of `workmanager_schedule_runs`; those that are late are among those fired."""
LOSS_OUTCOMES = ("queued", "failed", "stopped")


class QueueTotals:
    """Remembers what each shard has answered last."""

    def __init__(self) -> None:
        self._counts: dict[int, ShardCounts] = {}
        self._times: dict[int, Mapping[bytes, bytes]] = {}
        self._text = JobTimesText()

    def update(self, counts: Mapping[int, ShardCounts], times: Mapping[int, Mapping[bytes, bytes]]) -> None:
        """Take the answers of those shards that answer, by index."""
        self._counts |= counts
        self._times |= times

    def prepare(self, *, open_metrics: bool) -> Iterator[None]:
        """Do what takes long in `show`, a slice each time."""
        return self._text.prepare(self._by_shard, open_metrics=open_metrics)

    def show(self, shown: Exposition, shards: int) -> None:
        """Add the totals, unless one of so many shards has never answered."""
        if len(self._counts) == shards:
            show_totals(shown, sum(self._counts.values(), ShardCounts()))
        if len(self._times) == shards:
            self._text.show(shown, self._by_shard)

    @property
    def _by_shard(self) -> Sequence[Mapping[bytes, bytes]]:
        return [self._times[index] for index in sorted(self._times)]


def show_totals(shown: Exposition, counts: ShardCounts) -> None:
    """Add those that are kept by function or by outcome."""
    functions, callbacks = counts.functions, counts.callbacks
    for name, event, numbers in (
        ("workmanager_jobs_enqueued", "enqueued", functions.enqueued),
        ("workmanager_jobs_finished", "finished", functions.finished),
        ("workmanager_jobs_failed", "failed", functions.failed),
        ("workmanager_jobs_stopped", "stopped", functions.stopped),
    ):
        samples = ((labels_text(function=function), number) for function, number in numbers.items())
        shown.counters(name, f"Jobs {event}", samples)
    shown.counters(
        "workmanager_job_run_seconds",
        "Run time of ended jobs",
        ((labels_text(function=function), seconds) for function, seconds in functions.seconds.items()),
    )
    shown.counters(
        "workmanager_jobs_lost",
        "Runs that were lost with their worker, by what became of the job",
        ((labels_text(outcome=outcome), counts.losses.get(outcome, 0)) for outcome in LOSS_OUTCOMES),
    )
    shown.counters(
        "workmanager_schedule_runs",
        "What schedules have done",
        ((labels_text(outcome=outcome), counts.schedule_runs.get(outcome, 0)) for outcome in SCHEDULE_OUTCOMES),
    )
    attempts = (("delivered", callbacks.delivered), ("failed", callbacks.failed), ("dead", callbacks.dead))
    shown.counters(
        "workmanager_callback_attempts",
        "Attempts to deliver callbacks",
        ((labels_text(outcome=outcome), number) for outcome, number in attempts),
    )
    shown.counter(
        "workmanager_callbacks_dropped", "Callbacks that were not kept because too many waited", callbacks.dropped
    )
