"""Counters of jobs by status, queue and function, for status pages, metrics and the scaler."""

from jobqueue.inspection.counters import QueueCounts, ShardCounts, read_counts
from jobqueue.inspection.times import read_times
from jobqueue.lifecycle.control import cancel
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.lifecycle.pull import pull
from jobqueue.model import Limit
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    complete_jobs,
    enqueue_jobs,
    failed_outcome,
    stopped_outcome,
    success_outcome,
)
from workmanager.local.valkey import ValkeyServer

OF_THE_TEST = {"cmdstat_config|resetstat", "cmdstat_info", "cmdstat_client|setinfo", "cmdstat_hello"}
CONSTANT_TIME = {
    f"cmdstat_{name}"
    for name in (
        *("time", "exists", "llen", "lindex", "hget", "hmget", "zcard", "zrange", "hgetall", "smembers", "evalsha"),
        *("fcall", "fcall_ro", "evalsha_ro", "zcount", "get"),
    )
}
"""ZRANGE, HGETALL and SMEMBERS read what grows with queues, functions and limits alone."""


async def test_counts_by_queue_and_by_function(shard: Shard) -> None:
    await enqueue_jobs(shard, *(f"d{number}" for number in range(8)))
    await enqueue_jobs(shard, "h1", "h2", queue="high")
    await enqueue_jobs(shard, "later", due_at=NOW)
    await cancel(shard, ["d7"], now=NOW)
    a, b, c, d = await claim_jobs(shard, 4)
    outcomes: list[Outcome] = [
        success_outcome(a),
        success_outcome(b, function="sha512"),
        failed_outcome(c),
        stopped_outcome(d),
    ]
    await finish(shard, "w1", outcomes, now=NOW)
    await claim_jobs(shard, 1)
    counts = await read_counts(shard)
    default, high = counts.queues["default"], counts.queues["high"]
    assert (default.queued, default.started, default.scheduled, default.deferred) == (2, 1, 1, 0)
    # RQ keeps stopped jobs in the registry of failed jobs.
    assert (default.finished, default.failed, default.canceled) == (2, 2, 1)
    assert (high.queued, high.started) == (2, 0)
    assert (counts.jobs_leased, counts.completed, counts.results_leased) == (1, 2, 0)
    functions = counts.functions
    assert functions.enqueued == {"noop": 11}
    assert functions.finished == {"noop": 1, "sha512": 1}
    assert (functions.failed, functions.stopped) == ({"noop": 1}, {"noop": 1})
    assert functions.seconds == {"noop": 0.5, "sha512": 0.5}


async def test_what_a_scrape_asks_redis_does_not_grow_with_the_jobs(
    private_shard: Shard, private_server: ValkeyServer
) -> None:
    async def add(jobs: int) -> None:
        ids = [f"{jobs}-{number}" for number in range(6 * jobs)]
        await enqueue_jobs(private_shard, *ids[: 4 * jobs])
        await enqueue_jobs(private_shard, *ids[4 * jobs : 5 * jobs], due_at=NOW)
        await enqueue_jobs(private_shard, *ids[5 * jobs :], limits=(Limit("key", concurrency=1),))
        claimed = await claim_jobs(private_shard, 3 * jobs)
        outcomes = [success_outcome(job) for job in claimed[:jobs]] + [failed_outcome(job) for job in claimed[jobs:]]
        await finish(private_shard, "w1", outcomes, now=NOW)

    async def scrape() -> tuple[dict[str, int], int]:
        """Return how often each command ran, those of scripts included, and the bytes of all answers."""
        private_server.command("CONFIG", "RESETSTAT")
        counts, times = await read_counts(private_shard), await read_times(private_shard)
        assert counts.total.queued > 0
        assert not times
        answered = private_server.command("INFO", "stats")["total_net_output_bytes"]
        used = private_server.command("INFO", "commandstats")
        return {name: numbers["calls"] for name, numbers in used.items() if name not in OF_THE_TEST}, answered

    await add(10)
    await scrape()
    few = await scrape()
    await add(500)
    many = await scrape()
    assert many[0] == few[0]
    assert many[0].keys() <= CONSTANT_TIME
    assert many[1] < 1.2 * few[1]


async def test_pulled_results_are_counted_until_they_are_acknowledged(shard: Shard) -> None:
    await complete_jobs(shard, "a", "b", "c")
    await pull(shard, 2, lease_seconds=30, now=NOW)
    counts = await read_counts(shard)
    assert (counts.completed, counts.results_leased) == (1, 2)


async def test_the_age_of_the_oldest_queued_job_is_reported(shard: Shard) -> None:
    assert (await read_counts(shard)).queues == {}
    (seconds, _), *_ = await shard.execute(("TIME",))
    await enqueue_jobs(shard, "a", now=int(seconds) - 30)
    age = (await read_counts(shard)).queues["default"].oldest_seconds
    assert age is not None
    assert 29 <= age <= 60


async def test_counts_of_shards_can_be_summed(any_shards: Shards) -> None:
    for shard in any_shards:
        await complete_jobs(shard, f"done-{shard.index}")
        await enqueue_jobs(shard, f"waits-{shard.index}", queue="high")
    total = sum([await read_counts(shard) for shard in any_shards], ShardCounts())
    number = len(any_shards)
    assert total.completed == number
    assert (total.total.queued, total.total.finished) == (number, number)
    assert total.functions.enqueued == {"noop": 2 * number}
    assert total.functions.seconds == {"noop": 0.5 * number}
    assert ShardCounts().total == QueueCounts()


async def test_what_counts_cost_does_not_depend_on_the_number_of_jobs(plain_shard: Shard) -> None:
    async def cost(jobs: int) -> dict[str, int]:
        """Enqueue so many, and return how often each command ran for the counts."""
        for start in range(0, jobs, 500):
            numbers = range(start, min(start + 500, jobs))
            await enqueue_jobs(plain_shard, *(f"{jobs}-{number}" for number in numbers), queue="many")
        before = await _commands(plain_shard)
        counts = await read_counts(plain_shard)
        after = await _commands(plain_shard)
        assert counts.queues["many"].queued >= jobs
        return {name: calls - before.get(name, 0) for name, calls in after.items()}

    few = await cost(1)
    assert await cost(3000) == few
    assert sum(few.values()) < 60


async def _commands(shard: Shard) -> dict[str, int]:
    (info,) = await shard.execute(("INFO", "commandstats"))
    lines = [line.partition(":calls=") for line in info.decode().splitlines() if ":calls=" in line]
    return {
        name: int(rest.partition(",")[0]) for name, _, rest in lines if name not in ("cmdstat_info", "cmdstat_eval")
    }
