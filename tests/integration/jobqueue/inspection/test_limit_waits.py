"""Who waits for a limit: counted by lanes, the next ones named, in bounded pieces."""

from jobqueue import keys
from jobqueue.inspection.limit_waits import MAX_LANES, MAX_NAMED, WaitingJobs, read_waiting
from jobqueue.lifecycle.control import cancel, delete
from jobqueue.lifecycle.limits import list_limits, park_limit
from jobqueue.model import Limit
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import NOW, claim_jobs, enqueue_jobs

ONE_AT_A_TIME = (Limit("k", concurrency=1),)
ONE_AN_HOUR = (Limit("rate", starts=1, seconds=3600.0, burst=1),)
NOBODY = WaitingJobs()


async def waiting(shard: Shard) -> dict[str, WaitingJobs]:
    return dict(await read_waiting(shard, await list_limits(shard, 100)))


async def test_jobs_that_wait_for_a_place_are_counted_and_the_next_of_each_lane_named(shard: Shard) -> None:
    assert await waiting(shard) == {}
    await enqueue_jobs(shard, "runs", limits=ONE_AT_A_TIME)
    await claim_jobs(shard, 1, now=NOW)
    assert await waiting(shard) == {"k": NOBODY}
    await enqueue_jobs(shard, *"abcdef", limits=ONE_AT_A_TIME)
    await enqueue_jobs(shard, "x", "y", limits=ONE_AT_A_TIME, fair_key="one")
    await enqueue_jobs(shard, "elsewhere", limits=ONE_AT_A_TIME, queue="other")
    assert await claim_jobs(shard, 10, now=NOW) == await claim_jobs(shard, 10, "other", now=NOW) == []
    found = (await waiting(shard))["k"]
    assert (found.count, found.is_complete, len(found.first)) == (9, True, MAX_NAMED)
    assert set(found.first[:3]) == {"a", "x", "elsewhere"}


async def test_jobs_that_were_canceled_or_deleted_are_not_named(shard: Shard) -> None:
    await enqueue_jobs(shard, *"abcd", limits=ONE_AT_A_TIME)
    await claim_jobs(shard, 10, now=NOW)
    await cancel(shard, ["b"], now=NOW)
    await delete(shard, ["c"], now=NOW)
    assert (await waiting(shard))["k"].first == ("d",)


async def test_jobs_that_wait_for_a_rate_are_counted_for_it(shard: Shard) -> None:
    both = (*ONE_AN_HOUR, Limit("roomy", concurrency=100))
    await enqueue_jobs(shard, "a", "b", limits=both)
    await enqueue_jobs(shard, "c", limits=ONE_AN_HOUR)
    assert len(await claim_jobs(shard, 10, now=NOW)) == 1
    found = await waiting(shard)
    assert (found["rate"].count, set(found["rate"].first), found["roomy"]) == (2, {"b", "c"}, NOBODY)
    alone = [view for view in await list_limits(shard, 100) if view.limit.key == "roomy"]
    assert await read_waiting(shard, alone) == {"roomy": NOBODY}


async def test_jobs_whose_limit_rests_for_a_while_are_counted_for_it(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", limits=(Limit("roomy", concurrency=100),))
    (job,) = await claim_jobs(shard, 1, now=NOW)
    assert await park_limit(shard, job, "roomy", 600.0, now=NOW)
    assert await claim_jobs(shard, 10, now=NOW) == []
    assert await waiting(shard) == {"roomy": WaitingJobs(1, True, ("b",))}


async def test_of_very_many_lanes_only_some_are_looked_at(shard: Shard) -> None:
    await enqueue_jobs(shard, "runs", limits=ONE_AT_A_TIME)
    await claim_jobs(shard, 1, now=NOW)
    lanes = [f"{number:016x} default" for number in range(MAX_LANES + 1)]
    await shard.execute(
        ("SADD", keys.limit_blocked(shard.prefix, "k"), *lanes),
        *(("RPUSH", keys.lane(shard.prefix, "default", lane.split()[0]), "gone") for lane in lanes),
    )
    assert (await waiting(shard))["k"] == WaitingJobs(MAX_LANES, False)


async def test_what_cannot_be_read_keeps_no_limit_from_being_shown(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", limits=ONE_AT_A_TIME)
    await claim_jobs(shard, 10, now=NOW)
    await shard.execute(
        ("SADD", keys.limit_blocked(shard.prefix, "k"), "no-lane", b"\xff\xfe default"),
        ("SET", keys.lane(shard.prefix, "default", "no-list"), "x"),
        ("SADD", keys.limit_blocked(shard.prefix, "k"), "no-list default"),
        ("SET", keys.later(shard.prefix, "default"), "x"),
    )
    assert (await waiting(shard))["k"] == WaitingJobs(1, True, ("b",))
