"""The numbers of the overview."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue.inspection.counters import QueueCounts
from jobqueue.workers.registry import WorkerView
from manager.api_keys.caller import Caller
from manager.dashboard.charts import Chart, chart, rate_chart
from manager.dashboard.sampler import Sample
from manager.routes.status import works_for


@dataclass(frozen=True, slots=True)
class OverviewView:
    """What the overview shows.

    Attributes:
        oldest_seconds, oldest_queue: the longest wait of all queues; None if no job waits.
        results_waiting, enqueued_per_second, finished_per_second: None for callers that see only some queues, because
            they are not counted by queue.
        cost_per_hour: of the instances; None if their price is not configured.
        drain_seconds: after which all that waits now is done at this rate; None if nothing waits or nothing is done.
        charts: title, line and unit.
    """

    total: QueueCounts
    oldest_seconds: float | None
    oldest_queue: str | None
    results_waiting: int | None
    workers: int
    slots_text: str
    cost_per_hour: float | None
    enqueued_per_second: float | None
    finished_per_second: float | None
    drain_seconds: float | None
    charts: Sequence[tuple[str, Chart, str]]


def overview_view(sample: Sample, caller: Caller, price_per_hour: float) -> OverviewView:
    """Return the numbers that a caller sees."""
    counts = sample.counts.only(caller.sees) if caller.is_bound else sample.counts
    workers = [worker for worker in sample.workers if not caller.is_bound or works_for(worker, caller)]
    waits = [(queue.oldest_seconds, name) for name, queue in counts.queues.items() if queue.oldest_seconds is not None]
    oldest_seconds, oldest_queue = max(waits, default=(None, None))
    enqueued, finished = None, None
    charts: list[tuple[str, Chart, str]] = []
    if not caller.is_bound:
        enqueued = rate_chart(sample.history, lambda point: point.enqueued)
        finished = rate_chart(sample.history, lambda point: point.finished)
        charts = [
            ("Jobs waiting", chart(sample.history, lambda point: point.waiting), ""),
            ("Jobs running", chart(sample.history, lambda point: point.running), ""),
            ("Enqueued", enqueued, " per second"),
            ("Finished", finished, " per second"),
        ]
    cost = None
    if price_per_hour and sample.scaler is not None and not caller.is_bound:
        cost = price_per_hour * len(sample.scaler.instances)
    return OverviewView(
        total=counts.total,
        oldest_seconds=oldest_seconds,
        oldest_queue=oldest_queue,
        results_waiting=None if caller.is_bound else counts.completed,
        workers=len(workers),
        slots_text=_slots_text(workers),
        cost_per_hour=cost,
        enqueued_per_second=None if enqueued is None else enqueued.now,
        finished_per_second=None if finished is None else finished.now,
        drain_seconds=None if finished is None else _drain_seconds(counts.total.queued, finished.now),
        charts=charts,
    )


def _slots_text(workers: Sequence[WorkerView]) -> str:
    slots = sum(worker.slots for worker in workers)
    return f"{sum(worker.running for worker in workers):,} of {slots:,} slots busy" if workers else "none is registered"


def _drain_seconds(queued: int, per_second: float) -> float | None:
    return queued / per_second if queued and per_second > 0 else None
