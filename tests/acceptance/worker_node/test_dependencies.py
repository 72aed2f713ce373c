"""Jobs that wait for others, under a real worker: when they run, and what they learn of the others."""

import json
from base64 import b64encode
from itertools import pairwise
from typing import Any

import pytest

from jobqueue import keys
from jobqueue.functions import BUILT_IN
from jobqueue.inspection.job_views import view_jobs
from jobqueue.lifecycle.dependencies import register
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.model import ENDED, FINISHED, MAX_RESULT_BYTES, Dependency, NewJob
from tests.acceptance.worker_node.conftest import FUNCTIONS, Client, MakeWorker
from tests.acceptance.worker_node.slot_harness import JOBS
from tests.integration.jobqueue.queue_helpers import new_job


async def submit(
    client: Client, job_id: str, function: str, *parents: str, awaited: str = FINISHED, args: Any = (), **fields: Any
) -> str:
    """Submit a job of the test's functions that waits for others."""
    name = f"{JOBS}.{function}"
    data = json.dumps([name, None, args, {}]).encode()
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


async def test_a_result_of_the_largest_size_reaches_the_child_and_a_larger_one_fails_its_own_job(
    client: Client, start_worker: MakeWorker
) -> None:
    await submit(client, "largest", "answer_with_bytes", args=[MAX_RESULT_BYTES])
    await submit(client, "larger", "answer_with_bytes", args=[MAX_RESULT_BYTES + 1])
    both = await submit(client, "both", "measure_parents", "largest", "larger", awaited=ENDED)
    needy = await submit(client, "needy", "measure_parents", "larger")
    start_worker(client.url)
    assert await client.value(both) == {"largest": MAX_RESULT_BYTES - 2, "larger": None}
    larger = await client.view("larger")
    assert larger.error is not None
    assert f"{MAX_RESULT_BYTES + 1} bytes, the maximum is {MAX_RESULT_BYTES}" in larger.error.message
    assert (await client.wait_until_ended(needy)).status == "canceled"


async def test_what_another_program_has_kept_beyond_that_size_fails_the_child_alone(
    client: Client, start_worker: MakeWorker
) -> None:
    await submit(client, "parent", "pid")
    await submit(client, "child", "read_parents", "parent", queue="later")
    start_worker(client.url, "--queues", "default").wait_until_started()
    await client.value("parent")
    shard = client.shards.of("parent")
    value = b64encode(json.dumps("x" * (MAX_RESULT_BYTES - 1)).encode())
    await shard.execute(("XADD", keys.results(shard.prefix, "parent"), "*", "type", 1, "return_value", value))
    start_worker(client.url, "--queues", "later")
    failed = await client.wait_until_ended("child")
    assert failed.error is not None
    size = MAX_RESULT_BYTES + 1
    expected = f"RuntimeError: the result of job parent has {size} bytes, the maximum is {MAX_RESULT_BYTES}"
    assert failed.error.message == expected


async def test_a_result_that_its_job_does_not_keep_fails_the_child(client: Client, start_worker: MakeWorker) -> None:
    await submit(client, "first", "pid")
    await submit(client, "parent", "pid", "first", result_ttl_seconds=0)
    await submit(client, "child", "read_parents", "parent")
    start_worker(client.url)
    failed = await client.wait_until_ended("child")
    assert failed.error is not None
    assert failed.error.message == "RuntimeError: the record of job parent has ended, and its result with it"


async def test_a_chain_of_a_thousand_runs_link_by_link(client: Client, start_worker: MakeWorker) -> None:
    (shard,) = client.shards.all
    chain = [f"link-{number}" for number in range(1000)]
    data = json.dumps([BUILT_IN["noop"], None, [], {}]).encode()
    links = [NewJob(each, "noop", data, depends_on=(Dependency(before),)) for before, each in pairwise(chain)]
    await enqueue(shard, [NewJob(chain[0], "noop", data), *links])
    await register(client.shards, shard, chain[1:])
    start_worker(client.url)
    for each in (*chain[::100], chain[-1]):
        await client.value(each)
    ran = [view for view in await view_jobs(shard, chain, FUNCTIONS) if view is not None]
    assert {view.status for view in ran} == {"finished"}
    assert len(ran) == len(chain)
    for before, after in pairwise(ran):
        assert before.ended_at is not None
        assert after.started_at is not None
        assert before.ended_at <= after.started_at, after.id


async def test_a_job_asks_only_for_those_it_has_waited_for(client: Client, start_worker: MakeWorker) -> None:
    await submit(client, "secret", "pid")
    await submit(client, "curious", "read_a_foreign_result")
    start_worker(client.url)
    failed = await client.wait_until_ended("curious")
    assert failed.error is not None
    assert failed.error.message == "RuntimeError: the job has not waited for 'secret'"
