"""Limits and fair keys: which jobs a claim takes, and when a place comes free."""

import re

import pytest

from jobqueue import keys
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap
from jobqueue.lifecycle.limits import delete_limit, list_limits, park_limit, read_limit, save_limit, sweep_limits
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.maintenance.rq_wakeups import wake_workers
from jobqueue.model import DAY_SECONDS, Limit
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    job_fields,
    job_status,
    queued_ids,
    sorted_set,
    stopped_outcome,
    success_outcome,
)

ONE_AT_A_TIME = (Limit("k", concurrency=1),)
WAYS_TO_END = ("finish", "fail", "stop", "release", "lose", "retry")


async def claimed(shard: Shard, count: int = 10, now: float = NOW) -> list[str]:
    return [job.id for job in await claim_jobs(shard, count, now=now)]


async def test_no_more_jobs_run_than_the_limit_says(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", "c", "d", limits=(Limit("k", concurrency=2),))
    await enqueue_jobs(shard, "free")
    assert [await job_status(shard, name) for name in "abcd"] == ["deferred"] * 4
    jobs = await claim_jobs(shard, 10)
    assert {job.id for job in jobs} == {"a", "b", "free"}
    assert await claimed(shard) == []
    first = next(job for job in jobs if job.id == "a")
    await finish(shard, "w1", [success_outcome(first)], now=NOW)
    assert await claimed(shard) == ["c"]
    assert await claimed(shard) == []
    assert (await sorted_set(shard, "wm:limit-holders:k")).keys() == {"b", "c"}


@pytest.mark.parametrize("way", WAYS_TO_END)
async def test_a_place_comes_free_however_a_job_ends(shard: Shard, way: str) -> None:
    await enqueue_jobs(shard, "a", limits=ONE_AT_A_TIME, retries=1, retry_intervals=(3600,))
    await enqueue_jobs(shard, "b", limits=ONE_AT_A_TIME)
    (job,) = await claim_jobs(shard, 10)
    assert await claimed(shard) == []
    match way:
        case "finish":
            await finish(shard, "w1", [success_outcome(job)], now=NOW)
        case "fail" | "retry":
            await finish(shard, "w1", [failed_outcome(job)], now=NOW)
        case "stop":
            await cancel(shard, ["a"], now=NOW)
            await finish(shard, "w1", [stopped_outcome(job)], now=NOW)
        case "release":
            assert await release(shard, [job], now=NOW) == 1
        case "lose":
            assert len(await reap(shard, now=LEASE_EXPIRED)) == 1
    # One that goes back stands first in its lane.
    assert await claimed(shard) == (["a"] if way in ("release", "lose") else ["b"])
    assert await claimed(shard) == []
    if way == "retry":
        assert await enqueue_due(shard, "default", "me", now=NOW + 3601) == 1
        assert await job_status(shard, "a") == "deferred"


async def test_a_lane_that_waits_does_not_keep_others_from_running(shard: Shard) -> None:
    await enqueue_jobs(shard, *[f"blocked-{n}" for n in range(500)], limits=ONE_AT_A_TIME)
    await enqueue_jobs(shard, "other", limits=(Limit("other", concurrency=1),))
    await enqueue_jobs(shard, "free")
    assert await claimed(shard, 3) == ["blocked-0", "other", "free"]


async def test_a_job_needs_a_place_of_each_of_its_limits(shard: Shard) -> None:
    tenant, api = Limit("tenant", concurrency=2), Limit("api", concurrency=1)
    await enqueue_jobs(shard, "both", limits=(tenant, api))
    await enqueue_jobs(shard, "api-only", limits=(api,))
    await enqueue_jobs(shard, "tenant-1", "tenant-2", limits=(tenant,))
    jobs = {job.id: job for job in await claim_jobs(shard, 10)}
    assert jobs.keys() == {"both", "tenant-1"}
    await finish(shard, "w1", [success_outcome(jobs["both"])], now=NOW)
    assert set(await claimed(shard)) == {"api-only", "tenant-2"}


async def test_a_free_place_that_one_lane_cannot_use_goes_to_the_next(shard: Shard) -> None:
    """The lane that is told of the place waits for another limit by then."""
    k, full = Limit("k", concurrency=1), Limit("full", concurrency=1)
    await enqueue_jobs(shard, "holds-k", limits=(k,))
    await enqueue_jobs(shard, "holds-full", limits=(full,))
    jobs = {job.id: job for job in await claim_jobs(shard, 2)}
    await enqueue_jobs(shard, "needs-both", limits=(k, full))
    await enqueue_jobs(shard, "needs-k", limits=(k,))
    assert await claimed(shard) == []
    await finish(shard, "w1", [success_outcome(jobs["holds-k"])], now=NOW)
    assert await claimed(shard) == ["needs-k"]


async def test_jobs_begin_at_the_rate_and_burst_of_their_limit(shard: Shard) -> None:
    await enqueue_jobs(shard, *"abcdef", limits=(Limit("k", starts=10, seconds=60.0, burst=2),))
    assert await claimed(shard) == ["a", "b"]
    assert await claimed(shard, now=NOW + 5.9) == []
    assert await claimed(shard, now=NOW + 6.1) == ["c"]
    assert await claimed(shard, now=NOW + 18.1) == ["d", "e"]
    assert await claimed(shard, now=NOW + 3600) == ["f"]


async def test_a_rate_counts_the_jobs_that_run_as_soon_as_it_gets_a_concurrency(shard: Shard) -> None:
    await enqueue_jobs(shard, *"abcd", limits=(Limit("k", starts=1000, seconds=1.0, burst=1000),))
    jobs = await claim_jobs(shard, 2)
    assert [job.id for job in jobs] == ["a", "b"]
    assert await sorted_set(shard, "wm:limit-holders:k") == {}
    view = await read_limit(shard, "k")
    assert view is not None
    assert view.running is None, "nobody counts the jobs under a rate"
    await save_limit(shard, Limit("k", concurrency=2), now=NOW)
    assert await claimed(shard) == []
    for job, next_one in zip(jobs, "cd", strict=True):
        await finish(shard, "w1", [success_outcome(job)], now=NOW)
        assert await claimed(shard) == [next_one]
        assert await claimed(shard) == []


@pytest.mark.parametrize("way", ["finish", "fail", "release"])
async def test_a_job_with_a_rate_gives_back_the_place_that_it_needs_by_then(shard: Shard, way: str) -> None:
    await save_limit(shard, Limit("k", concurrency=1), now=NOW)
    await enqueue_jobs(shard, *"ab", limits=(Limit("k", starts=1000, seconds=1.0, burst=1000),))
    (job,) = await claim_jobs(shard, 10)
    assert await claimed(shard) == []
    match way:
        case "finish":
            await finish(shard, "w1", [success_outcome(job)], now=NOW)
        case "fail":
            await finish(shard, "w1", [failed_outcome(job)], now=NOW)
        case "release":
            assert await release(shard, [job], now=NOW) == 1
    assert await claimed(shard) == (["a"] if way == "release" else ["b"])
    assert await claimed(shard) == []


async def test_a_new_number_holds_at_once_for_all(shard: Shard) -> None:
    await enqueue_jobs(shard, *"abcde", limits=ONE_AT_A_TIME)
    assert await claimed(shard) == ["a"]
    await save_limit(shard, Limit("k", concurrency=3), now=NOW)
    assert await claimed(shard) == ["b", "c"]
    view = await read_limit(shard, "k")
    assert view is not None
    assert (view.limit, view.fixed, view.running) == (Limit("k", concurrency=3), True, 3)
    await enqueue_jobs(shard, "f", limits=(Limit("k", concurrency=100),))
    assert await claimed(shard) == []
    assert await delete_limit(shard, "k", now=NOW)
    assert await claimed(shard) == []
    assert [view.limit.key for view in await list_limits(shard, 10)] == ["k"]


async def test_a_queue_is_shared_fairly_among_fair_keys(shard: Shard) -> None:
    await enqueue_jobs(shard, *[f"many-{n}" for n in range(3000)], fair_key="many")
    await enqueue_jobs(shard, *[f"few-{n}" for n in range(3)], fair_key="few")
    assert await claimed(shard, 6) == ["many-0", "few-0", "many-1", "few-1", "many-2", "few-2"]
    await enqueue_jobs(shard, "late", fair_key="late")
    assert "late" in await claimed(shard, 4)


async def test_jobs_without_limits_get_half_of_a_claim(shard: Shard) -> None:
    await enqueue_jobs(shard, *[f"fair-{n}" for n in range(10)], fair_key="k")
    await enqueue_jobs(shard, *[f"free-{n}" for n in range(10)])
    assert sorted(await claimed(shard, 4)) == ["fair-0", "fair-1", "free-0", "free-1"]


async def test_lifo_and_the_order_of_a_lane(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", fair_key="k")
    await enqueue_jobs(shard, "c", "d", fair_key="k", at_front=True)
    assert await claimed(shard) == ["d", "c", "a", "b"]


async def test_jobs_that_wait_stand_in_the_order_of_their_arrival(shard: Shard) -> None:
    for name in ("z", "a", "m"):
        await enqueue_jobs(shard, name, limits=ONE_AT_A_TIME)
    scores = await sorted_set(shard, "deferred:default")
    assert sorted(scores, key=scores.__getitem__) == ["z", "a", "m"]
    assert min(scores.values()) > NOW + 50 * 365 * DAY_SECONDS, "no worker takes them for expired"


async def test_a_lane_gives_no_more_than_its_limit_allows_and_keeps_the_others_in_order(shard: Shard) -> None:
    await enqueue_jobs(shard, *(f"{number:02}" for number in range(30)), limits=(Limit("k", concurrency=11),))
    assert await claimed(shard, 25) == [f"{number:02}" for number in range(11)]
    await save_limit(shard, Limit("k", concurrency=100), now=NOW)
    assert await claimed(shard, 25) == [f"{number:02}" for number in range(11, 30)]
    assert len(await sorted_set(shard, "wm:limit-holders:k")) == 30
    assert await sorted_set(shard, "deferred:default") == {}


async def test_a_job_of_a_lane_that_must_come_alone_keeps_its_place_meanwhile(shard: Shard) -> None:
    await enqueue_jobs(shard, "lost", limits=ONE_AT_A_TIME)
    await claim_jobs(shard, 10)
    await reap(shard, now=LEASE_EXPIRED)
    await enqueue_jobs(shard, "other", fair_key="first")
    await enqueue_jobs(shard, "next", limits=ONE_AT_A_TIME)
    lane = (await job_fields(shard, "other"))["wm_lane"]
    await shard.execute(("ZADD", keys.ring(shard.prefix, "default"), -1, lane))
    assert await claimed(shard) == ["other"]
    assert await job_status(shard, "lost") == "queued"
    assert await queued_ids(shard) == ["lost"]
    assert await claimed(shard) == ["lost"]
    assert await claimed(shard) == [], "its place was not given to the next one"


async def test_a_job_with_a_rate_that_is_put_back_counts_once_its_limit_gets_a_concurrency(shard: Shard) -> None:
    rate = Limit("k", starts=1000, seconds=1.0, burst=1000)
    await enqueue_jobs(shard, "lost", limits=(rate,))
    await claim_jobs(shard)
    await enqueue_jobs(shard, "first", limits=(Limit("other", concurrency=1),))
    await reap(shard, now=LEASE_EXPIRED)
    assert await claimed(shard, now=LEASE_EXPIRED) == ["first"]
    assert await queued_ids(shard) == ["lost"], "it is claimed alone"
    await save_limit(shard, Limit("k", concurrency=1), now=LEASE_EXPIRED)
    await enqueue_jobs(shard, "next", limits=(rate,))
    assert await claimed(shard, now=LEASE_EXPIRED) == ["lost"]
    assert await claimed(shard, now=LEASE_EXPIRED) == []


async def test_places_of_jobs_that_end_in_one_call_go_to_as_many_lanes(shard: Shard) -> None:
    limit = Limit("k", concurrency=3)
    await enqueue_jobs(shard, "a", "b", "c", limits=(limit,))
    jobs = await claim_jobs(shard, 10)
    for name in ("d", "e", "f", "g"):
        await enqueue_jobs(shard, name, limits=(limit,), fair_key=name)
    assert await claimed(shard) == []
    await finish(shard, "w1", [success_outcome(job) for job in jobs], now=NOW)
    assert len(await claimed(shard)) == 3
    assert await claimed(shard) == []


@pytest.mark.parametrize(
    "spoiled",
    [
        *("x", "5", "[5]", "[{}]", '[{"key": {}}]', '[{"key": "k", "concurrency": {}}]'),
        *('[{"key": "k", "starts": "x"}]', '[{"key": "k", "concurrency": 2.5}]'),
    ],
)
async def test_a_spoiled_record_keeps_no_other_job_of_its_queue_from_running(shard: Shard, spoiled: str) -> None:
    await enqueue_jobs(shard, "a", "b", "c", fair_key="f")
    await shard.execute(("HSET", keys.job(shard.prefix, "b"), "wm_limits", spoiled))
    await enqueue_jobs(shard, "free")
    jobs = await claim_jobs(shard, 10)
    assert {"a", "c", "free"} <= {job.id for job in jobs}
    report = await finish(shard, "w1", [success_outcome(job) for job in jobs], now=NOW)
    assert report.lost == ()


async def test_a_parked_limit_lets_no_job_begin_for_a_while(shard: Shard) -> None:
    await enqueue_jobs(shard, *"abc", limits=(Limit("k", concurrency=2),))
    first, second = await claim_jobs(shard, 2)
    assert not await park_limit(shard, first, "other", 60, now=NOW)
    assert await park_limit(shard, first, "k", 60, now=NOW)
    await finish(shard, "w1", [success_outcome(second)], now=NOW)
    assert not await park_limit(shard, second._replace(token="another"), "k", 600, now=NOW)
    assert await claimed(shard, now=NOW + 59) == []
    assert await claimed(shard, now=NOW + 60.1) == ["c"]


async def test_a_canceled_job_that_waits_for_others_again_is_not_taken_from_its_lane(shard: Shard) -> None:
    """As the `finally` job of a workflow that is retried."""
    await enqueue_jobs(shard, "a", "b", limits=ONE_AT_A_TIME)
    (job,) = await claim_jobs(shard)
    await cancel(shard, ["b"], now=NOW)
    assert await shard.run(script("wait_again"), "", "b", "ended", "another job") == 1
    await finish(shard, "w1", [success_outcome(job)], now=NOW)
    assert await claimed(shard) == []


async def test_a_canceled_job_leaves_its_lane_and_returns_to_it(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", "c", limits=ONE_AT_A_TIME)
    assert await claimed(shard) == ["a"]
    await cancel(shard, ["b"], now=NOW)
    await delete(shard, ["c"])
    assert await requeue(shard, ["b"], now=NOW) == ["queued"]
    assert await job_status(shard, "b") == "deferred"
    await save_limit(shard, Limit("k", concurrency=10), now=NOW)
    assert await claimed(shard) == ["b"], "once, although its first entry is still there"
    assert await claimed(shard) == []


async def test_a_place_of_a_job_that_plain_rq_deleted_comes_free(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", limits=ONE_AT_A_TIME)
    assert await claimed(shard) == ["a"]
    await shard.execute(("DEL", keys.job(shard.prefix, "a")))
    assert await sweep_limits(shard, "0") == ("0", 1)
    assert await claimed(shard) == ["b"]


async def test_workers_are_woken_for_lanes(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", limits=(Limit("k", starts=1, seconds=0.1),))
    (tokens,) = await shard.execute(("LLEN", keys.wake(shard.prefix, "*")))
    assert tokens == 1
    assert await wake_workers(shard, ["default"]) == ["default"]
    assert [job.id for job in await claim_jobs(shard, 1, "*", now=None)] == ["a"]  # type: ignore[arg-type]
    assert await queued_ids(shard) == []


async def test_jobs_that_wait_cost_a_claim_nothing(shard: Shard) -> None:
    for first in range(0, 20_000, 1000):
        await enqueue_jobs(shard, *[f"job-{n}" for n in range(first, first + 1000)], limits=ONE_AT_A_TIME)
    await enqueue_jobs(shard, "held", limits=(Limit("held", concurrency=0),))
    assert len(await claimed(shard)) == 1
    await shard.execute(("CONFIG", "RESETSTAT"))
    assert await claimed(shard) == []
    (info,) = await shard.execute(("INFO", "commandstats"))
    calls = [int(number) for number in re.findall(rb"cmdstat_\S+?:calls=(\d+)", info)]
    assert sum(calls) < 30, info
