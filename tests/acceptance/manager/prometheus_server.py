"""A real Prometheus that scrapes managers each second, with our rules made quick."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.ports import pick_port

RULES = Path(__file__).parents[3] / "infra/prometheus"
WINDOW_SECONDS = 10


def quickened(rules: str) -> str:
    """Return rules whose spans of time are seconds instead of minutes and hours; nothing else is another.

    A fault must last for a second (`for`), the last ten seconds count (`[5m]`, `[5m:]`), and waits longer than two
    seconds are too long (`…_seconds … > 600`).
    """
    rules = re.sub(r"(?m)^( +for:) \w+$", r"\1 1s", rules)
    rules = re.sub(r"\[\w+(:?)\]", rf"[{WINDOW_SECONDS}s\1]", rules)
    return re.sub(r"(_seconds\b.*) > \d+$", r"\1 > 2", rules, flags=re.MULTILINE)


class Prometheus:
    """A running Prometheus.

    Args:
        managers: ports of managers of this machine.
        workers: ports of workers of this machine.
    """

    def __init__(self, directory: Path, managers: Sequence[int], workers: Sequence[int] = ()) -> None:
        directory.mkdir()
        for name in ("recording.yml", "alerts.yml"):
            (directory / name).write_text(quickened((RULES / name).read_text()))
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["recording.yml", "alerts.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
                for job, ports in (("workmanager", managers), ("workers", workers))
            ],
        }
        (directory / "prometheus.yml").write_text(json.dumps(config))
        port = pick_port()
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
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

    def value(self, text: str) -> float:
        """Return the first value of a query's result; -1 if there is none."""
        found = self.query(text)
        return float(found[0]["value"][1]) if found else -1.0

    def labels(self) -> set[str]:
        """Return the names of all labels of what managers and workers tell."""
        found = self.query('{job=~"workmanager|workers"}')
        return {name for one in found for name in one["metric"]}

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait()
        self._client.close()


def is_installed() -> bool:
    """Whether this machine has Prometheus (Debian's package)."""
    return bool(shutil.which("prometheus") and shutil.which("promtool"))
