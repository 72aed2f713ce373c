"""Plain RQ clients of a cluster use one shard: RQ_KEY_PREFIX is its prefix, and their URL is its master's."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.crc import key_slot

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import view_jobs
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.dependents import enqueue_dependents
from jobqueue.lifecycle.finish import finish
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import success_outcome
from tests.integration.plain_rq.conftest import ROOT
from workmanager.local.valkey_cluster import ValkeyCluster

ENQUEUE = """
job = queue.enqueue("operator.add", 20, 22, job_id=arguments.get("id"))
child = queue.enqueue("operator.neg", 1, depends_on=job) if arguments["with_child"] else None
print(json.dumps([job.id, child and child.id]))
"""
FETCH = """
job = Job.fetch(arguments["id"], connection=connection, serializer="json")
print(json.dumps([job.get_status().value, job.return_value()]))
"""
PREAMBLE = """
import json, sys
from redis import Redis
from rq import Queue
from rq.job import Job
arguments = json.loads(sys.argv[1])
connection = Redis.from_url(arguments["url"])
queue = Queue(connection=connection, serializer="json")
"""

RunRqClient = Callable[..., Any]


@pytest.fixture
async def cluster_shards(cluster: ValkeyCluster) -> AsyncIterator[Shards]:
    shards = await Shards.connect(cluster.url)
    yield shards
    await shards.close()


@pytest.fixture
def shard(cluster_shards: Shards) -> Shard:
    return cluster_shards.all[3]


@pytest.fixture
async def run_rq_client(cluster_shards: Shards, shard: Shard) -> RunRqClient:
    """Run a snippet of an RQ client's program against the shard."""
    master = await cluster_shards.topology.master_of(key_slot(shard.prefix.encode()))

    def run(program: str, **arguments: object) -> Any:
        encoded = json.dumps({"url": f"redis://{master.address}", **arguments})
        completed = subprocess.run(
            [sys.executable, "-c", PREAMBLE + program, encoded],
            env={**os.environ, "RQ_KEY_PREFIX": shard.prefix},
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=120,
        )
        return json.loads(completed.stdout)

    return run


async def test_a_job_of_an_rq_client_is_run_and_its_result_read_back(shard: Shard, run_rq_client: RunRqClient) -> None:
    job_id, _ = run_rq_client(ENQUEUE, with_child=False)
    (job,) = await claim(shard, "worker", ["default"], 1)
    assert job.id == job_id
    await finish(shard, "worker", [success_outcome(job, 42, function="operator.add")])
    assert run_rq_client(FETCH, id=job_id) == ["finished", 42]


async def test_a_job_of_an_rq_client_is_found_though_its_id_hashes_elsewhere(
    cluster_shards: Shards, shard: Shard, run_rq_client: RunRqClient
) -> None:
    ids = [cluster_shards.new_id(other) for other in (cluster_shards.all[0], shard, cluster_shards.all[-1])]
    for job_id in ids:
        assert run_rq_client(ENQUEUE, with_child=False, id=job_id)[0] == job_id
    assert [await find_shard(cluster_shards, job_id) for job_id in ids] == [shard] * 3
    assert await find_shard(cluster_shards, "nobody") is None


async def test_dependents_of_an_rq_client_are_queued(
    shard: Shard, run_rq_client: RunRqClient, functions: FunctionRegistry
) -> None:
    job_id, child_id = run_rq_client(ENQUEUE, with_child=True)
    (job,) = await claim(shard, "worker", ["default"], 1)
    (child,) = await view_jobs(shard, [child_id], functions)
    assert (child.status, child.depends_on) == ("deferred", (job_id,))
    await finish(shard, "worker", [success_outcome(job, 42, function="operator.add")])
    assert await enqueue_dependents(shard) == 1
    (job,) = await claim(shard, "worker", ["default"], 1)
    assert (job.id, job.rq_features) == (child_id, "d")
