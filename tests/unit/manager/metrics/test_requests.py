"""A manager's metrics equal those of prometheus_client's own counters."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from manager.metrics.exposition import Exposition
from manager.metrics.requests import DURATION_BUCKETS, Metrics

REQUESTS = [
    # method, route, status, seconds
    ("PUT", "/enqueue", 200, 0.0004),
    ("PUT", "/enqueue", 200, 0.001),
    ("PUT", "/enqueue", 503, 0.3),
    ("GET", "/jobs/{job_id}", 200, 0.0026),
    ("GET", "/jobs/{job_id}", 200, 61.0),
]


def samples(text: bytes, prefix: str) -> set[tuple[str, str, float]]:
    return {
        (sample.name, str(sorted(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name.startswith(prefix) and not sample.name.endswith("_created")
    }


def shown_by(metrics: Metrics) -> bytes:
    shown = Exposition()
    metrics.show(shown, metrics.counted())
    return shown.text()


def test_requests_are_counted_as_by_prometheus_client() -> None:
    metrics, registry = Metrics(), CollectorRegistry()
    requests = Counter("workmanager_http_requests", "", ("method", "route", "status"), registry=registry)
    seconds = Histogram(
        "workmanager_http_request_duration_seconds",
        "",
        ("method", "route"),
        buckets=DURATION_BUCKETS,
        registry=registry,
    )
    for method, route, status, duration in REQUESTS:
        metrics.observe(method, route, status, duration)
        requests.labels(method, route, status).inc()
        seconds.labels(method, route).observe(duration)
    shown = samples(shown_by(metrics), "workmanager_http")
    assert shown == samples(generate_latest(registry), "workmanager_http")
    labels = str([("method", "PUT"), ("route", "/enqueue"), ("status", "200")])
    assert ("workmanager_http_requests_total", labels, 2) in shown


def test_submitted_jobs_and_pulled_results_are_counted() -> None:
    metrics = Metrics()
    metrics.jobs_submitted += 3
    metrics.results_pulled += 2
    shown = samples(shown_by(metrics), "workmanager_")
    assert {("workmanager_jobs_submitted_total", "[]", 3), ("workmanager_results_pulled_total", "[]", 2)} <= shown
