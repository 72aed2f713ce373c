"""Jobs of RQ clients that use an unsupported feature fail as `rejected`, with an error that names the feature."""

from pathlib import Path

from redis import Redis
from rq import Queue
from rq.job import JobStatus
from rq.webhook import Webhook

from tests.integration.plain_rq import job_functions
from tests.integration.plain_rq.conftest import StartProcess
from tests.waiting import until


def test_a_job_with_an_unsupported_feature_is_rejected(
    queue: Queue, connection: Redis, tmp_path: Path, our_worker: StartProcess
) -> None:
    notes = tmp_path / "notes"
    job = queue.enqueue(job_functions.note, str(notes), "ran", webhooks=[Webhook("http://127.0.0.1:9/", "finished")])
    our_worker()
    until(lambda: job.get_status() == JobStatus.FAILED)
    assert connection.hget(job.key, "wm_reason") == b"rejected"
    error = job.latest_result().exc_string
    assert "workmanager's workers do not support what this job uses of RQ: webhooks" in error
    assert "Enqueue it without webhooks, or on a queue that only plain RQ workers serve." in error
    assert not notes.exists()
