"""What this manager does: requests, submitted jobs, pulled results, its process and its scaler.

Hot path (`Metrics.observe`): see benchmarks/README.md#http_enqueue.
"""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, ProcessCollector

from manager.metrics.exposition import Exposition, HistogramLines, labels_text
from processes.log_collector import LogCollector

DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Upper bounds of the request duration histogram, in seconds."""


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

    @contextmanager
    def open_stream(self) -> Iterator[None]:
        """Count a stream while the context lasts."""
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def show(self, shown: Exposition) -> None:
        """Add all of them."""
        shown.registry(self.registry)
        by_route: dict[tuple[str, str], list[_Tally]] = {}
        for (method, route, _), tally in self._tallies.items():
            by_route.setdefault((method, route), []).append(tally)
        shown.counters(
            "workmanager_http_requests",
            "HTTP requests",
            (
                (labels_text(method=method, route=route, status=str(status)), sum(tally.by_bucket))
                for (method, route, status), tally in self._tallies.items()
            ),
        )
        name = "workmanager_http_request_duration_seconds"
        shown.begin(name, "histogram", "Request duration")
        for (method, route), tallies in by_route.items():
            lines = HistogramLines([name], labels_text(method=method, route=route), DURATION_BUCKETS)
            totals = [sum(numbers) for numbers in zip(*(tally.by_bucket for tally in tallies), strict=True)]
            shown.add(lines.texts([*totals, sum(tally.seconds for tally in tallies)]))
        shown.counter("workmanager_jobs_submitted", "New jobs submitted to this manager", self.jobs_submitted)
        shown.counter("workmanager_results_pulled", "Results pulled from this manager", self.results_pulled)
        dropped = 0 if self._log_collector is None else self._log_collector.dropped
        shown.counter("workmanager_log_lines_dropped", "Log lines that the log collector did not get", dropped)
        shown.gauge("workmanager_event_streams", "Streams of events that are open at this manager", self.streams)
        shown.counter(
            "workmanager_event_streams_dropped", "Streams that were ended: too slow a client", self.streams_dropped
        )


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
