"""What one job shows: its arguments, its limits, what it waits for, and what is known about its result."""

import json
import os
import pickle
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis
from rq import Queue

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.arguments import LISTED
from jobqueue.inspection.job_views import view_jobs
from jobqueue.inspection.listing import list_jobs
from jobqueue.inspection.record_views import PICKLED_RESULT
from jobqueue.job_view import JobView
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.model import MAX_RESULT_BYTES, NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import NOW, claim_jobs, enqueue_jobs, failed_outcome, success_outcome

PATH = "worker_node.functions.noop"


async def _view(shard: Shard, job_id: str, functions: FunctionRegistry, **options: Any) -> JobView:
    (view,) = await view_jobs(shard, [job_id], functions, **options)
    assert view is not None
    return view


async def test_a_job_shows_its_arguments_timeout_and_retries_left(shard: Shard, functions: FunctionRegistry) -> None:
    data = json.dumps([PATH, None, [1, "two"], {"three": 3, "data": "A" * 1_000_000}]).encode()
    await enqueue(shard, [NewJob("a", "noop", data, timeout_seconds=77, retries=2)])
    view = await _view(shard, "a", functions)
    assert (view.args, view.timeout_seconds, view.retries_left) == ([1, "two"], 77, 2)
    assert view.kwargs is not None
    assert view.kwargs["three"] == 3
    assert str(view.kwargs["data"]).endswith("AAA… (1000000 characters)")
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(job)])
    assert (await _view(shard, "a", functions)).retries_left == 1
    hidden = await _view(shard, "a", functions, hide_arguments_of=["noop"])
    assert (hidden.args, hidden.kwargs) == (None, None)
    assert "WORKMANAGER_HIDE_ARGUMENTS" in str(hidden.arguments_note)


async def test_a_scheduled_job_shows_when_it_is_due(shards: Shards, functions: FunctionRegistry) -> None:
    (shard,) = shards
    await enqueue_jobs(shard, "a", queue="a b:ü", due_at=NOW + 3600.5)
    view = await _view(shard, "a", functions)
    assert (view.status, view.due_at) == ("scheduled", "2030-03-17T18:46:40.500000Z")
    (listed,) = (await list_jobs(shards, functions)).jobs
    assert listed.due_at == view.due_at
    await shard.execute(("ZADD", "rq:scheduled:a b:ü", "inf", "a"))
    assert (await _view(shard, "a", functions)).due_at is None


async def test_a_deferred_job_shows_what_it_waits_for(
    plain_shard: Shard, redis_url: str, functions: FunctionRegistry
) -> None:
    with Redis.from_url(redis_url) as connection:
        queue = Queue("default", connection=connection, serializer="json")
        for name in ("first", "second"):
            queue.enqueue(PATH, job_id=name)
        queue.enqueue(PATH, job_id="child", depends_on=["first", "second"], job_timeout=-1)
    view = await _view(plain_shard, "child", functions)
    assert (view.status, view.depends_on, view.timeout_seconds) == ("deferred", ("first", "second"), None)
    assert (view.args, view.kwargs) == ([], {})


async def test_a_pickled_result_tells_its_kind_its_size_and_how_to_read_it(
    shards: Shards, redis_url: str, functions: FunctionRegistry
) -> None:
    (shard,) = shards
    with Redis.from_url(redis_url) as connection:
        Queue("default", connection=connection).enqueue("math.factorial", 5, job_id="a")
    (job,) = await claim_jobs(shard)
    result = pickle.dumps([120] * 100)
    outcome = success_outcome(job, function="math.factorial")
    await finish(shard, "w1", [replace(outcome, value=b64encode(result))])
    view = await _view(shard, "a", functions)
    assert (view.status, view.result) == ("finished", None)
    assert view.result_note is not None
    assert (view.result_note.kind, view.result_note.size_bytes) == ("pickle", len(result))
    assert view.result_note.note == PICKLED_RESULT
    assert "Job.fetch" in str(view.arguments_note)
    (listed,) = (await list_jobs(shards, functions)).jobs
    assert listed.result_note == view.result_note


async def test_a_listing_names_the_function_of_a_large_rq_job(
    shards: Shards, redis_url: str, functions: FunctionRegistry
) -> None:
    with Redis.from_url(redis_url) as connection:
        for name, serializer in (("a", "json"), ("b", "pickle")):
            queue = Queue("default", connection=connection, serializer=serializer)
            queue.enqueue(PATH, os.urandom(30_000).hex(), job_id=name)
    listed = (await list_jobs(shards, functions)).jobs
    assert [(job.id, job.function) for job in listed] == [("a", "noop"), ("b", "noop")]


async def test_a_result_of_none_is_told_from_one_that_is_not_shown(shard: Shard, functions: FunctionRegistry) -> None:
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [success_outcome(job, None)])
    view = await _view(shard, "a", functions)
    assert (view.result, view.result_note) == (b"null", None)


async def test_the_largest_result_is_shown_of_one_job_and_left_out_of_a_listing(
    shards: Shards, functions: FunctionRegistry
) -> None:
    (shard,) = shards
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(shard)
    text = "x" * (MAX_RESULT_BYTES - 2)
    await finish(shard, "w1", [success_outcome(job, text)])
    view = await _view(shard, "a", functions)
    assert (view.result, view.result_note) == (f'"{text}"'.encode(), None)
    (listed,) = (await list_jobs(shards, functions)).jobs
    assert (listed.result, listed.args, listed.arguments_note) == (None, None, LISTED)
    assert listed.result_note is not None
    assert listed.result_note.kind == "json"
    assert MAX_RESULT_BYTES < listed.result_note.size_bytes < 3 * MAX_RESULT_BYTES
    assert "GET /jobs/ID" in listed.result_note.note


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"timeout": "10m"}, {"timeout_seconds": 180}),
        ({"timeout": "-1"}, {"timeout_seconds": None}),
        ({"retries_left": "many"}, {"retries_left": 0}),
        ({"dependency_ids": "[" * 5000}, {"depends_on": ()}),
        ({"dependency_ids": "{}"}, {"depends_on": ()}),
        ({"dependency_ids": json.dumps([1, None, ["x"]])}, {"depends_on": ("1", "None", "['x']")}),
        ({"dependency_ids": '["\\ud800"]'}, {"depends_on": ("?",)}),
        ({"dependency_id": "old"}, {"depends_on": ("old",)}),
        ({"meta": "x" * 3_000_000}, {"meta": None}),
        ({"data": "x" * 3_000_000}, {"args": None, "arguments_note": "not shown: the call has 3000000 bytes"}),
        ({"description": "é" * 100_000}, {"args": []}),
    ],
)
async def test_fields_of_other_writers_are_shown_or_left_out(
    shards: Shards, functions: FunctionRegistry, fields: dict[str, str], shown: dict[str, Any]
) -> None:
    (shard,) = shards
    await enqueue_jobs(shard, "a", "b")
    await shard.execute(("HSET", "rq:job:a", *(word for field in fields.items() for word in field)))
    view = await _view(shard, "a", functions)
    assert {name: getattr(view, name) for name in shown} == shown
    assert [job.id for job in (await list_jobs(shards, functions)).jobs] == ["a", "b"]


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        (pickle.dumps({"k": 1}), "Job.fetch"),
        (b"\xff\xfe", "it is not JSON"),
        (b'{"k": NaN}', "it is not JSON"),
        (b'{"k": 1', "it is not JSON"),
        (b"[1]", "it is no JSON object"),
        (b'{"k": 1e999}', "too large"),
        (b'{"k": ' + b"[" * 500 + b"]" * 500 + b"}", "nested more than"),
        (b'{"k": "%b"}' % (b"x" * 3_000_000), "left out because of its 3000009 bytes"),
    ],
)
async def test_meta_that_cannot_be_shown_says_why(
    shards: Shards, functions: FunctionRegistry, meta: bytes, reason: str
) -> None:
    (shard,) = shards
    await enqueue_jobs(shard, "a", "b")
    await shard.execute(("HSET", "rq:job:a", "meta", meta))
    view, other = await view_jobs(shard, ["a", "b"], functions)
    assert view is not None
    assert other is not None
    assert (view.meta, reason in str(view.meta_note)) == (None, True)
    assert (other.meta, other.meta_note) == ({}, None)
    listed, _ = (await list_jobs(shards, functions)).jobs
    assert (listed.meta, listed.meta_note) == (None, view.meta_note)


async def test_a_listing_says_that_it_leaves_out_long_meta(shards: Shards, functions: FunctionRegistry) -> None:
    await enqueue_jobs(shards.all[0], "a", meta=b'{"k": "%b"}' % (b"x" * 100_000))
    (listed,) = (await list_jobs(shards, functions)).jobs
    assert listed.meta is None
    assert listed.meta_note == "left out because of its 100009 bytes: GET /jobs/ID shows up to 1 MiB"
    shown = await _view(shards.all[0], "a", functions)
    assert (len((shown.meta or {})["k"]), shown.meta_note) == (100_000, None)


async def test_the_version_that_ran_is_shown_for_success_and_failure(shard: Shard, functions: FunctionRegistry) -> None:
    await enqueue_jobs(shard, "a", "b", "c")
    first, second, third = await claim_jobs(shard, 3)
    outcomes = [
        replace(success_outcome(first), version="0123456789ab"),
        replace(failed_outcome(second), version="ba9876543210"),
        success_outcome(third),
    ]
    await finish(shard, "w1", outcomes)
    versions = [(await _view(shard, job_id, functions)).version for job_id in "abc"]
    assert versions == ["0123456789ab", "ba9876543210", None]
