"""Prometheus metrics: this manager's own counters, and the state of the queue and the cluster at the scrape.

Hot path (`Metrics.observe`): see benchmarks/README.md#http_enqueue.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from jobqueue.inspection.counters import CallbackCounts, ShardCounts
from manager.cluster.health import ClusterState

DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds of the request duration histogram, in seconds."""

SCHEDULE_OUTCOMES = ("fired", "triggered", "skipped", "missed", "late")
"""Labels of `workmanager_schedule_runs`; those that are late are among those fired."""


@dataclass(frozen=True, slots=True)
class RedisTroubles:
    """What is wrong with the Redis servers.

    Attributes:
        servers_refused: servers that must be members of a cluster, and are not.
        files_unsound: servers that may not start again from their append-only file.
        shards_moving: shards that are being moved to another server.
    """

    servers_refused: int = 0
    files_unsound: int = 0
    shards_moving: int = 0


class Metrics:
    """Counters of this manager's requests, submitted jobs and pulled results.

    They are changed only on the event loop's thread, so plain numbers do. prometheus_client's counters, which lock,
    take many times as long.

    Attributes:
        jobs_submitted: new jobs that this manager enqueued.
        results_pulled: results that this manager handed out.
        registry: for the metrics of other parts of the manager.
    """

    def __init__(self) -> None:
        self.jobs_submitted = 0
        self.results_pulled = 0
        self._tallies: dict[tuple[str, str, int], _Tally] = {}
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (method, route, status)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.seconds += seconds
        tally.by_bucket[bisect_left(DURATION_BUCKETS, seconds)] += 1

    def render(
        self,
        counts: ShardCounts | None,
        workers: int,
        shards_unavailable: int,
        cluster: ClusterState | None = None,
        troubles: RedisTroubles | None = None,
        unserved: Collection[str] = (),
    ) -> bytes:
        """Return all metrics in Prometheus' text format.

        Args:
            counts: the queue's counts; None if Redis does not answer, which leaves the queue's metrics out.
            cluster: the Redis Cluster that this manager administers, if it does.
            troubles: of the Redis servers.
            unserved: queues that no worker serves.
        """
        own, queue = CollectorRegistry(), CollectorRegistry()
        own.register(_ManagerCollector(self, self._tallies))
        queue.register(_QueueCollector(counts, workers, shards_unavailable, troubles or RedisTroubles(), unserved))
        if cluster is not None:
            queue.register(_ClusterCollector(cluster))
        return b"".join(map(generate_latest, (self.registry, own, queue)))

    @staticmethod
    def render_queues(counts: ShardCounts, unserved: Collection[str]) -> bytes:
        """Return the metrics of these queues alone, for a key that is bound to them."""
        registry = CollectorRegistry()
        registry.register(_BoundCollector(counts, unserved))
        return generate_latest(registry)


class _Tally:
    """Requests of one method, route and status.

    Attributes:
        seconds: total duration.
        by_bucket: number of requests per bucket of `DURATION_BUCKETS`, not cumulated; the last number counts those
            beyond the last bound.
    """

    __slots__ = ("by_bucket", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.by_bucket = [0] * (len(DURATION_BUCKETS) + 1)


class _ManagerCollector(Collector):
    def __init__(self, metrics: Metrics, tallies: dict[tuple[str, str, int], _Tally]) -> None:
        self._metrics = metrics
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "workmanager_http_requests", "HTTP requests", labels=("method", "route", "status")
        )
        by_route: dict[tuple[str, str], list[_Tally]] = {}
        for (method, route, status), tally in self._tallies.items():
            requests.add_metric((method, route, str(status)), sum(tally.by_bucket))
            by_route.setdefault((method, route), []).append(tally)
        yield requests
        durations = HistogramMetricFamily(
            "workmanager_http_request_duration_seconds", "Request duration", labels=("method", "route")
        )
        bounds = [*map(str, DURATION_BUCKETS), "+Inf"]
        for labels, tallies in by_route.items():
            totals = (sum(numbers) for numbers in zip(*(tally.by_bucket for tally in tallies), strict=True))
            buckets = list(zip(bounds, accumulate(totals), strict=True))
            durations.add_metric(labels, buckets, sum(tally.seconds for tally in tallies))
        yield durations
        submitted = self._metrics.jobs_submitted
        yield CounterMetricFamily("workmanager_jobs_submitted", "New jobs submitted to this manager", value=submitted)
        pulled = self._metrics.results_pulled
        yield CounterMetricFamily("workmanager_results_pulled", "Results pulled from this manager", value=pulled)


class _BoundCollector(Collector):
    def __init__(self, counts: ShardCounts, unserved: Collection[str]) -> None:
        self._counts = counts
        self._unserved = unserved

    def collect(self) -> Iterator[Metric]:
        return _queue_families(self._counts, self._unserved)


class _QueueCollector(Collector):
    def __init__(
        self,
        counts: ShardCounts | None,
        workers: int,
        shards_unavailable: int,
        troubles: RedisTroubles,
        unserved: Collection[str],
    ) -> None:
        self._troubles = troubles
        self._unserved = unserved
        self._counts = counts
        self._workers = workers
        self._shards_unavailable = shards_unavailable

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("workmanager_redis_up", "Whether Redis answers", value=float(self._counts is not None))
        yield GaugeMetricFamily(
            "workmanager_redis_servers_refused",
            "Redis servers that must be members of the cluster, and are not: see the log",
            value=self._troubles.servers_refused,
        )
        yield GaugeMetricFamily(
            "workmanager_redis_files_unsound",
            "Redis servers that may not start again from their append-only file: see the log",
            value=self._troubles.files_unsound,
        )
        if self._counts is None:
            return
        yield GaugeMetricFamily(
            "workmanager_shards_unavailable", "Shards that do not answer", value=self._shards_unavailable
        )
        yield GaugeMetricFamily(
            "workmanager_shards_moving",
            "Shards that take no commands while they are moved to another Redis server",
            value=self._troubles.shards_moving,
        )
        yield GaugeMetricFamily("workmanager_workers", "Registered workers", value=self._workers)
        yield GaugeMetricFamily(
            "workmanager_results_waiting", "Results waiting to be pulled", value=self._counts.completed
        )
        yield GaugeMetricFamily(
            "workmanager_results_leased", "Pulled results waiting to be acknowledged", value=self._counts.results_leased
        )
        yield from _queue_families(self._counts, self._unserved)
        yield GaugeMetricFamily("workmanager_schedules", "Schedules", value=self._counts.schedules)
        runs = CounterMetricFamily("workmanager_schedule_runs", "What schedules have done", labels=("outcome",))
        for outcome in SCHEDULE_OUTCOMES:
            runs.add_metric((outcome,), self._counts.schedule_runs.get(outcome, 0))
        yield runs
        functions = self._counts.functions
        for event in ("enqueued", "finished", "failed", "stopped"):
            family = CounterMetricFamily(f"workmanager_jobs_{event}", f"Jobs {event}", labels=("function",))
            for name, number in getattr(functions, event).items():
                family.add_metric((name,), number)
            yield family
        yield from _callback_families(self._counts.callbacks)
        seconds = CounterMetricFamily("workmanager_job_run_seconds", "Run time of ended jobs", labels=("function",))
        for name, value in functions.seconds.items():
            seconds.add_metric((name,), value)
        yield seconds


def _callback_families(counts: CallbackCounts) -> Iterator[Metric]:
    callbacks = GaugeMetricFamily(
        "workmanager_callbacks", "Callbacks to be delivered, and those given up in the last 30 days", labels=("status",)
    )
    callbacks.add_metric(("waiting",), counts.waiting)
    callbacks.add_metric(("dead",), counts.given_up)
    yield callbacks
    yield GaugeMetricFamily(
        "workmanager_callback_oldest_age_seconds",
        "How long ago the event was that has waited longest to be delivered",
        value=counts.oldest_seconds or 0.0,
    )
    attempts = CounterMetricFamily(
        "workmanager_callback_attempts", "Attempts to deliver callbacks", labels=("outcome",)
    )
    for outcome in ("delivered", "failed", "dead"):
        attempts.add_metric((outcome,), getattr(counts, outcome))
    yield attempts
    yield CounterMetricFamily(
        "workmanager_callbacks_dropped", "Callbacks that were not kept because too many waited", value=counts.dropped
    )


def _queue_families(counts: ShardCounts, unserved: Collection[str]) -> Iterator[Metric]:
    """Yield what is known of each queue."""
    jobs = GaugeMetricFamily("workmanager_queue_jobs", "Jobs by queue and status", labels=("queue", "status"))
    oldest = GaugeMetricFamily(
        "workmanager_queue_oldest_job_age_seconds", "Waiting time of the next job", labels=("queue",)
    )
    for name, queue in counts.queues.items():
        for status in (
            "queued",
            "scheduled",
            "deferred",
            "started",
            "finished",
            "failed",
            "canceled",
            "ready_to_enqueue",
        ):
            jobs.add_metric((name, status), getattr(queue, status))
        oldest.add_metric((name,), queue.oldest_seconds or 0.0)
    yield jobs
    yield oldest
    served = GaugeMetricFamily("workmanager_queue_served", "Whether a worker serves the queue", labels=("queue",))
    paused = GaugeMetricFamily("workmanager_queue_paused", "Whether the queue is paused", labels=("queue",))
    for name in sorted({*counts.queues, *counts.paused}):
        served.add_metric((name,), float(name not in unserved))
        paused.add_metric((name,), float(name in counts.paused))
    yield served
    yield paused


class _ClusterCollector(Collector):
    def __init__(self, state: ClusterState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        state = self._state
        for name, description, value in (
            ("members_down", "Members of the Redis Cluster that do not answer", state.members_down),
            ("masters_down", "Slot ranges that no master serves", state.masters_down),
            ("replicas_missing", "Masters without a replica: another failure would lose data", state.replicas_missing),
            (
                "masters_off_preferred_host",
                "Masters that run on another host than their preferred one",
                state.masters_off_preferred_host,
            ),
            (
                "requires_operator",
                "Problems that an operator must solve: see the log",
                len(state.requires_operator),
            ),
        ):
            yield GaugeMetricFamily(f"workmanager_cluster_{name}", description, value=value)
