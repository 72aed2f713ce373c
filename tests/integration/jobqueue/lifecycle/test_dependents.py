"""Dependent jobs of RQ clients: they are queued by RQ's own code, without unpickling anything."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import view_jobs
from jobqueue.lifecycle.dependents import CLUSTER_NOTE, enqueue_dependents
from jobqueue.lifecycle.finish import finish
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    enqueue_jobs,
    job_status,
    queued_ids,
    shard_keys,
    success_outcome,
)
from workmanager.local.valkey_cluster import ValkeyCluster


@pytest.fixture
def connection(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


class CreatesFileWhenUnpickled:
    """An object that creates a file when it is unpickled."""

    def __init__(self, created: Path) -> None:
        self._created = created

    def __reduce__(self) -> Any:
        return Path.touch, (self._created,)


async def _run_parent(shard: Shard) -> None:
    (job,) = await claim_jobs(shard)
    report = await finish(shard, "w1", [success_outcome(job)], now=NOW)
    assert report.parents == ("parent",)


@pytest.mark.parametrize("serializer", ["json", "pickle"])
async def test_a_dependent_is_queued_when_its_parent_has_finished(
    plain_shard: Shard, connection: Redis, redis_url: str, serializer: str
) -> None:
    queue = Queue("default", connection=connection, serializer=serializer)
    parent = queue.enqueue("math.floor", 1.5, job_id="parent", meta={"a": 1})
    queue.enqueue("math.floor", 2.5, job_id="child", depends_on=parent, meta={"b": [2]})
    assert (await queued_ids(plain_shard), await job_status(plain_shard, "child")) == (["parent"], "deferred")
    await _run_parent(plain_shard)
    assert await enqueue_dependents(plain_shard, redis_url) == 1
    assert (await queued_ids(plain_shard), await job_status(plain_shard, "child")) == (["child"], "queued")
    child = Job.fetch("child", connection=connection, serializer=serializer)
    assert (child.meta, child.args, child.func_name) == (
        {"b": [2]},
        (2.5,) if serializer == "pickle" else [2.5],
        "math.floor",
    )
    assert await enqueue_dependents(plain_shard, redis_url) == 0


async def test_no_pickled_data_is_loaded(plain_shard: Shard, connection: Redis, redis_url: str, tmp_path: Path) -> None:
    created = tmp_path / "created"
    queue = Queue("default", connection=connection)
    parent = queue.enqueue("math.floor", 1.5, job_id="parent")
    queue.enqueue("math.floor", 2.5, job_id="child", depends_on=parent)
    for job_id in ("parent", "child"):
        connection.hset(f"rq:job:{job_id}", "meta", pickle.dumps(CreatesFileWhenUnpickled(created)))
        connection.hset(f"rq:job:{job_id}", "result", pickle.dumps(CreatesFileWhenUnpickled(created)))
    await _run_parent(plain_shard)
    await enqueue_dependents(plain_shard, redis_url)
    assert await queued_ids(plain_shard) == ["child"]
    assert not created.exists()


async def test_a_parent_that_rq_cannot_load_does_not_stop_the_others(
    plain_shard: Shard, connection: Redis, redis_url: str
) -> None:
    queue = Queue("default", connection=connection, serializer="json")
    parent = queue.enqueue("math.floor", 1.5, job_id="parent")
    queue.enqueue("math.floor", 2.5, job_id="child", depends_on=parent)
    await enqueue_jobs(plain_shard, "unreadable")
    connection.hset("rq:job:unreadable", "created_at", "nonsense")
    connection.sadd("rq:wm:dependents", "unreadable", "gone")
    await _run_parent(plain_shard)
    assert await enqueue_dependents(plain_shard, redis_url) == 3
    assert "child" in await queued_ids(plain_shard)
    assert "wm:dependents" not in await shard_keys(plain_shard)


async def test_on_a_cluster_the_parent_reports_that_dependents_are_not_queued(
    cluster: ValkeyCluster, functions: FunctionRegistry
) -> None:
    shards = await Shards.connect(cluster.url)
    (shard, *_) = shards
    await enqueue_jobs(shard, "parent")
    await shard.execute(("SADD", f"{shard.prefix}:job:parent:dependents", "child"))
    await _run_parent(shard)
    assert await enqueue_dependents(shard, "") == 1
    (view,) = await view_jobs(shard, ["parent"], functions)
    assert view is not None
    assert view.error is not None
    assert view.error.message == CLUSTER_NOTE
    await shards.close()
