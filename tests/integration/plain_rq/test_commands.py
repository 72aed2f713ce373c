"""Commands of plain RQ clients to a running worker: ours does what RQ's does."""

from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.command import send_kill_horse_command, send_shutdown_command, send_stop_job_command
from rq.job import Job, JobStatus

from tests.integration.plain_rq import job_functions as functions
from tests.integration.plain_rq.conftest import StartProcess
from tests.waiting import until


@pytest.fixture
def listening(connection: Redis, maintenance: None) -> None:
    """A manager that hears commands."""
    until(connection.pubsub_numpat, wanted="a manager that listens")


def has_begun(job: Job) -> bool:
    return Path(job.args[0]).exists() and job.get_status() is JobStatus.STARTED


def end(job: Job) -> JobStatus | None:
    status = job.get_status()
    return None if status is JobStatus.STARTED else status


@pytest.mark.usefixtures("listening")
def test_commands_to_stop_a_job_and_to_kill_what_runs(
    connection: Redis, queue: Queue, tmp_path: Path, our_worker: StartProcess
) -> None:
    our_worker("--name", "w1")
    stopped = queue.enqueue(functions.sleep_noting, str(tmp_path / "stopped"), 60)
    until(lambda: has_begun(stopped), wanted="the first job")
    send_stop_job_command(connection, stopped.id)
    assert until(lambda: end(stopped), wanted="its end") is JobStatus.STOPPED

    killed = queue.enqueue(functions.sleep_noting, str(tmp_path / "killed"), 60)
    after = queue.enqueue(functions.add, 1, 2)
    until(lambda: has_begun(killed), wanted="the second job")
    send_kill_horse_command(connection, "w1")
    assert until(lambda: end(killed), wanted="its end") is JobStatus.FAILED
    result = killed.latest_result()
    assert result is not None
    assert "`kill-horse`" in (result.exc_string or "")
    until(lambda: after.get_status() is JobStatus.FINISHED, wanted="the job that waited")


@pytest.mark.usefixtures("listening")
def test_a_worker_that_is_told_to_shut_down_finishes_what_runs(
    connection: Redis, queue: Queue, tmp_path: Path, our_worker: StartProcess
) -> None:
    worker = our_worker("--name", "w1")
    job = queue.enqueue(functions.sleep_noting, str(tmp_path / "notes"), 1)
    until(lambda: has_begun(job), wanted="the job")
    send_shutdown_command(connection, "w1")
    assert worker.wait(60) == 0
    assert job.get_status() is JobStatus.FINISHED
