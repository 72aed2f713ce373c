"""A real Prometheus scrapes two managers: our rules and Grafana's queries work on what they tell, and three alerts.

All alerts: `prometheus_alerts.py`.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.acceptance.manager.prometheus_server import Prometheus, is_installed
from tests.ports import pick_port
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

DASHBOARD = Path(__file__).parents[3] / "infra/grafana/workmanager.json"

LABELS = {
    # Prometheus' own: which manager or worker told it.
    *("__name__", "instance", "job"),
    # Of which there are few values: none names a job, a worker, a key or a tenant.
    *("queue", "function", "status", "outcome", "le", "method", "route", "phase", "market", "reason", "cause"),
}

pytestmark = pytest.mark.skipif(not is_installed(), reason="prometheus (Debian's package) is missing")


@pytest.fixture
def worker_port() -> int:
    """Where the worker serves its metrics."""
    return pick_port()


@pytest.fixture
def managers(start: Start, private_server: ValkeyServer, worker_port: int) -> list[ManagerProgram]:
    """Two managers, the first with a worker; times are told each second."""
    settings = {"LEASE_SECONDS": "4", "MIN_WORKERS": "1", "MAX_WORKERS": "1"}
    settings["METRICS_LISTEN"] = f"127.0.0.1:{worker_port}"
    programs = [start(private_server.url, "--scaler", "local", **settings), start(private_server.url, **settings)]
    return [program.wait_until_ready() for program in programs]


@pytest.fixture
def prometheus(managers: list[ManagerProgram], worker_port: int, tmp_path: Path) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path / "prometheus", [manager.port for manager in managers], [worker_port])
    yield server
    server.stop()


def test_prometheus_knows_what_happens(
    prometheus: Prometheus, managers: list[ManagerProgram], worker_port: int, private_server: ValkeyServer
) -> None:
    with managers[1].client() as http:
        for _ in range(3):
            http.post("/jobs", json={"function": "noop"}).raise_for_status()
        # It has no retries, and its address is refused.
        http.post("/jobs", json={"function": "http", "kwargs": {"url": "http://127.0.0.1:1/"}}).raise_for_status()
        panels = json.loads(DASHBOARD.read_text())["panels"]
        queries = {target["expr"] for panel in panels for target in panel.get("targets", ())}
        for query in sorted(queries):
            until(lambda query=query: prometheus.query(query), wanted=f"data of {query}")  # type: ignore[misc]
        # Each figure is told by one of the two managers, and each job is in the histograms once.
        until(lambda: prometheus.value("sum(workmanager_job_end_to_end_seconds_count)") == 4, wanted="four jobs")
        assert prometheus.value('sum(workmanager_jobs_enqueued_total{function="noop"})') == 3
        assert prometheus.value("sum(workmanager_tells_queue)") == 1

        until(lambda: prometheus.value("sum(workmanager_worker_jobs_total)") == 4, wanted="the worker's own count")
        assert prometheus.labels() == LABELS

        for url in (*(manager.url for manager in managers), f"http://127.0.0.1:{worker_port}"):
            text = httpx.get(f"{url}/metrics", headers={"Accept": "text/plain"}).text
            done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")

        http.post("/queues/reports/pause").raise_for_status()
        http.post("/jobs", json={"function": "noop", "queue": "reports"}).raise_for_status()
        until(lambda: "QueuePausedLong" in prometheus.firing(), wanted="the alert of the paused queue")
        http.post("/queues/reports/resume").raise_for_status()
        until(lambda: "QueuePausedLong" not in prometheus.firing(), wanted="its end")

        private_server.kill()
        alerts = {"RedisDown", "NoScalerLeader"}
        until(lambda: alerts <= prometheus.firing(), wanted="the alerts of Redis")
        private_server.start()
        until(lambda: not alerts & prometheus.firing(), wanted="their end")
