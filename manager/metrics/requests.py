"""What this manager does: requests, submitted jobs, pulled results, its process and its scaler.

Hot path (`Metrics.observe`): see benchmarks/README.md#http_enqueue.
"""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from manager.metrics.counted import Counted, ProcessFamilies, Tally
from manager.metrics.exposition import Exposition, HistogramLines, labels_text
from processes.log_collector import LogCollector

DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds of the request duration histogram, in seconds."""

_COUNTERS = {
    "workmanager_jobs_submitted": "New jobs submitted to this manager",
    "workmanager_results_pulled": "Results pulled from this manager",
    "workmanager_log_lines_dropped": "Log lines that the log collector did not get",
    "workmanager_redis_round_trips": "Calls to Redis that were answered",
    "workmanager_redis_round_trip_seconds": "How long these took",
    "workmanager_redis_round_trips_failed": "Calls to Redis without an answer",
    "workmanager_changes_read": "Changes of jobs that were read for streams of events",
    "workmanager_event_streams_dropped": "Streams that were ended: too slow a client",
}


class Metrics:
    """Counters of this manager's requests, submitted jobs and pulled results.

    They are changed only on the event loop's thread, so plain numbers do. prometheus_client's counters, which lock,
    take many times as long.

    Args:
        log_collector: counts the log lines that it has dropped.

    Attributes:
        jobs_submitted: new jobs that this manager enqueued.
        results_pulled: results that this manager handed out.
        streams: streams of events that are open.
        streams_dropped: those that were ended because their client reads too slowly.
        registry: for the metrics of other parts of the manager.
    """

    def __init__(self, log_collector: LogCollector | None = None) -> None:
        self._log_collector = log_collector
        self.jobs_submitted = 0
        self.results_pulled = 0
        self.streams = 0
        self.streams_dropped = 0
        self._tallies: dict[tuple[str, str, int], Tally] = {}
        self.registry = CollectorRegistry()
        self._process = ProcessFamilies()
        self.registry.register(self._process)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (method, route, status)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally([0] * (len(DURATION_BUCKETS) + 1))
        tally.seconds += seconds
        tally.by_bucket[bisect_left(DURATION_BUCKETS, seconds)] += 1

    @contextmanager
    def open_stream(self) -> Iterator[None]:
        """Count a stream while the context lasts."""
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def counted(self) -> Counted:
        """Return what this process has counted. Its requests are those of this object, which go on counting."""
        numbers: dict[str, float] = {
            "workmanager_jobs_submitted": self.jobs_submitted,
            "workmanager_results_pulled": self.results_pulled,
            "workmanager_log_lines_dropped": 0 if self._log_collector is None else self._log_collector.dropped,
            "workmanager_event_streams_dropped": self.streams_dropped,
        }
        return Counted(self._tallies, numbers, self.streams)

    def process_samples(self) -> dict[str, float]:
        """Return the samples of this process."""
        return self._process.samples()

    def show(self, shown: Exposition, counted: Counted) -> None:
        """Add all of them.

        Args:
            counted: by all processes of this manager.
        """
        self._process.summed = counted.process
        shown.registry(self.registry)
        by_route: dict[tuple[str, str], list[Tally]] = {}
        for (method, route, _), tally in counted.requests.items():
            by_route.setdefault((method, route), []).append(tally)
        shown.counters(
            "workmanager_http_requests",
            "HTTP requests",
            (
                (labels_text(method=method, route=route, status=str(status)), sum(tally.by_bucket))
                for (method, route, status), tally in counted.requests.items()
            ),
        )
        name = "workmanager_http_request_duration_seconds"
        shown.begin(name, "histogram", "Request duration")
        for (method, route), tallies in by_route.items():
            lines = HistogramLines([name], labels_text(method=method, route=route), DURATION_BUCKETS)
            totals = [sum(numbers) for numbers in zip(*(tally.by_bucket for tally in tallies), strict=True)]
            shown.add(lines.texts([*totals, sum(tally.seconds for tally in tallies)]))
        for name, description in _COUNTERS.items():
            shown.counter(name, description, counted.numbers.get(name, 0))
        shown.gauge("workmanager_event_streams", "Streams of events that are open at this manager", counted.streams)
