"""Publish the metrics that the alarms need to CloudWatch, once a minute, from this host and its manager.

The environment has CLUSTER_NAME and WORKMANAGER_API_KEYS; most values come from the manager's `/metrics`. If the
manager does not answer, only the host's own are published. If neither manager answers, that is an alarm of its own.
"""

import logging
import os
import shutil
import signal
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from prometheus_client.parser import text_string_to_metric_families

log = logging.getLogger("publish_metrics")

NAMESPACE = "workmanager"
METRICS_URL = "http://127.0.0.1:5000/metrics"
PERIOD_SECONDS = 60.0
ANSWER_TIMEOUT_SECONDS = 20.0

IS_LEADER = "workmanager_scaler_is_leader"
TELLS_QUEUE = "workmanager_tells_queue"
LAUNCH_ERRORS = "workmanager_scaler_errors_total"
BOOT_ERRORS = "workmanager_scaler_errors_total:boot"
FAILED_JOBS = "workmanager_jobs_failed_total"
OLDEST_JOB_AGE = "workmanager_queue_oldest_job_age_seconds"
REPLICAS_MISSING = "workmanager_cluster_replicas_missing"
MASTERS_DOWN = "workmanager_cluster_masters_down"
FILES_UNSOUND = "workmanager_redis_files_unsound"
LAUNCHES = "workmanager_scaler_launches_total"
ON_DEMAND_LAUNCHES = "workmanager_scaler_launches_total:on-demand"

STORES = Path("/var/lib/workmanager")
"""The disk of the Redis servers; only a directory if they are elsewhere."""
BACKUP = "backup.succeeded"
MEMORY_FILE = Path("/proc/meminfo")


def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    cloudwatch: Any = None
    dimensions = [{"Name": "Cluster", "Value": os.environ["CLUSTER_NAME"]}]
    previous: Mapping[str, float] | None = None
    started_at = time.time()
    while not stopping.wait(PERIOD_SECONDS):
        values = host_values(STORES, MEMORY_FILE.read_text(), started_at, time.time())
        current: Mapping[str, float] | None = None
        try:
            current = parse_metrics(_fetch_metrics(os.environ["WORKMANAGER_API_KEYS"].split(",")[0]))
            values |= summarize(previous, current)
        except (OSError, ValueError) as error:
            log.warning("event=metrics_delayed reason=%s", error)
        try:
            # A client that found no credentials when it was made never looks for them again.
            cloudwatch = cloudwatch or boto3.client("cloudwatch")
            cloudwatch.put_metric_data(
                Namespace=NAMESPACE,
                MetricData=[
                    {"MetricName": name, "Dimensions": dimensions, "Value": value} for name, value in values.items()
                ],
            )
            previous = current or previous
        except (BotoCoreError, ClientError, OSError) as error:
            log.warning("event=metrics_delayed reason=%s", error)
            if isinstance(error, NoCredentialsError):
                cloudwatch = None


def host_values(stores: Path, memory: str, started_at: float, now: float) -> dict[str, float]:
    """Return the values of this host itself.

    Args:
        stores: the directory of the Redis servers.
        memory: the text of /proc/meminfo.
        started_at: when this program started, which counts as a backup: the first one is made minutes later.
    """
    numbers = {line.split(":")[0]: float(line.split()[1]) for line in memory.splitlines() if ":" in line}
    used = [shutil.disk_usage(path) for path in (Path("/"), stores) if path.exists()]
    values = {
        "DiskUsedPercent": max(100 * disk.used / disk.total for disk in used),
        "MemoryUsedPercent": 100 * (1 - numbers["MemAvailable"] / numbers["MemTotal"]),
    }
    if stores.is_mount():
        marker = stores / BACKUP
        last = marker.stat().st_mtime if marker.exists() else 0.0
        values["BackupAgeSeconds"] = max(0.0, now - max(last, started_at))
    return values


def _fetch_metrics(key: str) -> str:
    request = urllib.request.Request(METRICS_URL, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_SECONDS) as answer:  # nosec B310  # a fixed URL
        text: str = answer.read().decode()
    return text


def parse_metrics(text: str) -> dict[str, float]:
    """Return Prometheus metrics by name: the sum over all labels; of the job ages, the largest.

    Launches on demand and failed boots are also there by themselves.
    """
    values: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == OLDEST_JOB_AGE:
                values[OLDEST_JOB_AGE] = max(values[OLDEST_JOB_AGE], sample.value)
            else:
                values[sample.name] += sample.value
            if sample.name == LAUNCHES and sample.labels.get("market") == "on-demand":
                values[ON_DEMAND_LAUNCHES] += sample.value
            if sample.name == LAUNCH_ERRORS and sample.labels.get("cause") == "boot":
                values[BOOT_ERRORS] += sample.value
    return dict(values)


def summarize(previous: Mapping[str, float] | None, current: Mapping[str, float]) -> dict[str, float]:
    """Return the values for CloudWatch.

    Failed jobs are counted for the whole system, and told by one manager. Launches and their failures are counted by
    each manager. All are differences to the previous minute, and missing without one.
    """
    is_leader = current.get(IS_LEADER, 0.0)
    values = {"Leaders": is_leader, "OldestJobSeconds": current.get(OLDEST_JOB_AGE, 0.0)}
    if REPLICAS_MISSING in current:
        # A shard whose master is down has at best its replica.
        values["ReplicasMissing"] = current[REPLICAS_MISSING] + current.get(MASTERS_DOWN, 0.0)
    values["FilesUnsound"] = current.get(FILES_UNSOUND, 0.0)
    if previous is not None:
        values["LaunchFailures"] = _increase(previous, current, LAUNCH_ERRORS)
        values["WorkerBootFailures"] = _increase(previous, current, BOOT_ERRORS)
        values["OnDemandLaunches"] = _increase(previous, current, ON_DEMAND_LAUNCHES)
        if current.get(TELLS_QUEUE) and previous.get(TELLS_QUEUE):
            values["FailedJobs"] = _increase(previous, current, FAILED_JOBS)
    return values


def _increase(previous: Mapping[str, float], current: Mapping[str, float], name: str) -> float:
    """Return the increase of a counter. A counter that has fallen restarted from 0."""
    increase = current.get(name, 0.0) - previous.get(name, 0.0)
    return increase if increase >= 0 else current.get(name, 0.0)


if __name__ == "__main__":
    main()
