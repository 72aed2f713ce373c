"""Programs that ship a host's logs and metrics to CloudWatch."""

import json

import pytest

from infra.host.publish_metrics import BOOT_ERRORS, parse_metrics, summarize
from infra.host.ship_logs import BATCH_CHARACTERS, EVENT_CHARACTERS
from infra.host.ship_logs import parse_journal as read_journal


def entry(cursor: str, message: object, microseconds: int = 1_700_000_000_000_000) -> str:
    return json.dumps({"__CURSOR": cursor, "__REALTIME_TIMESTAMP": str(microseconds), "MESSAGE": message})


def test_an_empty_journal_is_no_batch() -> None:
    assert read_journal([]) is None


def test_events_are_sorted_by_time_and_the_cursor_is_that_of_the_last_entry() -> None:
    batch = read_journal([entry("a", "later", 2_000_000), entry("b", "earlier", 1_000_000)])
    assert batch is not None
    assert batch.events == [{"timestamp": 1000, "message": "earlier"}, {"timestamp": 2000, "message": "later"}]
    assert batch.cursor == "b"


@pytest.mark.parametrize(
    ("message", "shipped"),
    [([104, 105, 255], "hi\ufffd"), (None, " "), ("", " "), ("x" * (EVENT_CHARACTERS + 1), "x" * EVENT_CHARACTERS)],
    ids=["bytes", "nothing", "empty", "long"],
)
def test_any_journal_entry_becomes_text_that_cloudwatch_accepts(message: object, shipped: str) -> None:
    batch = read_journal([entry("a", message)])
    assert batch is not None
    assert batch.events[0]["message"] == shipped


def test_a_batch_ends_before_it_is_too_large() -> None:
    number = BATCH_CHARACTERS // EVENT_CHARACTERS + 5
    batch = read_journal(entry(str(index), "x" * EVENT_CHARACTERS) for index in range(number))
    assert batch is not None
    assert len(batch.events) == BATCH_CHARACTERS // EVENT_CHARACTERS
    assert batch.cursor == str(len(batch.events) - 1)


TEXT = """\
# TYPE workmanager_scaler_is_leader gauge
workmanager_scaler_is_leader 1.0
# TYPE workmanager_scaler_errors counter
workmanager_scaler_errors_total{cause="capacity"} 3.0
workmanager_scaler_errors_total{cause="boot"} 1.0
# TYPE workmanager_tells_queue gauge
workmanager_tells_queue 1.0
# TYPE workmanager_jobs_failed counter
workmanager_jobs_failed_total{function="sha512"} 7.0
# TYPE workmanager_queue_oldest_job_age_seconds gauge
workmanager_queue_oldest_job_age_seconds{queue="default"} 12.0
workmanager_queue_oldest_job_age_seconds{queue="low"} 40.0
# TYPE workmanager_cluster_replicas_missing gauge
workmanager_cluster_replicas_missing 0.0
"""


def test_counters_are_summed_and_the_oldest_job_counts() -> None:
    now = parse_metrics(TEXT)
    before = {**now, "workmanager_scaler_errors_total": 1.0, BOOT_ERRORS: 0.0, "workmanager_jobs_failed_total": 2.0}
    assert summarize(before, now) == {
        "Leaders": 1.0,
        "OldestJobSeconds": 40.0,
        "ReplicasMissing": 0.0,
        "FilesUnsound": 0.0,
        "LaunchFailures": 3.0,
        "WorkerBootFailures": 1.0,
        "OnDemandLaunches": 0.0,
        "FailedJobs": 5.0,
    }


def test_there_are_no_differences_in_the_first_minute() -> None:
    assert {"LaunchFailures", "FailedJobs"}.isdisjoint(summarize(None, parse_metrics(TEXT)))


@pytest.mark.parametrize(("told", "tells"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_only_a_manager_that_has_told_of_them_counts_failed_jobs(told: float, tells: float) -> None:
    now = {**parse_metrics(TEXT), "workmanager_tells_queue": tells}
    assert "FailedJobs" not in summarize({"workmanager_tells_queue": told}, now)


def test_counters_can_restart() -> None:
    assert summarize({"workmanager_scaler_errors_total": 100.0}, parse_metrics(TEXT))["LaunchFailures"] == 4.0


def test_a_master_that_is_down_counts_as_a_missing_replica() -> None:
    now = parse_metrics(TEXT) | {"workmanager_cluster_masters_down": 1.0}
    assert summarize(None, now)["ReplicasMissing"] == 1.0
