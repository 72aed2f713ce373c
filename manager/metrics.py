"""Prometheus metrics of one manager, and of the queue at the moment of the scrape."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jobqueue.counters import ShardCounts

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Metrics:
    """Counts requests, and jobs in and out, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "workmanager_http_requests", "Requests", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "workmanager_http_request_seconds",
            "Time to answer",
            ("method", "route"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.enqueued = Counter("workmanager_jobs_enqueued", "Jobs taken in by this manager", registry=self._registry)
        self.pulled = Counter("workmanager_results_pulled", "Results handed out here", registry=self._registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request."""
        key = (method, route, status)
        if key not in self._children:
            self._children[key] = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(method, route),
            )
        requests, histogram = self._children[key]
        requests.inc()
        histogram.observe(seconds)

    def render(self, counts: ShardCounts | None, workers: int, shards_away: int) -> bytes:
        """The text that Prometheus reads; without `counts` (Redis is away) what this manager knows by itself."""
        queue = CollectorRegistry()
        queue.register(_QueueCollector(counts, workers, shards_away))
        return generate_latest(self._registry) + generate_latest(queue)


class _QueueCollector(Collector):
    def __init__(self, counts: ShardCounts | None, workers: int, shards_away: int) -> None:
        self._counts = counts
        self._workers = workers
        self._shards_away = shards_away

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("workmanager_queue_up", "Whether Redis answers", value=float(self._counts is not None))
        if self._counts is None:
            return
        yield GaugeMetricFamily("workmanager_shards_away", "Shards that do not answer", value=self._shards_away)
        yield GaugeMetricFamily("workmanager_workers", "Workers", value=self._workers)
        yield GaugeMetricFamily("workmanager_results_waiting", "Results to be pulled", value=self._counts.completed)
        yield GaugeMetricFamily("workmanager_results_leased", "Results to be acknowledged", value=self._counts.pulled)
        jobs = GaugeMetricFamily("workmanager_queue_jobs", "Jobs by queue and status", labels=("queue", "status"))
        oldest = GaugeMetricFamily("workmanager_queue_oldest_seconds", "Wait of the next in line", labels=("queue",))
        for name, queue in self._counts.queues.items():
            for status in ("queued", "scheduled", "deferred", "started", "finished", "failed", "canceled"):
                jobs.add_metric((name, status), getattr(queue, status))
            oldest.add_metric((name,), queue.oldest_seconds or 0.0)
        yield jobs
        yield oldest
        functions = self._counts.functions
        for what in ("enqueued", "finished", "failed", "stopped"):
            family = CounterMetricFamily(f"workmanager_functions_{what}", f"Jobs {what}", labels=("function",))
            for name, number in getattr(functions, what).items():
                family.add_metric((name,), number)
            yield family
        seconds = CounterMetricFamily("workmanager_functions_seconds", "Seconds of work done", labels=("function",))
        for name, value in functions.seconds.items():
            seconds.add_metric((name,), value)
        yield seconds
