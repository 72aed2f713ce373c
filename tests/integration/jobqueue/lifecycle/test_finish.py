"""Recording successes: the record that RQ reads, how long results are kept, and that a lost lease records nothing."""

import math
import time
from base64 import b64encode
from collections.abc import Callable, Collection
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.registry import FinishedJobRegistry, StartedJobRegistry

from jobqueue.claimed_job import ClaimedJob
from jobqueue.inspection.counters import read_counts
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.control import requeue
from jobqueue.lifecycle.dependents import enqueue_dependents
from jobqueue.lifecycle.finish import FINISH_LIMIT, Outcome, finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap
from jobqueue.lifecycle.pull import pull
from jobqueue.model import DAY_SECONDS
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    complete_jobs,
    dump_shard,
    enqueue_jobs,
    failed_outcome,
    job_status,
    key_ttl,
    nearly,
    results_kept_at,
    shard_keys,
    sorted_set,
    success_outcome,
)


async def test_rq_reads_the_result(plain_shard: Shard, redis_url: str) -> None:
    await enqueue_jobs(plain_shard, "a")
    (job,) = await claim_jobs(plain_shard)
    with Redis.from_url(redis_url) as connection:
        assert Job.fetch("a", connection=connection, serializer="json").get_status() == "started"
        await finish(plain_shard, "w1", [success_outcome(job, {"n": [1, None, "ü"]})])
        read = Job.fetch("a", connection=connection, serializer="json")
        result = read.latest_result()
        assert read.get_status() == "finished"
        assert read.return_value() == {"n": [1, None, "ü"]}
        assert result is not None
        assert (result.type.name, result.worker_name) == ("SUCCESSFUL", "w1")
        assert read.ended_at is not None
        queue = Queue("default", connection=connection, serializer="json")
        assert FinishedJobRegistry(queue=queue).get_job_ids() == ["a"]
        assert StartedJobRegistry(queue=queue).get_job_ids() == []


async def test_a_result_is_kept_for_a_week_and_its_lease_is_removed(shard: Shard) -> None:
    await complete_jobs(shard, "a")
    assert await sorted_set(shard, "wm:leases") == await sorted_set(shard, "wip:default") == {}
    counts = await read_counts(shard)
    assert counts.functions.finished == {"noop": 1}
    assert counts.functions.seconds == {"noop": 0.5}
    assert await results_kept_at(shard, NOW + 7 * DAY_SECONDS - 1) == {"a"}
    assert await results_kept_at(shard, NOW + 7 * DAY_SECONDS) == set()
    assert not [key for key in await shard_keys(shard) if key.startswith(("job:", "results:", "finished:"))]


@pytest.mark.parametrize(("ttl", "expires"), [(60, NOW + 60), (-1, math.inf), (0, -math.inf)])
async def test_a_result_is_kept_for_its_result_ttl(shard: Shard, ttl: int, expires: float) -> None:
    await complete_jobs(shard, "a", result_ttl_seconds=ttl)
    assert (await read_counts(shard)).functions.finished == {"noop": 1}
    for now in (NOW, NOW + 59, NOW + 60, NOW + 100 * 365 * DAY_SECONDS):
        assert await results_kept_at(shard, now) == ({"a"} if now < expires else set())
        assert await sorted_set(shard, "wm:feed") == ({"a": 1.0} if now < expires else {})


@pytest.mark.parametrize(("ttl", "left"), [(60, nearly(60)), (-1, [-1]), (0, [-2])])
async def test_a_result_outside_the_feed_expires_as_in_rq(shard: Shard, ttl: int, left: Collection[int]) -> None:
    """These are jobs of RQ clients, which expect RQ's behaviour."""
    await complete_jobs(shard, "a", result_ttl_seconds=ttl, feed=False)
    assert await key_ttl(shard, "job:a") in left
    assert await key_ttl(shard, "results:a") in left
    kept = {60: {"a": NOW + 60}, -1: {"a": math.inf}, 0: {}}[ttl]
    assert await sorted_set(shard, "finished:default") == kept


@pytest.mark.parametrize("fields", [{}, {"feed": False}, {"feed": False, "result_ttl_seconds": -1}], ids=str)
async def test_results_that_are_alike_are_recorded_like_any_other(shard: Shard, fields: dict[str, Any]) -> None:
    values = {"a": 1, "b": 1, "c": 2, "d": 2, "e": 2, "f": 1}
    await enqueue_jobs(shard, *values, "alone", **fields)
    jobs = await claim_jobs(shard, 7)
    await finish(shard, "w1", [success_outcome(job, values[job.id]) for job in jobs[:6]], now=NOW)
    await finish(shard, "w1", [success_outcome(jobs[6], 1)], now=NOW)
    (alone,) = await _results(shard, "alone")
    for job_id, value in values.items():
        expected = alone if value == 1 else {**alone, "return_value": b64encode(b"%d" % value).decode()}
        assert await _results(shard, job_id) == [expected], job_id
        for key in ("job:", "results:"):
            assert await key_ttl(shard, key + job_id) in nearly(await key_ttl(shard, f"{key}alone")), (key, job_id)


@pytest.mark.parametrize("retried", ["a", "b", "c", "d"])
async def test_an_earlier_attempt_stays_with_its_job_alone(shard: Shard, retried: str) -> None:
    earlier = {"type": "4", "worker_name": "w0", "return_value": ""}
    await enqueue_jobs(shard, "a", "b", "c", "d")
    fields = [text for field in earlier.items() for text in field]
    await shard.execute(("XADD", f"{shard.prefix}:results:{retried}", "1-1", *fields))
    await finish(shard, "w1", [success_outcome(job) for job in await claim_jobs(shard, 4)], now=NOW)
    last = {"type": "1", "worker_name": "w1", "return_value": b64encode(b'"done"').decode()}
    for job_id in ("a", "b", "c", "d"):
        assert await _results(shard, job_id) == ([earlier, last] if job_id == retried else [last]), job_id


async def _results(shard: Shard, job_id: str) -> list[dict[str, str]]:
    (entries,) = await shard.execute(("XRANGE", f"{shard.prefix}:results:{job_id}", "-", "+"))
    texts = [[text.decode() for text in flat] for _, flat in entries]
    return [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in texts]


async def test_a_job_that_ends_twice_expires_after_its_second_end(shard: Shard) -> None:
    """It failed and was requeued, by our `requeue` or by RQ, which leaves the TTL of the results unchanged."""
    await enqueue_jobs(shard, "ours", "rq")
    await finish(shard, "w1", [failed_outcome(job) for job in await claim_jobs(shard, 2)], now=NOW)
    await requeue(shard, ["ours"], now=NOW)
    await shard.execute(
        ("HSET", f"{shard.prefix}:job:rq", "status", "queued", "ended_at", ""),
        ("ZREM", f"{shard.prefix}:failed:default", "rq"),
        ("RPUSH", f"{shard.prefix}:queue:default", "rq"),
    )
    await finish(shard, "w1", [success_outcome(job) for job in await claim_jobs(shard, 2)], now=NOW)
    for job_id in ("ours", "rq"):
        assert await key_ttl(shard, f"job:{job_id}") == await key_ttl(shard, f"results:{job_id}") == -1
    assert await results_kept_at(shard, NOW + 7 * DAY_SECONDS - 1) == {"ours", "rq"}
    assert await results_kept_at(shard, NOW + 7 * DAY_SECONDS) == set()


async def test_a_job_requeued_by_an_rq_client_outlives_its_result(shard: Shard) -> None:
    """RQ leaves the job's entry in the registry of finished jobs."""
    await complete_jobs(shard, "a")
    await shard.execute(("HSET", f"{shard.prefix}:job:a", "status", "queued"))
    assert await results_kept_at(shard, NOW + 7 * DAY_SECONDS) == {"a"}
    assert await sorted_set(shard, "finished:default") == {}


async def test_rqs_registry_cleanup_leaves_feed_results_alone(plain_shard: Shard, redis_url: str) -> None:
    """RQ's maintenance removes expired entries of the registry, which would leave the keys of their jobs behind."""
    await complete_jobs(plain_shard, "a", now=time.time() - 8 * DAY_SECONDS)
    with Redis.from_url(redis_url) as connection:
        FinishedJobRegistry("default", connection=connection).cleanup()
    assert await results_kept_at(plain_shard, time.time()) == set()
    assert "job:a" not in await shard_keys(plain_shard)


@pytest.mark.parametrize("order", ["a3 b1 a2 b2 a1", "b1 b2 a1 a2 a3", "a3 b2 b1 a2 a1", "a2 b1 b2 a1 a3"])
async def test_the_feed_keeps_the_order_of_a_mixed_batch_of_outcomes(shard: Shard, order: str) -> None:
    """The jobs differ in queue, token and function, so that the script gets them in several groups."""
    await enqueue_jobs(shard, "a1", "a2", "a3")
    await enqueue_jobs(shard, "b1", "b2", queue="high")
    (b1, b2), (a1, a2), (a3,) = [
        await claim_jobs(shard, 2, "high"),
        await claim_jobs(shard, 2),
        await claim_jobs(shard, 1),
    ]
    outcomes = {job.id: success_outcome(job) for job in (a1, a3, b1, b2)}
    outcomes["a2"] = success_outcome(a2, function="other")
    await finish(shard, "w1", [outcomes[id_] for id_ in order.split()], now=NOW)
    assert [result.job_id for result in await pull(shard, 9, order="oldest", now=NOW)] == order.split()


async def test_a_job_with_feed_off_is_not_pulled(shard: Shard) -> None:
    await complete_jobs(shard, "quiet", feed=False)
    await complete_jobs(shard, "loud")
    assert [result.job_id for result in await pull(shard, 9, now=NOW)] == ["loud"]


async def test_more_outcomes_than_the_finish_limit_are_recorded(shard: Shard) -> None:
    ids = [f"job-{number}" for number in range(4 * FINISH_LIMIT + 5)]
    await enqueue_jobs(shard, *ids)
    jobs = [job for _ in range(5) for job in await claim_jobs(shard, len(ids))]
    report = await finish(shard, "w1", [success_outcome(job) for job in jobs], now=NOW)
    assert report.lost == ()
    assert [result.job_id for result in await pull(shard, 10_000, order="oldest", now=NOW)] == ids


@pytest.mark.parametrize("outcome", [success_outcome, failed_outcome])
@pytest.mark.parametrize("lost_how", ["released", "reaped", "claimed by another", "finished", "failed"])
async def test_finish_and_extend_without_a_lease_change_nothing(
    shard: Shard, outcome: Callable[[ClaimedJob], Outcome], lost_how: str
) -> None:
    await enqueue_jobs(shard, "a", retries=1)
    (stale,) = await claim_jobs(shard)
    match lost_how:
        case "released":
            await release(shard, [stale], now=NOW)
        case "reaped" | "claimed by another":
            await reap(shard, now=NOW)
            await reap(shard, now=LEASE_EXPIRED)
            if lost_how == "claimed by another":
                await claim_jobs(shard, worker="w2", now=LEASE_EXPIRED)
        case "finished":
            await finish(shard, "w1", [success_outcome(stale)], now=NOW)
        case "failed":
            await finish(shard, "w1", [failed_outcome(stale)], now=NOW)
    before = await dump_shard(shard)
    report = await finish(shard, "w1", [outcome(stale)], now=LEASE_EXPIRED + 1)
    extension = await extend(shard, "w1", [LeaseUpdate(stale, NOW)], now=LEASE_EXPIRED + 1)
    assert (report.lost, report.retried, extension.lost) == (("a",), (), (stale,))
    assert await dump_shard(shard) == before


async def test_a_lost_lease_does_not_affect_the_rest_of_its_batch(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", "c")
    a, b, c = await claim_jobs(shard, 3)
    await release(shard, [b], now=NOW)
    report = await finish(shard, "w1", [success_outcome(a), success_outcome(b), success_outcome(c)], now=NOW)
    assert report.lost == ("b",)
    assert [await job_status(shard, id_) for id_ in "abc"] == ["finished", "queued", "finished"]
    functions = (await read_counts(shard)).functions
    assert (functions.finished, functions.seconds) == ({"noop": 2}, {"noop": 1.0})


async def test_a_job_deleted_while_it_ran_leaves_nothing_behind(shard: Shard) -> None:
    """RQ's own `Job.delete` deletes the record of a running job."""
    await enqueue_jobs(shard, "a", "b", "c")
    a, b, c = await claim_jobs(shard, 3)
    await shard.execute(("DEL", *(f"{shard.prefix}:job:{id_}" for id_ in "abc")))
    assert (await extend(shard, "w1", [LeaseUpdate(c, NOW)], now=NOW)).lost == (c,)
    report = await finish(shard, "w1", [success_outcome(a), failed_outcome(b), success_outcome(c)], now=NOW)
    assert set(report.lost) == {"a", "b", "c"}
    assert await shard_keys(shard) == {"queues", "wm:enqueued", "wm:claim:w1"}


async def test_finishing_a_job_deletes_its_execution_record(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b")
    a, b = await claim_jobs(shard, 2)
    await extend(shard, "w1", [LeaseUpdate(a, NOW - 5), LeaseUpdate(b, NOW - 5)], now=NOW)
    assert any(key.startswith("execution") for key in await shard_keys(shard))
    await finish(shard, "w1", [success_outcome(a, has_execution_record=True), failed_outcome(b)], now=NOW)
    assert not [key for key in await shard_keys(shard) if "execution" in key]


async def test_jobs_with_dependents_are_reported_even_without_a_kept_result(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b")
    await enqueue_jobs(shard, "c", result_ttl_seconds=0)
    jobs = await claim_jobs(shard, 3)
    await shard.execute(*(("SADD", f"{shard.prefix}:job:{id_}:dependents", "x") for id_ in "bc"))
    report = await finish(shard, "w1", [success_outcome(job) for job in jobs], now=NOW)
    assert set(report.parents) == {"b", "c"}
    assert (await enqueue_dependents(shard, now=NOW), "wm:rq-parents" in await shard_keys(shard)) == (0, False)
    assert await job_status(shard, "c") is None
