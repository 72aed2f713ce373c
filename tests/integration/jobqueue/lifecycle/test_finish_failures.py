"""Recording failure: retries by RQ's rule, and the final end."""

import pytest
from redis import Redis
from rq import Queue, Retry
from rq.job import Job
from rq.registry import FailedJobRegistry

from jobqueue.inspection.counters import count
from jobqueue.lifecycle.control import cancel
from jobqueue.lifecycle.finish import Failed, Outcome, Retried, Stopped, finish
from jobqueue.lifecycle.pull import pull
from jobqueue.maintenance.periodic import move_due
from jobqueue.model import DAY_SECONDS, ClaimedJob, Reason
from jobqueue.sharding.shards import Shard
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    broke,
    fields_of,
    members,
    nearly,
    put,
    results_at,
    status_of,
    succeeded,
    take,
    ttl_of,
    waiting,
)


def _retried(job: ClaimedJob, most: int, intervals: tuple[int, ...] = (), *, at_front: bool = False) -> Retried:
    return Retried(job, "noop", 0.5, most, intervals, at_front, b"bnVsbA==")


async def test_rq_reads_the_failure(plain_shard: Shard, redis_url: str) -> None:
    await put(plain_shard, "a")
    (job,) = await take(plain_shard)
    await finish(plain_shard, "w1", [broke(job, trace="Traceback\nValueError: ü")])
    with Redis.from_url(redis_url) as connection:
        read = Job.fetch("a", connection=connection, serializer="json")
        result = read.latest_result()
        assert read.get_status() == "failed"
        assert result is not None
        assert result.exc_string == "Traceback\nValueError: ü"
        assert result.type.name == "FAILED"
        assert FailedJobRegistry(queue=Queue("default", connection=connection)).get_job_ids() == ["a"]


async def test_a_failure_is_kept_for_thirty_days_and_handed_out_never(shard: Shard) -> None:
    await put(shard, "a")
    (job,) = await take(shard)
    await finish(shard, "w1", [broke(job, Reason.TIMEOUT)], now=NOW)
    fields = await fields_of(shard, "a")
    assert (fields["status"], fields["wm_reason"]) == ("failed", "timeout")
    assert await ttl_of(shard, "job:a") in nearly(30 * DAY_SECONDS)
    assert await ttl_of(shard, "results:a") in nearly(30 * DAY_SECONDS)
    assert await members(shard, "failed:default") == {"a": NOW + 30 * DAY_SECONDS}
    assert await members(shard, "wm:leases") == await members(shard, "wip:default") == {}
    assert await pull(shard, 5, now=NOW) == []
    assert (await count(shard)).functions.failed == {"noop": 1}


@pytest.mark.parametrize(
    ("retries", "intervals"), [(1, ()), (2, (5,)), (3, (5, 10, 20)), (4, (5, 10)), (2, (7, 8, 9)), (3, (0, 5, 0))]
)
async def test_retries_follow_rqs_schedule(plain_shard: Shard, retries: int, intervals: tuple[int, ...]) -> None:
    shard, now, waits = plain_shard, NOW, []
    await put(shard, "a", retries=retries, retry_intervals=intervals)
    for attempt in range(1, retries + 1):
        (job,) = await take(shard, now=now)
        assert job.attempt == attempt
        assert (await finish(shard, "w1", [broke(job)], now=now)).again == ("a",)
        due = (await members(shard, "scheduled:default")).get("a")
        waits.append(int(due - now) if due else 0)
        if due:
            assert (await status_of(shard, "a"), await waiting(shard)) == ("scheduled", [])
            now = due
            await move_due(shard, "default", "me", now=now)
        assert (await status_of(shard, "a"), await waiting(shard)) == ("queued", ["a"])
    (job,) = await take(shard, now=now)
    assert (await finish(shard, "w1", [broke(job)], now=now)).again == ()
    assert await status_of(shard, "a") == "failed"
    assert waits == _rqs_schedule(retries, intervals)


def _rqs_schedule(retries: int, intervals: tuple[int, ...]) -> list[int]:
    """The waits that RQ itself would take."""
    with Redis() as unused:
        job = Job.create(
            "worker_node.functions.noop", connection=unused, retry=Retry(retries, interval=list(intervals or (0,)))
        )
        waits = []
        while job.retries_left:
            waits.append(job.get_retry_interval())
            job.retries_left -= 1
    return waits


async def test_a_retry_goes_to_the_tail_or_where_its_job_asked_to_the_head(shard: Shard) -> None:
    await put(shard, "front", "back", "other", retries=3)
    await shard.execute(("HSET", f"{shard.prefix}:job:front", "enqueue_at_front_on_retry", 1))
    front, back = await take(shard, 2)
    await finish(shard, "w1", [broke(back), broke(front)], now=NOW)
    assert await waiting(shard) == ["front", "other", "back"]


async def test_a_scheduled_retry_at_the_front_is_next_in_line_when_due(shard: Shard) -> None:
    await put(shard, "front", retries=1, retry_intervals=(5,))
    await shard.execute(("HSET", f"{shard.prefix}:job:front", "enqueue_at_front_on_retry", 1))
    (front,) = await take(shard)
    await finish(shard, "w1", [broke(front)], now=NOW)
    await put(shard, "other")
    await move_due(shard, "default", "me", now=NOW + 5)
    assert await waiting(shard) == ["front", "other"]


async def test_what_is_rejected_is_never_retried(shard: Shard) -> None:
    await put(shard, "rejected", "final", retries=3)
    rejected, final = await take(shard, 2)
    outcomes = [broke(rejected, Reason.REJECTED), Failed(final, "noop", 0.1, Reason.EXCEPTION, "404", final=True)]
    await finish(shard, "w1", outcomes, now=NOW)
    assert [await status_of(shard, id_) for id_ in ("rejected", "final")] == ["failed", "failed"]
    assert (await fields_of(shard, "rejected"))["wm_reason"] == "rejected"


async def test_a_returned_retry_runs_again_until_its_most_is_reached(shard: Shard) -> None:
    await put(shard, "a")
    for wait in (5, 9, 9):
        (job,) = await take(shard)
        assert (await finish(shard, "w1", [_retried(job, 3, (5, 9))], now=NOW)).again == ("a",)
        assert await members(shard, "scheduled:default") == {"a": NOW + wait}
        await move_due(shard, "default", "me", now=NOW + wait)
    (job,) = await take(shard)
    assert job.attempt == 4
    assert (await finish(shard, "w1", [_retried(job, 3, (5, 9))], now=NOW)).again == ()
    assert await status_of(shard, "a") == "failed"
    assert await _result_types(shard, "a") == ["4", "4", "4", "5"]


async def test_a_returned_retry_goes_to_the_tail_or_where_it_asks_to_the_head(shard: Shard) -> None:
    await put(shard, "front", "back", "other")
    front, back = await take(shard, 2)
    await finish(shard, "w1", [_retried(back, 1), _retried(front, 1, at_front=True)], now=NOW)
    assert await waiting(shard) == ["front", "other", "back"]


async def test_success_after_retries_is_a_success(shard: Shard) -> None:
    await put(shard, "a", retries=1)
    (job,) = await take(shard)
    await finish(shard, "w1", [_retried(job, 5)], now=NOW)
    (job,) = await take(shard)
    await finish(shard, "w1", [broke(job)], now=NOW)
    (job,) = await take(shard)
    await finish(shard, "w1", [succeeded(job, 42)], now=NOW)
    assert await status_of(shard, "a") == "finished"
    assert await results_at(shard, NOW + 7 * DAY_SECONDS - 1) == {"a"}
    assert [result.value for result in await pull(shard, 5, now=NOW)] == [b"42"]


@pytest.mark.parametrize("outcome", ["stopped", "failed", "retry"])
async def test_a_cancelled_job_is_stopped_however_it_ends_unsuccessfully(shard: Shard, outcome: str) -> None:
    await put(shard, "a", retries=3)
    (job,) = await take(shard)
    await cancel(shard, ["a"], now=NOW)
    ends: dict[str, Outcome] = {"stopped": Stopped(job, "noop", 0.1), "failed": broke(job), "retry": _retried(job, 3)}
    report = await finish(shard, "w1", [ends[outcome]], now=NOW)
    assert (report.again, await status_of(shard, "a")) == ((), "stopped")
    # RQ keeps stopped jobs among the failed ones.
    assert await members(shard, "failed:default") == {"a": NOW + 30 * DAY_SECONDS}
    assert (await count(shard)).functions.stopped == {"noop": 1}
    assert await waiting(shard) == []


async def test_a_batch_of_every_kind_of_end_is_told_apart(shard: Shard) -> None:
    await put(shard, "a", "b", "c", "d", retries=1)
    a, b, c, d = await take(shard, 4)
    await shard.execute(("SADD", f"{shard.prefix}:job:c:dependents", "x"))
    outcomes: list[Outcome] = [broke(a), succeeded(b), broke(c, Reason.REJECTED), Stopped(d, "noop", 0.1)]
    report = await finish(shard, "w1", outcomes, now=NOW)
    assert (report.lost, report.again, report.dependents) == ((), ("a",), ("c",))
    assert [await status_of(shard, id_) for id_ in "abcd"] == ["queued", "finished", "failed", "stopped"]


async def _result_types(shard: Shard, job_id: str) -> list[str]:
    (entries,) = await shard.execute(("XRANGE", f"{shard.prefix}:results:{job_id}", "-", "+"))
    return [dict(zip(words[::2], words[1::2], strict=True))[b"type"].decode() for _, words in entries]
