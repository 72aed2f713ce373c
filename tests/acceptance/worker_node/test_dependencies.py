"""Jobs that wait for others, under a real worker: when they run, and what they learn of the others."""

from typing import Any

import pytest

from jobqueue.lifecycle.dependencies import register
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.model import ENDED, FINISHED, Dependency
from tests.acceptance.worker_node.conftest import Client, MakeWorker
from tests.acceptance.worker_node.slot_harness import JOBS
from tests.integration.jobqueue.queue_helpers import new_job


async def submit(
    client: Client, job_id: str, function: str, *parents: str, awaited: str = FINISHED, **fields: Any
) -> str:
    """Submit a job of the test's functions that waits for others."""
    name = f"{JOBS}.{function}"
    data = f'["{name}", null, [], {{}}]'.encode()
    depends_on = tuple(Dependency(parent, awaited) for parent in parents) or None
    job = new_job(job_id)._replace(function=name, data=data, depends_on=depends_on, **fields)
    shard = client.shards.of(job_id)
    await enqueue(shard, [job])
    if parents:
        await register(client.shards, shard, [job_id])
    return job_id


@pytest.mark.parametrize("isolation", ["none", "job"])
async def test_a_job_reads_the_results_of_those_it_waited_for(
    client: Client, start_worker: MakeWorker, isolation: str
) -> None:
    await submit(client, "first", "pid")
    await submit(client, "second", "noop_with_none")
    await submit(client, "failing", "fail_for_good")
    child = await submit(client, "child", "read_parents", "second", "first", "failing", awaited=ENDED)
    start_worker(client.url, ISOLATION=isolation)
    first = await client.value("first")
    job_id, results = await client.value(child)
    assert job_id == "child"
    assert list(results.items()) == [("second", None), ("first", first), ("failing", None)]


async def test_a_result_that_is_not_kept_fails_the_job_that_needs_it(client: Client, start_worker: MakeWorker) -> None:
    await submit(client, "parent", "pid")
    await submit(client, "child", "read_parents", "parent", queue="later")
    start_worker(client.url, "--queues", "default").wait_until_started()
    await client.value("parent")
    shard = client.shards.of("parent")
    await shard.execute(("DEL", f"{shard.prefix}:job:parent", f"{shard.prefix}:results:parent"))
    start_worker(client.url, "--queues", "later")
    failed = await client.wait_until_ended("child")
    assert failed.error is not None
    assert failed.error.message == "RuntimeError: the record of job parent has ended, and its result with it"


async def test_a_job_asks_only_for_those_it_has_waited_for(client: Client, start_worker: MakeWorker) -> None:
    await submit(client, "secret", "pid")
    await submit(client, "curious", "read_a_foreign_result")
    start_worker(client.url)
    failed = await client.wait_until_ended("curious")
    assert failed.error is not None
    assert failed.error.message == "RuntimeError: the job has not waited for 'secret'"
