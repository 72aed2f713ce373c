"""A real Prometheus scrapes two managers: our rules, alerts and Grafana's queries work on what they tell."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.ports import pick_port
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

ROOT = Path(__file__).parents[3]
INFRA = ROOT / "infra"

pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="prometheus (Debian's package) is missing"
)


class Prometheus:
    """A Prometheus that scrapes once a second, with our rules; their alerts fire a second after the fault began."""

    def __init__(self, directory: Path, managers: list[ManagerProgram], worker_port: int) -> None:
        directory.mkdir()
        shutil.copy(INFRA / "prometheus/recording.yml", directory)
        alerts = re.sub(r"(?m)^( +for:) \S+$", r"\1 1s", (INFRA / "prometheus/alerts.yml").read_text())
        (directory / "alerts.yml").write_text(alerts)
        targets = [f"127.0.0.1:{manager.port}" for manager in managers]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["recording.yml", "alerts.yml"],
            "scrape_configs": [
                {"job_name": "workmanager", "static_configs": [{"targets": targets}]},
                {"job_name": "workers", "static_configs": [{"targets": [f"127.0.0.1:{worker_port}"]}]},
            ],
        }
        (directory / "prometheus.yml").write_text(json.dumps(config))
        port = pick_port()
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30, verify=False)

    def query(self, text: str) -> list[Any]:
        """Return the result of a query; nothing while the server starts."""
        try:
            answer = self._client.get("/query", params={"query": text}).json()
        except (httpx.TransportError, ValueError):
            return []
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def firing(self, alert: str) -> bool:
        """Tell whether an alert fires."""
        return bool(self.query(f'ALERTS{{alertname="{alert}",alertstate="firing"}}'))

    def stop(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait()
        self._client.close()


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
    server = Prometheus(tmp_path / "prometheus", managers, worker_port)
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
        panels = json.loads((INFRA / "grafana/workmanager.json").read_text())["panels"]
        queries = {target["expr"] for panel in panels for target in panel.get("targets", ())}
        for query in sorted(queries):
            until(lambda query=query: prometheus.query(query), wanted=f"data of {query}")  # type: ignore[misc]
        # Each figure is told by one of the two managers, and each job is in the histograms once.
        until(lambda: _value(prometheus, "sum(workmanager_job_end_to_end_seconds_count)") == 4, wanted="four jobs")
        assert _value(prometheus, 'sum(workmanager_jobs_enqueued_total{function="noop"})') == 3
        assert _value(prometheus, "sum(workmanager_tells_queue)") == 1

        until(lambda: _value(prometheus, "sum(workmanager_worker_jobs_total)") == 4, wanted="the worker's own count")

        for url in (*(manager.url for manager in managers), f"http://127.0.0.1:{worker_port}"):
            text = httpx.get(f"{url}/metrics", headers={"Accept": "text/plain"}).text
            done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")

        http.post("/queues/reports/pause").raise_for_status()
        http.post("/jobs", json={"function": "noop", "queue": "reports"}).raise_for_status()
        until(lambda: prometheus.firing("QueuePausedLong"), wanted="the alert of the paused queue")
        http.post("/queues/reports/resume").raise_for_status()
        until(lambda: not prometheus.firing("QueuePausedLong"), wanted="its end")

        private_server.kill()
        until(lambda: prometheus.firing("RedisDown"), wanted="the alert of Redis")
        private_server.start()
        until(lambda: not prometheus.firing("RedisDown"), wanted="its end")


def _value(prometheus: Prometheus, query: str) -> float:
    found = prometheus.query(query)
    return float(found[0]["value"][1]) if found else -1.0
