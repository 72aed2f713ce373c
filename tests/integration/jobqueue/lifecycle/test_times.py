"""Histograms of jobs' times in Redis: they add up, stay within bounds, and survive what other programs write."""

import json

import pytest

from jobqueue import keys
from jobqueue.inspection.times import read_times
from jobqueue.lifecycle import times as module
from jobqueue.lifecycle.times import HISTOGRAMS, OTHERS, Example, Pair, Times, add_times
from jobqueue.sharding.shard import Shard
from manager.metrics.stored_times import decode_pair, decode_times, is_example
from tests.integration.jobqueue.queue_helpers import NOW, claim_jobs, enqueue_jobs

PAIR = ("default", "noop")


def one_job(seconds: float = 0.5, job_id: str = "a", at: float = NOW) -> Times:
    times = Times()
    for histogram in range(len(HISTOGRAMS)):
        times.observe(histogram, seconds, 1, job_id, at)
    return times


async def stored(shard: Shard) -> dict[Pair | None, Times]:
    return {decode_pair(pair): decoded(value) for pair, value in (await read_times(shard)).items()}


def decoded(value: bytes) -> Times:
    numbers, examples = decode_times(value)
    return Times([*numbers], [Example(*each) if is_example(each) else None for each in examples])


async def test_times_add_up_and_the_newest_example_is_kept(shard: Shard) -> None:
    await add_times(shard, {PAIR: one_job()})
    await add_times(shard, {PAIR: one_job(2.0, "b", NOW + 1), ("high", "noop"): one_job()})
    found = await stored(shard)
    assert set(found) == {PAIR, ("high", "noop")}
    assert found[PAIR].buckets(1) == [0, 0, 1, 1, 0, 0, 0, 0]
    assert found[PAIR].total_seconds(1) == 2.5
    example = found[PAIR].examples[1]
    assert example is not None
    assert (example.bucket, example.job_id, example.seconds, example.at) == (3, "b", 2.0, NOW + 1)


async def test_pairs_beyond_the_limit_are_counted_together(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAIRS", 2)
    await add_times(shard, {(f"queue-{number}", "noop"): one_job() for number in range(5)})
    await add_times(shard, {("queue-0", "noop"): one_job(), ("queue-4", "noop"): one_job()})
    jobs = {pair: sum(times.buckets(1)) for pair, times in (await stored(shard)).items()}
    assert jobs == {("queue-0", "noop"): 2, ("queue-1", "noop"): 1, OTHERS: 4}


@pytest.mark.parametrize(
    "garbage", ["", "no JSON", "[]", '{"n":[1],"e":[0]}', '{"n":"abc","e":[]}', '{"n":[1e999],"e":0}']
)
async def test_what_another_program_has_written_is_replaced(shard: Shard, garbage: str) -> None:
    key, field = keys.times(shard.prefix), json.dumps(PAIR)
    await shard.execute(("HSET", key, field, garbage), ("HSET", key, "no pair", garbage))
    assert (await stored(shard))[PAIR].numbers == Times().numbers
    await add_times(shard, {PAIR: one_job()})
    assert sum((await stored(shard))[PAIR].buckets(1)) == 1


async def test_a_key_that_holds_something_else_is_set_aside(shard: Shard) -> None:
    await shard.execute(("SET", keys.times(shard.prefix), "text"))
    assert await read_times(shard) == {}
    await add_times(shard, {PAIR: one_job()})
    assert set(await stored(shard)) == {PAIR}


async def test_a_claim_tells_when_a_job_was_enqueued_and_of_one_that_has_run_when_it_was_created(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", now=NOW - 60)
    (job,) = await claim_jobs(shard)
    record = keys.job(shard.prefix, "a")
    created_at, enqueued_at = await shard.execute(("HGET", record, "created_at"), ("HGET", record, "enqueued_at"))
    assert job.since == enqueued_at
    await shard.execute(("HSET", record, "status", "queued"), ("RPUSH", keys.queue(shard.prefix, "default"), "a"))
    (again,) = await claim_jobs(shard)
    assert (again.attempt, again.since) == (2, enqueued_at + b" " + created_at)
