"""Tells CloudWatch once a minute what the alarms look at, from this host's manager.

Reads NAME, WORKMANAGER_API_KEYS and the manager's `/metrics`. A manager that does not answer tells nothing, which is an
alarm of its own when both are silent.
"""

import logging
import os
import signal
import threading
import urllib.request
from collections import defaultdict
from collections.abc import Mapping

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from prometheus_client.parser import text_string_to_metric_families

log = logging.getLogger("publish_metrics")

NAMESPACE = "workmanager"
METRICS_URL = "http://127.0.0.1:5000/metrics"
PERIOD_SECONDS = 60.0
ANSWER_SECONDS = 20.0

IS_LEADER = "workmanager_scaler_is_leader"
LAUNCH_ERRORS = "workmanager_scaler_errors_total"
FAILED_JOBS = "workmanager_jobs_failed_total"
OLDEST_JOB_AGE = "workmanager_queue_oldest_job_age_seconds"
REPLICAS_MISSING = "workmanager_cluster_replicas_missing"
MASTERS_DOWN = "workmanager_cluster_masters_down"


def main() -> None:
    """Runs until it is told to end."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    cloudwatch = boto3.client("cloudwatch")
    dimensions = [{"Name": "Cluster", "Value": os.environ["NAME"]}]
    before: Mapping[str, float] | None = None
    while not ending.wait(PERIOD_SECONDS):
        try:
            now = parse_metrics(_metrics(os.environ["WORKMANAGER_API_KEYS"].split(",")[0]))
            values = summarize(before, now)
            cloudwatch.put_metric_data(
                Namespace=NAMESPACE,
                MetricData=[
                    {"MetricName": name, "Dimensions": dimensions, "Value": value} for name, value in values.items()
                ],
            )
            before = now
        except (BotoCoreError, ClientError, OSError, ValueError) as error:
            log.warning("event=metrics_delayed reason=%s", error)


def _metrics(key: str) -> str:
    request = urllib.request.Request(METRICS_URL, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
        text: str = answer.read().decode()
    return text


def parse_metrics(text: str) -> dict[str, float]:
    """Prometheus' text by name: the sum over all labels, or the largest of the waits."""
    values: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == OLDEST_JOB_AGE:
                values[OLDEST_JOB_AGE] = max(values[OLDEST_JOB_AGE], sample.value)
            else:
                values[sample.name] += sample.value
    return dict(values)


def summarize(before: Mapping[str, float] | None, now: Mapping[str, float]) -> dict[str, float]:
    """CloudWatch's values. Failed jobs are the whole system's, so only the manager that leads counts them; the failures
    of launches are each manager's own. Both need a minute to compare with."""
    leading = now.get(IS_LEADER, 0.0)
    values = {"Leaders": leading, "OldestJobSeconds": now.get(OLDEST_JOB_AGE, 0.0)}
    if REPLICAS_MISSING in now:
        # Whose master is away has its replica at best.
        values["ReplicasMissing"] = now[REPLICAS_MISSING] + now.get(MASTERS_DOWN, 0.0)
    if before is not None:
        # A counter that has fallen began anew.
        values["LaunchFailures"] = _growth(before, now, LAUNCH_ERRORS)
        if leading:
            values["FailedJobs"] = _growth(before, now, FAILED_JOBS)
    return values


def _growth(before: Mapping[str, float], now: Mapping[str, float], name: str) -> float:
    grown = now.get(name, 0.0) - before.get(name, 0.0)
    return grown if grown >= 0 else now.get(name, 0.0)


if __name__ == "__main__":
    main()
