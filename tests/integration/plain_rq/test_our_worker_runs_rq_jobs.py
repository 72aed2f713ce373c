"""Our worker runs jobs that were enqueued with `rq.Queue.enqueue`, and RQ reads their results."""

from base64 import b64decode
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue, Retry
from rq.job import Job, JobStatus
from rq.results import Result

from jobqueue.model import RQ_RESULT_TTL_SECONDS
from tests.integration.jobqueue.queue_helpers import nearly
from tests.integration.plain_rq import job_functions
from tests.integration.plain_rq.conftest import FUNCTIONS, RunTool, StartProcess
from tests.waiting import until


def until_ended(job: Job) -> None:
    until(lambda: job.get_status() in (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED))


def test_a_json_job_returns_its_value_to_the_rq_client(
    queue: Queue, connection: Redis, our_worker: StartProcess, rq_info: RunTool
) -> None:
    job = queue.enqueue(job_functions.add, 2, b=3)
    our_worker()
    until_ended(job)
    fetched = Job.fetch(job.id, connection=connection, serializer="json")
    assert fetched.return_value() == 5
    assert fetched.get_status() == JobStatus.FINISHED
    assert fetched.started_at <= fetched.ended_at
    assert job.id in queue.finished_job_registry.get_job_ids()
    assert "queue default 0" in rq_info()


def test_text_of_any_script_returns_to_the_rq_client_and_is_stored_in_utf_8(
    queue: Queue, connection: Redis, our_worker: StartProcess
) -> None:
    job = queue.enqueue(job_functions.add, "字", b="é😀")
    our_worker()
    until_ended(job)
    assert job.return_value(refresh=True) == "字é😀"
    ((_, fields),) = connection.xrange(f"rq:results:{job.id}")
    assert b64decode(fields[b"return_value"]).decode() == '"字é😀"'


def test_a_pickled_job_runs_if_pickle_is_allowed(connection: Redis, our_worker: StartProcess) -> None:
    job = Queue(connection=connection).enqueue(job_functions.add, 2, 3)
    our_worker(ALLOW_PICKLE="true")
    until_ended(job)
    assert job.return_value(refresh=True) == 5


def test_a_pickled_job_is_rejected_by_default(connection: Redis, our_worker: StartProcess) -> None:
    job = Queue(connection=connection).enqueue(job_functions.add, 2, 3, retry=Retry(max=3))
    our_worker()
    until_ended(job)
    assert job.get_status() == JobStatus.FAILED
    assert "ALLOW_PICKLE" in job.latest_result().exc_string
    assert connection.hget(job.key, "wm_reason") == b"rejected"


def test_an_unregistered_function_is_rejected_by_name(
    queue: Queue, connection: Redis, our_worker: StartProcess
) -> None:
    job = queue.enqueue("os.getpid")
    our_worker()
    until_ended(job)
    assert job.get_status() == JobStatus.FAILED
    assert "os.getpid" in job.latest_result().exc_string
    assert connection.hget(job.key, "wm_reason") == b"rejected"


def test_an_exception_is_recorded_with_its_traceback(queue: Queue, connection: Redis, our_worker: StartProcess) -> None:
    job = queue.enqueue(job_functions.fail, "broken")
    our_worker()
    until_ended(job)
    result = job.latest_result()
    assert result.type is Result.Type.FAILED
    assert result.exc_string.rstrip().endswith("ValueError: broken")
    assert job.id in queue.failed_job_registry.get_job_ids()


def test_a_job_is_retried_as_often_as_requested_then_fails(
    queue: Queue, tmp_path: Path, our_worker: StartProcess, maintenance: None
) -> None:
    notes = tmp_path / "notes"
    job = queue.enqueue(job_functions.fail_noting, str(notes), retry=Retry(max=2, interval=[0, 1]))
    our_worker()
    until(lambda: job.get_status() == JobStatus.FAILED)
    assert notes.read_text().split() == ["run"] * 3


def test_a_job_that_exceeds_its_timeout_fails(
    queue: Queue, connection: Redis, tmp_path: Path, our_worker: StartProcess
) -> None:
    job = queue.enqueue(job_functions.sleep_noting, str(tmp_path / "notes"), 60, job_timeout=1)
    our_worker()
    until_ended(job)
    assert connection.hget(job.key, "wm_reason") == b"timeout"
    assert (tmp_path / "notes").read_text().split() == ["started"]


def test_result_ttl_failure_ttl_and_ttl_are_honoured(queue: Queue, connection: Redis, our_worker: StartProcess) -> None:
    short = queue.enqueue(job_functions.add, 1, 1, result_ttl=60)
    default = queue.enqueue(job_functions.add, 1, 1)
    forever = queue.enqueue(job_functions.add, 1, 1, result_ttl=-1)
    discarded = queue.enqueue(job_functions.add, 1, 1, result_ttl=0)
    failed = queue.enqueue(job_functions.fail, "x", failure_ttl=90)
    expired = queue.enqueue(job_functions.add, 1, 1, ttl=1)
    until(lambda: not connection.exists(expired.key))
    our_worker()
    until_ended(failed)
    until(lambda: not connection.exists(discarded.key))
    assert connection.ttl(short.key) in nearly(60)
    assert connection.ttl(default.key) in nearly(RQ_RESULT_TTL_SECONDS)
    assert connection.ttl(forever.key) == -1
    assert connection.ttl(failed.key) in nearly(90)
    assert not connection.exists(f"rq:results:{expired.id}")


def test_a_job_with_a_ttl_does_not_expire_while_it_runs(
    queue: Queue, connection: Redis, tmp_path: Path, our_worker: StartProcess
) -> None:
    gate = tmp_path / "gate"
    job = queue.enqueue(job_functions.report_progress, str(gate), ttl=60)
    assert connection.ttl(job.key) in nearly(60)
    our_worker()
    until(lambda: job.get_meta().get("progress") == 50)
    assert connection.ttl(job.key) == -1
    gate.touch()
    until_ended(job)


def test_a_returned_retry_runs_the_job_again(queue: Queue, tmp_path: Path, our_worker: StartProcess) -> None:
    job = queue.enqueue(job_functions.retry_until, str(tmp_path / "notes"), 3)
    our_worker()
    until_ended(job)
    assert job.return_value(refresh=True) == "done"
    assert [result.type for result in job.results()] == [
        Result.Type.SUCCESSFUL,
        Result.Type.RETRIED,
        Result.Type.RETRIED,
    ]


def test_returned_retries_end_at_their_maximum(queue: Queue, our_worker: StartProcess) -> None:
    job = queue.enqueue(job_functions.retry_for_ever)
    our_worker()
    until(lambda: job.get_status() == JobStatus.FAILED)
    assert job.latest_result().type is Result.Type.MAX_RETRIES_EXCEEDED


def test_a_coroutine_is_awaited(queue: Queue, our_worker: StartProcess) -> None:
    job = queue.enqueue(job_functions.add_later, 20, 22)
    our_worker()
    until_ended(job)
    assert job.return_value(refresh=True) == 42


def test_a_bound_method_is_called(connection: Redis, our_worker: StartProcess) -> None:
    job = Queue(connection=connection).enqueue(job_functions.Counter(40).plus, 2)
    our_worker(ALLOW_PICKLE="true")
    until_ended(job)
    assert job.return_value(refresh=True) == 42


def test_a_scheduled_job_runs_when_it_is_due(queue: Queue, our_worker: StartProcess, maintenance: None) -> None:
    job = queue.enqueue_in(timedelta(seconds=1), job_functions.add, 1, 2)
    our_worker()
    assert job.get_status() == JobStatus.SCHEDULED
    until_ended(job)
    assert job.return_value(refresh=True) == 3


def test_a_job_cancelled_by_the_rq_client_does_not_run(
    queue: Queue, connection: Redis, tmp_path: Path, our_worker: StartProcess
) -> None:
    cancelled = queue.enqueue(job_functions.note, str(tmp_path / "notes"), "ran")
    other = queue.enqueue(job_functions.add, 1, 1)
    cancelled.cancel()
    our_worker("--burst").wait(timeout=60)
    assert other.get_status() == JobStatus.FINISHED
    assert cancelled.get_status() == JobStatus.CANCELED
    assert not (tmp_path / "notes").exists()


def test_a_job_requeued_by_the_rq_client_runs_again(queue: Queue, tmp_path: Path, our_worker: StartProcess) -> None:
    notes = tmp_path / "notes"
    job = queue.enqueue(job_functions.fail_noting, str(notes))
    our_worker()
    until_ended(job)
    job.requeue()
    until(lambda: notes.read_text().split() == ["run", "run"])


def test_jobs_wait_while_rq_is_suspended(queue: Queue, connection: Redis, our_worker: StartProcess) -> None:
    connection.set("rq:suspended", 1)
    job = queue.enqueue(job_functions.add, 1, 1)
    our_worker("--burst").wait(timeout=60)
    assert job.get_status() == JobStatus.QUEUED


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_meta_and_results_use_the_serializer_of_the_job(
    connection: Redis, our_worker: StartProcess, tmp_path: Path, serializer: str
) -> None:
    gate = tmp_path / "gate"
    queue = Queue(connection=connection, serializer=serializer)
    job = queue.enqueue(job_functions.report_progress, str(gate), meta={"step": 1})
    our_worker(ALLOW_PICKLE="true")
    until(lambda: job.get_meta().get("progress") == 50)
    assert job.get_meta() == {"step": 1, "progress": 50}
    gate.touch()
    until_ended(job)
    assert job.return_value(refresh=True) == f"{job.id} started 50"


def test_other_use_of_the_jobs_redis_connection_is_a_clear_error(queue: Queue, our_worker: StartProcess) -> None:
    job = queue.enqueue(job_functions.use_redis)
    our_worker()
    until_ended(job)
    message = job.latest_result().exc_string.strip().splitlines()[-1]
    assert message.startswith("RuntimeError: ")
    assert "keys" in message


def test_the_functions_module_is_the_one_workers_register() -> None:
    assert job_functions.__name__ == FUNCTIONS
