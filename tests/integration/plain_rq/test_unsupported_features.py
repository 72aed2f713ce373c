"""What is not supported of stock jobs fails as `rejected`, naming the feature: never run wrongly in silence."""

from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue
from rq.group import Group
from rq.job import Job, JobStatus
from rq.rate_limit import RateLimit
from rq.repeat import Repeat
from rq.webhook import Webhook

from tests.integration.plain_rq import job_functions
from tests.waiting import until


def report(*_: Any) -> None:
    """A callback; it is never called."""


def enqueue(queue: Queue, notes: str, **options: Any) -> Job:
    return queue.enqueue(job_functions.note, notes, "ran", **options)


FEATURES = {
    "on_success": {"on_success": Callback(report)},
    "on_failure": {"on_failure": Callback(report)},
    "on_stopped": {"on_stopped": Callback(report)},
    "webhooks": {"webhooks": [Webhook("http://127.0.0.1:9/", "finished")]},
    "repeat": {"repeat": Repeat(times=2)},
    "rate limit": {"rate_limit": RateLimit("key", concurrency=1)},
}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_job_with_an_unsupported_feature_is_rejected(connection: Redis, tmp_path: Path, our_worker, feature):
    notes = tmp_path / "notes"
    job = enqueue(Queue(connection=connection, serializer="json"), str(notes), **FEATURES[feature])
    our_worker()
    assert_rejected(connection, job, feature)
    assert not notes.exists()


def test_a_job_of_a_group_is_rejected(connection: Redis, tmp_path: Path, our_worker):
    queue = Queue(connection=connection, serializer="json")
    data = Queue.prepare_data(job_functions.note, (str(tmp_path / "notes"), "ran"))
    (job,) = Group.create(connection=connection).enqueue_many(queue, [data])
    our_worker()
    assert_rejected(connection, job, "group")
    assert not (tmp_path / "notes").exists()


def test_a_job_with_dependencies_of_its_own_is_rejected(connection: Redis, tmp_path: Path, our_worker, maintenance):
    queue = Queue(connection=connection, serializer="json")
    parent = queue.enqueue(job_functions.add, 1, 1)
    child = enqueue(queue, str(tmp_path / "notes"), depends_on=parent)
    our_worker()
    assert_rejected(connection, child, "dependencies")
    assert parent.get_status() == JobStatus.FINISHED
    assert not (tmp_path / "notes").exists()


def assert_rejected(connection: Redis, job: Job, feature: str) -> None:
    until(lambda: job.get_status() == JobStatus.FAILED)
    assert connection.hget(job.key, "wm_reason") == b"rejected"
    assert feature in job.latest_result().exc_string
