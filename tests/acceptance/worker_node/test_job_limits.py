"""A job that uses more than an operator allows fails, says which limit it was, and harms no other job."""

import sys
from subprocess import run

import pytest

from tests.acceptance.worker_node.conftest import Client, MakeWorker
from tests.acceptance.worker_node.slot_harness import JOBS

LIMITS = f"memory=64MiB,cpu=1,files=40,processes=2; {JOBS}.allocate: memory=256MiB"


@pytest.mark.parametrize("isolation", ["none", "job"])
async def test_a_job_beyond_a_limit_fails_and_names_it(
    client: Client, start_worker: MakeWorker, isolation: str
) -> None:
    worker = start_worker(client.url, JOB_LIMITS=LIMITS, ISOLATION=isolation)
    for function, argument, reason, said in (
        ("allocate", 300, "exception", "its memory limit of 256 MiB"),
        ("open_files", 60, "exception", "its limit of 40 open files"),
        ("use_processor", 600, "exception", "its limit of 1 seconds of processor time"),
        ("start_processes", 4, "exception", "its limit of 2 processes"),
        ("abort_without_memory", 300, "worker_lost", "its memory limit of 64 MiB"),
    ):
        failed = await client.wait_until_ended(await client.enqueue(function, argument))
        assert failed.error is not None, function
        assert (failed.error.reason, said in failed.error.message) == (reason, True), failed.error
        assert "WORKMANAGER_JOB_LIMITS" in failed.error.message
    assert await client.value(await client.enqueue("allocate", 100)) == 100 << 20, "more than others may have"
    assert await client.value(await client.enqueue("open_files", 30)) == 30
    assert await client.value(await client.enqueue("allocate", 200)) == 200 << 20, "each job has all of it"
    assert worker.log_text.count("event=job_killed") == 2


def test_a_wrong_limit_ends_the_worker_with_one_line() -> None:
    command = [sys.executable, "-m", "worker_node"]
    ended = run(command, env={"WORKMANAGER_JOB_LIMITS": "memory=lots"}, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("WORKMANAGER_JOB_LIMITS:")
