"""Views of jobs: what users see of a job in each state."""

import pickle
import zlib
from base64 import b64encode
from dataclasses import replace

from redis import Redis
from rq import Queue

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_states import read_statuses
from jobqueue.inspection.job_views import view_jobs
from jobqueue.job_view import JobView
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.finish import finish
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import NOW, claim_jobs, enqueue_jobs, failed_outcome, success_outcome


async def _view(shard: Shard, job_id: str, functions: FunctionRegistry) -> JobView:
    (view,) = await view_jobs(shard, [job_id], functions)
    assert view is not None
    return view


async def test_a_job_view_follows_the_job_from_queued_to_finished(shard: Shard, functions: FunctionRegistry) -> None:
    await enqueue_jobs(shard, "a", queue="high", retries=1, meta=b'{"tenant": "x"}')
    view = await _view(shard, "a", functions)
    assert (view.function, view.queue, view.status, view.attempts) == ("noop", "high", "queued", 0)
    assert (view.meta, view.result, view.error, view.worker) == ({"tenant": "x"}, None, None, None)
    assert view.created_at == view.enqueued_at == "2030-03-17T17:46:40.000000Z"
    assert view.started_at is view.ended_at is None

    (job,) = await claim_jobs(shard, 1, "high", now=NOW + 1)
    view = await _view(shard, "a", functions)
    assert (view.status, view.attempts, view.worker) == ("started", 1, "w1")
    assert (view.started_at, view.ended_at) == ("2030-03-17T17:46:41.000000Z", None)

    await finish(shard, "w1", [failed_outcome(job)], now=NOW + 2)
    view = await _view(shard, "a", functions)
    assert (view.status, view.error, view.ended_at) == ("queued", None, None)

    (job,) = await claim_jobs(shard, 1, "high", now=NOW + 3)
    await finish(shard, "w1", [success_outcome(job, {"n": 1})], now=NOW + 4)
    view = await _view(shard, "a", functions)
    assert (view.status, view.result, view.attempts) == ("finished", b'{"n": 1}', 2)
    assert (view.error, view.ended_at) == (None, "2030-03-17T17:46:44.000000Z")


async def test_a_failed_job_shows_reason_message_and_traceback(shard: Shard, functions: FunctionRegistry) -> None:
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    trace = "Traceback (most recent call last):\n  x\nValueError: boom ü\n"
    await finish(shard, "w1", [failed_outcome(job, traceback=trace)], now=NOW)
    error = (await _view(shard, "a", functions)).error
    assert error is not None
    assert (error.reason, error.message, error.traceback) == ("exception", "ValueError: boom ü", trace)


async def test_a_released_job_counts_no_attempt(shard: Shard, functions: FunctionRegistry) -> None:
    await enqueue_jobs(shard, "a")
    await release(shard, await claim_jobs(shard), now=NOW)
    view = await _view(shard, "a", functions)
    assert (view.status, view.attempts, view.started_at, view.worker) == ("queued", 0, None, None)


async def test_a_pickled_rq_job_is_shown_without_unpickling(
    plain_shard: Shard, redis_url: str, functions: FunctionRegistry
) -> None:
    with Redis.from_url(redis_url) as connection:
        job = Queue("default", connection=connection).enqueue("math.factorial", 5, job_id="a", meta={"k": 1})
    view = await _view(plain_shard, job.id, functions)
    assert (view.function, view.status, view.meta) == ("math.factorial", "queued", None)
    (claimed,) = await claim_jobs(plain_shard)
    assert not claimed.from_http
    outcome = success_outcome(claimed, function="math.factorial")
    await finish(plain_shard, "w1", [replace(outcome, value=b64encode(pickle.dumps(120)))])
    view = await _view(plain_shard, "a", functions)
    assert (view.status, view.result) == ("finished", None)


async def test_a_json_rq_job_is_decoded(plain_shard: Shard, redis_url: str, functions: FunctionRegistry) -> None:
    with Redis.from_url(redis_url) as connection:
        queue = Queue("default", connection=connection, serializer="json")
        queue.enqueue("worker_node.functions.noop", job_id="a", meta={"k": 1})
        data = connection.hget("rq:job:a", "data")
    assert isinstance(data, bytes)
    assert zlib.decompress(data).startswith(b"[")
    view = await _view(plain_shard, "a", functions)
    assert (view.function, view.meta) == ("noop", {"k": 1})


async def test_many_jobs_are_viewed_at_once_and_missing_ones_are_none(
    shard: Shard, functions: FunctionRegistry
) -> None:
    await enqueue_jobs(shard, "a", "b")
    views = await view_jobs(shard, ["b", "nobody", "a"], functions)
    assert [view.id if view else None for view in views] == ["b", None, "a"]
    assert await read_statuses(shard, ["a", "nobody"]) == ["queued", None]
    assert await view_jobs(shard, [], functions) == []


async def test_a_job_is_found_on_its_own_shard_and_on_any_other(any_shards: Shards) -> None:
    job_id = any_shards.new_id(any_shards.all[0])
    await enqueue_jobs(any_shards.all[0], job_id)
    # An RQ client on one shard of a cluster writes ids that hash to another.
    await enqueue_jobs(any_shards.all[-1], "stray")
    home, stray = await find_shard(any_shards, job_id), await find_shard(any_shards, "stray")
    assert home is any_shards.all[0]
    assert stray is any_shards.all[-1]
    assert await find_shard(any_shards, "nobody") is None
