"""Jobs of RQ clients that use an unsupported feature fail as `rejected`, with an error that names the feature."""

from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue
from rq.job import Job, JobStatus
from rq.webhook import Webhook

from tests.integration.plain_rq import job_functions
from tests.integration.plain_rq.conftest import StartProcess
from tests.waiting import until


def report(*_: Any) -> None:
    """A callback that is never called."""


def enqueue(queue: Queue, notes: str, **options: Any) -> Job:
    return queue.enqueue(job_functions.note, notes, "ran", **options)


FEATURES = {
    "on_success": {"on_success": Callback(report)},
    "on_failure": {"on_failure": Callback(report)},
    "on_stopped": {"on_stopped": Callback(report)},
    "webhooks": {"webhooks": [Webhook("http://127.0.0.1:9/", "finished")]},
}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_job_with_an_unsupported_feature_is_rejected(
    queue: Queue, connection: Redis, tmp_path: Path, our_worker: StartProcess, feature: str
) -> None:
    notes = tmp_path / "notes"
    job = enqueue(queue, str(notes), **FEATURES[feature])
    our_worker()
    assert_rejected(connection, job, feature)
    assert not notes.exists()


def test_a_rejection_names_all_features_that_are_not_supported(
    queue: Queue, connection: Redis, tmp_path: Path, our_worker: StartProcess
) -> None:
    options = FEATURES["on_success"] | FEATURES["webhooks"]
    job = enqueue(queue, str(tmp_path / "notes"), **options)
    our_worker()
    assert_rejected(
        connection, job, "on_success callback and webhooks. Enqueue it without on_success and without webhooks"
    )


def assert_rejected(connection: Redis, job: Job, feature: str) -> None:
    until(lambda: job.get_status() == JobStatus.FAILED)
    assert connection.hget(job.key, "wm_reason") == b"rejected"
    error = job.latest_result().exc_string
    assert f"workmanager's workers do not support what this job uses of RQ: {feature}" in error
    assert "Enqueue it with" in error
    assert error.endswith("or on a queue that only plain RQ workers serve.")
