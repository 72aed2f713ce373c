"""Jobs are found by their labels, for as long as their records live."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest

from jobqueue import keys
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.labeled import MAX_LABELED, LabeledPage, labeled_jobs
from jobqueue.inspection.listing import InvalidCursor
from jobqueue.lifecycle.control import delete
from jobqueue.lifecycle.enqueue import EnqueueOutcome, enqueue
from jobqueue.maintenance.labels import forget_labels
from jobqueue.model import Status
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import NOW, claim_jobs, enqueue_jobs, job_fields, new_job

DAY_SECONDS = 86400


async def submit(shards: Shards, *job_ids: str, at: float = NOW, **labels: str) -> None:
    """Submit jobs with these labels, one second after the other."""
    for second, job_id in enumerate(job_ids):
        await enqueue_jobs(shards.of(job_id), job_id, now=at + second, labels=json.dumps(labels))


async def found(shards: Shards, functions: FunctionRegistry, label: str, **options: Any) -> LabeledPage:
    return await labeled_jobs(shards, functions, label, **options)


def ids_of(page: LabeledPage) -> list[str]:
    return [job.id for job in page.jobs]


async def index_of(shard: Shard) -> list[bytes]:
    """Return all keys of a shard that have to do with labels."""
    (names,) = await shard.execute(("KEYS", f"{shard.prefix.replace('{', '?').replace('}', '?')}:wm:label*"))
    return sorted(names)


async def test_jobs_are_found_by_each_label_the_newest_first_page_by_page(
    any_shards: Shards, functions: FunctionRegistry
) -> None:
    names = [f"job-{n}" for n in range(7)]
    await submit(any_shards, *names, order="42", customer="a:b ü")
    await submit(any_shards, "other", order="43")
    await enqueue_jobs(any_shards.of("plain"), "plain")
    page = await found(any_shards, functions, "order:42")
    assert (ids_of(page), page.cursor, page.incomplete) == (names[::-1], None, None)
    assert page.jobs[0].labels == {"order": "42", "customer": "a:b ü"}
    assert ids_of(await found(any_shards, functions, "customer:a:b ü")) == names[::-1]
    assert ids_of(await found(any_shards, functions, "order:44")) == []
    listed, cursor = [], None
    while True:
        page = await found(any_shards, functions, "order:42", limit=3, cursor=cursor)
        listed += ids_of(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert listed == names[::-1]
    with pytest.raises(InvalidCursor):
        await found(any_shards, functions, "order:42", cursor="nonsense")


async def test_a_search_can_be_narrowed(shards: Shards, functions: FunctionRegistry) -> None:
    await submit(shards, "a", order="42")
    await claim_jobs(shards.of("a"), now=NOW)
    await submit(shards, "b", order="42")
    await enqueue(shards.of("c"), [new_job("c", labels='{"order":"42"}', queue="q")], now=NOW)
    assert ids_of(await found(shards, functions, "order:42", status=Status.STARTED)) == ["a"]
    assert ids_of(await found(shards, functions, "order:42", queue="q")) == ["c"]
    assert ids_of(await found(shards, functions, "order:42", shows=lambda queue: queue == "q")) == ["c"]


async def test_cursors_do_not_name_jobs_that_are_not_shown(
    shards: Shards, functions: FunctionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobqueue.inspection.labeled.MAX_SEARCHED", 2)
    shard, labels = shards.all[0], '{"order":"42"}'
    queues = ("q", "secret", "secret", "q", "secret")
    names = [f"{queue}-{number}" for number, queue in enumerate(queues)]
    await enqueue(shard, [new_job(name, queue=name[:-2], labels=labels) for name in names], now=NOW)
    listed, cursor = [], None
    while True:
        page = await found(shards, functions, "order:42", shows=lambda queue: queue == "q", cursor=cursor)
        listed += ids_of(page)
        cursor = page.cursor
        if cursor is None:
            break
        assert b"secret" not in urlsafe_b64decode(cursor + "==")
    assert listed == ["q-3", "q-0"]


async def test_labels_are_part_of_what_was_submitted(shards: Shards) -> None:
    shard = shards.of("a")
    labeled, repeated, other = (new_job("a", labels=text) for text in ('{"x":"1"}', '{"x":"1"}', '{"x":"2"}'))
    outcomes = [(await enqueue(shard, [job]))[0] for job in (labeled, repeated, other)]
    assert outcomes == [EnqueueOutcome.WRITTEN, EnqueueOutcome.REPEATED, EnqueueOutcome.CONFLICT]


async def test_each_job_of_a_call_has_its_own_labels(shards: Shards, functions: FunctionRegistry) -> None:
    shard = shards.all[0]
    labels = {"a": '{"order":"42","x":"1"}', "b": None, "c": '{"order":"42"}', "d": None}
    jobs = [new_job(name, labels=text, retries=int(name == "d")) for name, text in labels.items()]
    assert set(await enqueue(shard, jobs, now=NOW)) == {EnqueueOutcome.WRITTEN}
    assert ids_of(await found(shards, functions, "order:42")) == ["c", "a"]
    assert ids_of(await found(shards, functions, "x:1")) == ["a"]
    assert {name: (await job_fields(shard, name)).get("wm_labels") for name in labels} == labels
    assert set(await enqueue(shard, jobs)) == {EnqueueOutcome.REPEATED}
    for job in jobs:
        assert await enqueue(shard, [job]) == [EnqueueOutcome.REPEATED]
    others = [job._replace(labels=None if job.labels else '{"x":"1"}') for job in jobs]
    assert set(await enqueue(shard, others)) == {EnqueueOutcome.CONFLICT}


async def test_a_job_without_labels_writes_nothing_about_them(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b")
    assert await index_of(shard) == []


async def test_an_id_that_is_used_again_without_the_label_is_not_found(
    shards: Shards, functions: FunctionRegistry
) -> None:
    await submit(shards, "a", order="42")
    await delete(shards.of("a"), ["a"])
    assert ids_of(await found(shards, functions, "order:42")) == []
    await submit(shards, "a", order="43")
    assert ids_of(await found(shards, functions, "order:42")) == []
    assert ids_of(await found(shards, functions, "order:43")) == ["a"]


async def test_labels_end_with_the_records_of_their_jobs(any_shards: Shards, functions: FunctionRegistry) -> None:
    await submit(any_shards, "a", "b", order="42")
    for name in "ab":
        assert await forget_labels(any_shards.of(name), now=NOW + DAY_SECONDS - 1) == 0
    await delete(any_shards.of("a"), ["a"])
    await forget_labels(any_shards.of("a"), now=NOW + DAY_SECONDS + 1)
    assert ids_of(await found(any_shards, functions, "order:42")) == ["b"]
    await delete(any_shards.of("b"), ["b"])
    for name in "ab":
        # Each label is looked at once a day.
        await forget_labels(any_shards.of(name), now=NOW + 2 * DAY_SECONDS + 2)
        assert await index_of(any_shards.of(name)) == []


async def test_each_shard_keeps_the_newest_jobs_of_a_label_and_says_so(
    shards: Shards, functions: FunctionRegistry
) -> None:
    shard = shards.all[0]
    key = keys.label(shard.prefix, "order:42")
    old = [text for n in range(MAX_LABELED) for text in (n + 1, f"old-{n}")]
    await shard.execute(("ZADD", key, *old))
    for number in range(3):
        await submit(shards, f"new-{number}", at=NOW + number, order="42")
        entries, oldest = await shard.execute(("ZCARD", key), ("ZRANGE", key, 0, 1))
        assert (entries, oldest[1].decode()) == (MAX_LABELED, f"old-{number + 2}")
    page = await found(shards, functions, "order:42", limit=2)
    assert ids_of(page) == ["new-2", "new-1"]
    assert page.incomplete == "each shard keeps the newest 10000 jobs of a label, and there were more"
    # Records of these are gone.
    await shard.execute(("ZADD", keys.labels(shard.prefix), 0, "order:42"))
    assert await forget_labels(shard, now=NOW) == MAX_LABELED - 4
    assert ids_of(await found(shards, functions, "order:42")) == ["new-2", "new-1", "new-0"]


async def test_a_key_of_another_type_costs_no_submission(shards: Shards, functions: FunctionRegistry) -> None:
    shard = shards.all[0]
    for key in (keys.label(shard.prefix, "order:42"), keys.labels(shard.prefix)):
        await shard.execute(("SET", key, "garbage"))
    assert ids_of(await found(shards, functions, "order:42")) == []
    await submit(shards, "a", order="42")
    assert ids_of(await found(shards, functions, "order:42")) == ["a"]
