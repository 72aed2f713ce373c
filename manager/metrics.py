"""Prometheus metrics of one manager, and of the queue at the moment of the scrape."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from jobqueue.inspection.counters import ShardCounts
from manager.cluster.health import ClusterState

DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Metrics:
    """Counts requests, and jobs in and out.

    All of it happens on the event loop's thread, so plain numbers do, at a fraction of the time of counters with locks.

    Attributes:
        enqueued: jobs that this manager took in.
        pulled: results that it handed out.
        registry: where the other parts of the manager put theirs.
    """

    def __init__(self) -> None:
        self.jobs_submitted = 0
        self.results_pulled = 0
        self._tallies: dict[tuple[str, str, int], _Tally] = {}
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one request."""
        key = (method, route, status)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.seconds += seconds
        tally.by_bucket[bisect_left(DURATION_BUCKETS, seconds)] += 1

    def render(
        self, counts: ShardCounts | None, workers: int, shards_unavailable: int, cluster: ClusterState | None = None
    ) -> bytes:
        """The text that Prometheus reads; without `counts` (Redis is away) what this manager knows by itself.

        Args:
            cluster: where this manager administers one.
        """
        own, queue = CollectorRegistry(), CollectorRegistry()
        own.register(_NodeCollector(self, self._tallies))
        queue.register(_QueueCollector(counts, workers, shards_unavailable))
        if cluster is not None:
            queue.register(_ClusterCollector(cluster))
        return b"".join(map(generate_latest, (self.registry, own, queue)))


class _Tally:
    """Requests of one method, route and status.

    Attributes:
        seconds: that they took together.
        by_bucket: how many took at most as long as each bound of `BUCKETS` and longer than the one before; the last
            number is that of the longer ones.
    """

    __slots__ = ("by_bucket", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.by_bucket = [0] * (len(DURATION_BUCKETS) + 1)


class _NodeCollector(Collector):
    def __init__(self, metrics: Metrics, tallies: dict[tuple[str, str, int], _Tally]) -> None:
        self._metrics = metrics
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("workmanager_http_requests", "Requests", labels=("method", "route", "status"))
        by_route: dict[tuple[str, str], list[_Tally]] = {}
        for (method, route, status), tally in self._tallies.items():
            requests.add_metric((method, route, str(status)), sum(tally.by_bucket))
            by_route.setdefault((method, route), []).append(tally)
        yield requests
        times = HistogramMetricFamily(
            "workmanager_http_request_duration_seconds", "Time to answer", labels=("method", "route")
        )
        bounds = [*map(str, DURATION_BUCKETS), "+Inf"]
        for labels, tallies in by_route.items():
            together = (sum(numbers) for numbers in zip(*(tally.by_bucket for tally in tallies), strict=True))
            buckets = list(zip(bounds, accumulate(together), strict=True))
            times.add_metric(labels, buckets, sum(tally.seconds for tally in tallies))
        yield times
        enqueued = self._metrics.jobs_submitted
        yield CounterMetricFamily("workmanager_jobs_submitted", "Jobs taken in by this manager", value=enqueued)
        pulled = self._metrics.results_pulled
        yield CounterMetricFamily("workmanager_results_pulled", "Results handed out here", value=pulled)


class _QueueCollector(Collector):
    def __init__(self, counts: ShardCounts | None, workers: int, shards_away: int) -> None:
        self._counts = counts
        self._workers = workers
        self._shards_away = shards_away

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("workmanager_redis_up", "Whether Redis answers", value=float(self._counts is not None))
        if self._counts is None:
            return
        yield GaugeMetricFamily("workmanager_shards_unavailable", "Shards that do not answer", value=self._shards_away)
        yield GaugeMetricFamily("workmanager_workers", "Workers", value=self._workers)
        yield GaugeMetricFamily("workmanager_results_waiting", "Results to be pulled", value=self._counts.completed)
        yield GaugeMetricFamily("workmanager_results_leased", "Results to be acknowledged", value=self._counts.pulled)
        jobs = GaugeMetricFamily("workmanager_queue_jobs", "Jobs by queue and status", labels=("queue", "status"))
        oldest = GaugeMetricFamily(
            "workmanager_queue_oldest_job_age_seconds", "Wait of the next in line", labels=("queue",)
        )
        for name, queue in self._counts.queues.items():
            for status in ("queued", "scheduled", "deferred", "started", "finished", "failed", "canceled"):
                jobs.add_metric((name, status), getattr(queue, status))
            oldest.add_metric((name,), queue.oldest_seconds or 0.0)
        yield jobs
        yield oldest
        functions = self._counts.functions
        for what in ("enqueued", "finished", "failed", "stopped"):
            family = CounterMetricFamily(f"workmanager_jobs_{what}", f"Jobs {what}", labels=("function",))
            for name, number in getattr(functions, what).items():
                family.add_metric((name,), number)
            yield family
        seconds = CounterMetricFamily("workmanager_job_run_seconds", "Seconds of work done", labels=("function",))
        for name, value in functions.seconds.items():
            seconds.add_metric((name,), value)
        yield seconds


class _ClusterCollector(Collector):
    def __init__(self, state: ClusterState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        state = self._state
        for name, about, value in (
            ("members_down", "Members of the Redis Cluster that do not answer", state.members_down),
            ("masters_down", "Ranges of slots that no master serves", state.masters_down),
            ("replicas_missing", "Masters without a replica: one more loss loses data", state.replicas_missing),
            (
                "masters_off_preferred_host",
                "Masters served by another host than theirs",
                state.masters_off_preferred_host,
            ),
            (
                "requires_operator",
                "Troubles that nothing but a person can end: see the log",
                len(state.requires_operator),
            ),
        ):
            yield GaugeMetricFamily(f"workmanager_cluster_{name}", about, value=value)
