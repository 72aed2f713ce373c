"""The outbox: an entry for each end of a job that is asked for, sent by one manager at a time, host by host."""

import asyncio
import json
from typing import Any

import pytest

from jobqueue import keys
from jobqueue.callbacks.entry import Entry
from jobqueue.callbacks.outbox import Attempt, Outcome, Report, claim_callbacks, has_due, report_callbacks
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap
from jobqueue.model import LEASE_SECONDS
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    job_fields,
    retried_outcome,
    shard_keys,
    stopped_outcome,
    success_outcome,
)

HOST = "hooks.example.com:443"
ATTEMPT = Attempt("2026-11-28T08:00:00.000000Z", 12, 200)


def callback(*events: str, host: str = HOST, include: tuple[str, ...] = ()) -> str:
    asked = {"url": f"https://{host}/in", "host": host, "events": list(events), "include": list(include)}
    return json.dumps(asked)


ALL = callback("finished", "failed", "stopped", "canceled")


async def claimed(shard: Shard, count: int = 100, per_host: int = 8, **options: Any) -> list[Entry]:
    return await claim_callbacks(shard, "token", count, per_host, **options)


def report(entry: Entry, *what: Any, **host: Any) -> Report:
    return Report(entry.id, entry.token, *what, **host)


async def soon(shard: Shard, seconds: float) -> float:
    """Return the time of Redis, so many seconds from now."""
    ((whole, micros),) = await shard.execute(("TIME",))
    return float(int(whole) + int(micros) / 1e6 + seconds)


async def run_job(shard: Shard, job_id: str, **fields: Any) -> None:
    await enqueue_jobs(shard, job_id, **fields)
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [success_outcome(job, {"n": 1})])


async def test_each_end_of_a_job_is_an_entry(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", "c", "d", callback=ALL)
    done, failed, stopped = await claim_jobs(shard, 3)
    await finish(shard, "w1", [success_outcome(done), failed_outcome(failed), stopped_outcome(stopped)])
    await cancel(shard, ["d"])
    entries = {entry.job_id: entry for entry in await claimed(shard)}
    assert {job_id: (entry.event, entry.reason, entry.attempts) for job_id, entry in entries.items()} == {
        "a": ("finished", "", 1),
        "b": ("failed", "exception", 1),
        "c": ("stopped", "", 1),
        "d": ("canceled", "", 0),
    }
    for entry in entries.values():
        assert entry.id.startswith(f"{entry.job_id}_")
        assert entry.id.endswith(f"_{entry.event}")
        assert (entry.url, entry.queue, entry.function, entry.tries) == (f"https://{HOST}/in", "default", "noop", 0)
        assert "." not in entry.id
        assert entry.time == (await job_fields(shard, entry.job_id))["ended_at"]


async def test_a_job_that_asks_for_nothing_leaves_no_trace(shard: Shard) -> None:
    await run_job(shard, "a")
    await run_job(shard, "b", callback=callback("failed"))
    assert not {key for key in await shard_keys(shard) if "callback" in key}
    assert not await has_due(shard)


async def test_an_attempt_that_is_repeated_is_no_end(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", callback=ALL, retries=1)
    await enqueue_jobs(shard, "b", callback=ALL)
    one, other = await claim_jobs(shard, 2)
    await finish(shard, "w1", [failed_outcome(one), retried_outcome(other, 1)])
    assert await claimed(shard) == []
    one, other = await claim_jobs(shard, 2)
    await finish(shard, "w1", [failed_outcome(one), failed_outcome(other)])
    assert sorted((entry.job_id, entry.event, entry.attempts) for entry in await claimed(shard)) == [
        ("a", "failed", 2),
        ("b", "failed", 2),
    ]


async def test_a_job_that_is_lost_with_its_workers_is_told_of_once(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", callback=ALL)
    now = await soon(shard, 0)
    for _ in range(3):
        assert await claimed(shard) == []
        await claim_jobs(shard, now=now)
        now += LEASE_SECONDS + 1
        await reap(shard, lease_seconds=0, now=now)
    (entry,) = await claimed(shard)
    assert (entry.event, entry.reason) == ("failed", "worker_lost")


async def test_an_outcome_that_is_recorded_twice_is_one_event(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", callback=ALL)
    (job,) = await claim_jobs(shard)
    for _ in range(2):
        await finish(shard, "w1", [success_outcome(job)])
    assert len(await claimed(shard)) == 1


async def test_a_job_that_keeps_no_result_is_told_of_too(shard: Shard) -> None:
    await run_job(shard, "a", callback=callback("finished", include=("result",)), result_ttl_seconds=0, feed=False)
    assert await job_fields(shard, "a") == {}
    (entry,) = await claimed(shard)
    assert entry.result == b'{"n": 1}'
    assert not entry.result_omitted


async def test_a_large_result_is_left_out(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", callback=callback("finished", include=("result",)))
    jobs = await claim_jobs(shard, 2)
    values = ["x" * (20 * 1024 - 2), "x" * 20 * 1024]
    await finish(shard, "w1", [success_outcome(job, value) for job, value in zip(jobs, values, strict=True)])
    fits, too_large = sorted(await claimed(shard), key=lambda entry: entry.job_id)
    assert fits.result == json.dumps(values[0]).encode()
    assert not fits.result_omitted
    assert too_large.result is None
    assert too_large.result_omitted


async def test_a_requeued_job_is_told_of_again_in_order(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", callback=ALL)
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(job)])
    await requeue(shard, ["a"])
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [success_outcome(job)])
    (first,) = await claimed(shard)
    assert first.event == "failed"
    await report_callbacks(shard, [report(first, Outcome.RETRY, ATTEMPT, 3600)])
    assert await claimed(shard, now=await soon(shard, 1800)) == []
    (again,) = await claimed(shard, now=await soon(shard, 3700))
    assert (again.id, again.tries) == (first.id, 1)
    await report_callbacks(shard, [report(again, Outcome.DELIVERED, ATTEMPT)])
    (second,) = await claimed(shard)
    assert second.event == "finished"
    assert second.id != first.id


async def test_an_entry_is_sent_by_one_manager_at_a_time(shard: Shard) -> None:
    await run_job(shard, "a", callback=ALL)
    (entry,) = await claimed(shard)
    assert await claimed(shard) == []
    assert not await has_due(shard)
    later = await soon(shard, 61)
    (again,) = await claim_callbacks(shard, "other", 10, 8, now=later)
    assert again.id == entry.id
    assert await report_callbacks(shard, [report(entry, Outcome.DELIVERED, ATTEMPT)]) == [entry.id]
    assert await report_callbacks(shard, [report(again, Outcome.DELIVERED, ATTEMPT)]) == []
    assert await claimed(shard, now=later + 100) == []


@pytest.mark.parametrize("managers", [1, 4])
async def test_only_some_are_sent_to_a_host_at_a_time(shard: Shard, managers: int) -> None:
    await enqueue_jobs(shard, *(f"a{n}" for n in range(20)), callback=ALL)
    await enqueue_jobs(shard, "b", callback=callback("finished", host="other.example.com:443"))
    jobs = await claim_jobs(shard, 21)
    await finish(shard, "w1", [success_outcome(job) for job in jobs])
    rounds = await asyncio.gather(*(claim_callbacks(shard, f"t{n}", 100, 8) for n in range(managers)))
    entries = [entry for entries in rounds for entry in entries]
    assert sorted(entry.host for entry in entries) == [HOST] * 8 + ["other.example.com:443"]
    assert not await has_due(shard)
    await report_callbacks(
        shard, [report(entry, Outcome.DELIVERED, ATTEMPT) for entry in entries if entry.host == HOST][:3]
    )
    assert await has_due(shard)
    assert len(await claimed(shard)) == 3


async def test_a_host_that_is_down_is_asked_by_one_attempt_after_a_pause(shard: Shard) -> None:
    await enqueue_jobs(shard, *(f"a{n}" for n in range(20)), callback=ALL)
    await finish(shard, "w1", [success_outcome(job) for job in await claim_jobs(shard, 20)])
    entries = await claimed(shard)
    down = Attempt(ATTEMPT.at, 1, None, "refused")
    await report_callbacks(shard, [report(entry, Outcome.RETRY, down, 600, host_works=False) for entry in entries])
    assert await claimed(shard) == []
    assert not await has_due(shard)
    later = await soon(shard, 6)
    (probe,) = await claimed(shard, now=later)
    assert await claimed(shard, now=later) == []
    await report_callbacks(shard, [report(probe, Outcome.RETRY, down, 600, host_works=False)], now=later)
    assert await claimed(shard, now=later + 9) == []
    later += 11
    (probe,) = await claimed(shard, now=later)
    # It works again: all that waited comes at once, also what would have waited longer.
    await report_callbacks(shard, [report(probe, Outcome.DELIVERED, ATTEMPT, host_works=True)], now=later)
    delivered = {probe.id}
    while batch := await claimed(shard, now=later):
        delivered |= {entry.id for entry in batch}
        await report_callbacks(
            shard, [report(entry, Outcome.DELIVERED, ATTEMPT, host_works=True) for entry in batch], now=later
        )
    assert len(delivered) == 20


async def test_what_is_delivered_or_given_up_waits_no_more(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b", callback=ALL)
    await finish(shard, "w1", [success_outcome(job) for job in await claim_jobs(shard, 2)])
    one, other = await claimed(shard)
    await report_callbacks(shard, [report(one, Outcome.DELIVERED, ATTEMPT), report(other, Outcome.DEAD, ATTEMPT)])
    sets = [keys.callbacks(shard.prefix, name) for name in ("waiting", "delivered", "dead")]
    found = await shard.execute(*(("ZRANGE", key, 0, -1) for key in sets))
    assert found == [[], [one.id.encode()], [other.id.encode()]]
    assert await claimed(shard, now=await soon(shard, 10**6)) == []
    assert {key for key in await shard_keys(shard) if ":lane:" in key or ":sending:" in key} == set()


async def test_too_many_for_one_host_are_dropped_and_counted(shard: Shard) -> None:
    lane = keys.callback_lane(shard.prefix, HOST)
    for start in range(0, 9999, 1000):
        members = [part for n in range(start, min(start + 1000, 9999)) for part in (10**12, f"x{n}")]
        await shard.execute(("ZADD", lane, *members))
    await run_job(shard, "a", callback=ALL)
    await run_job(shard, "b", callback=ALL)
    await run_job(shard, "c", callback=callback("finished", host="other.example.com:443"))
    assert sorted(entry.job_id for entry in await claimed(shard)) == ["a", "c"]
    (dropped,) = await shard.execute(("HGET", keys.callback_counts(shard.prefix), "dropped"))
    assert dropped == b"1"
    assert (await job_fields(shard, "b"))["status"] == "finished"


async def test_jobs_that_end_in_one_call_are_told_of_one_by_one(shard: Shard) -> None:
    lane = keys.callback_lane(shard.prefix, HOST)
    for start in range(0, 9998, 1000):
        members = [part for n in range(start, min(start + 1000, 9998)) for part in (10**12, f"x{n}")]
        await shard.execute(("ZADD", lane, *members))
    await enqueue_jobs(shard, "a", "b", "c", callback=ALL)
    await enqueue_jobs(shard, "d", callback=callback("finished", host="other.example.com:443"))
    await enqueue_jobs(shard, "e", callback=callback("finished", host="listen/me"))
    jobs = await claim_jobs(shard, 5)
    await finish(shard, "w1", [success_outcome(job) for job in jobs])
    assert sorted(entry.job_id for entry in await claimed(shard)) == ["a", "b", "d"]
    dropped, waiting, listened = await shard.execute(
        ("HGET", keys.callback_counts(shard.prefix), "dropped"),
        ("ZCARD", keys.callbacks(shard.prefix, "waiting")),
        ("ZCARD", keys.callback_lane(shard.prefix, "listen/me")),
    )
    assert (dropped, waiting, listened) == (b"1", 3, 1)


@pytest.mark.parametrize("garbage", ["{", "[]", '{"url": 1, "host": 2, "events": ["finished"]}', '{"events": 7}'])
async def test_a_job_ends_whatever_its_callback_says(shard: Shard, garbage: str) -> None:
    await enqueue_jobs(shard, "a", callback=ALL)
    await shard.execute(("HSET", keys.job(shard.prefix, "a"), "wm_callback", garbage))
    (job,) = await claim_jobs(shard)
    await finish(shard, "w1", [success_outcome(job)])
    assert (await job_fields(shard, "a"))["status"] == "finished"
    assert await claimed(shard) == []


async def test_a_deleted_job_is_told_of_only_if_it_has_ended(shard: Shard) -> None:
    await run_job(shard, "a", callback=ALL)
    await enqueue_jobs(shard, "b", callback=ALL)
    await delete(shard, ["a", "b"])
    assert [entry.job_id for entry in await claimed(shard)] == ["a"]
