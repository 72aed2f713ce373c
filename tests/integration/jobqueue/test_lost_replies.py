"""A reply that is lost after the server ran the script.

The script runs only once, the caller learns that the outcome is unknown, and repeating is harmless for every operation.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from jobqueue.claimed_job import ClaimedJob
from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.claim import claim, release
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.enqueue import EnqueueOutcome, enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap
from jobqueue.lifecycle.pull import acknowledge, pull
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.servers import connection_pool
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    complete_jobs,
    dump_shard,
    enqueue_jobs,
    failed_outcome,
    new_job,
    stopped_outcome,
    success_outcome,
)
from tests.integration.jobqueue.reply_dropping_proxy import ReplyDroppingProxy, run_proxy
from workmanager.local.valkey import ValkeyServer

DUE_IN_SECONDS = 30
Operation = Callable[[Shard, list[ClaimedJob]], Awaitable[object]]
"""A call on a shard, with the jobs that worker `w1` has claimed."""


async def _claim(shard: Shard, claimed: list[ClaimedJob]) -> object:
    return await claim(shard, "w2", ["default"], 2, token="t", now=NOW, retry_seconds=0.0)


async def _release(shard: Shard, claimed: list[ClaimedJob]) -> object:
    return await release(shard, claimed, now=NOW, retry_seconds=0.0)


OPERATIONS: dict[str, Operation] = {
    "enqueue": lambda shard, claimed: enqueue(shard, [new_job("new"), new_job("new2", queue="x")], now=NOW),
    "claim": _claim,
    "finish": lambda shard, claimed: finish(shard, "w1", [success_outcome(job) for job in claimed], now=NOW),
    "fail": lambda shard, claimed: finish(shard, "w1", [failed_outcome(job) for job in claimed], now=NOW),
    "stop": lambda shard, claimed: finish(shard, "w1", [stopped_outcome(job) for job in claimed], now=NOW),
    "extend": lambda shard, claimed: extend(shard, "w1", [LeaseUpdate(job, NOW) for job in claimed], now=NOW),
    "release": _release,
    "reap": lambda shard, claimed: reap(shard, now=LEASE_EXPIRED),
    "enqueue_due": lambda shard, claimed: enqueue_due(shard, "default", "me", now=NOW + DUE_IN_SECONDS),
    "pull": lambda shard, claimed: pull(shard, 2, token="t", now=NOW),
    "pull on a lease": lambda shard, claimed: pull(shard, 2, token="t", lease_seconds=9, now=NOW),
    "ack": lambda shard, claimed: acknowledge(shard, ["leased"], now=NOW),
    "prune": lambda shard, claimed: shard.run(script("prune"), repr(NOW + 100), 2_592_000, 1000, 1, "default"),
    "cancel": lambda shard, claimed: cancel(shard, ["q1", "later"], now=NOW),
    "requeue": lambda shard, claimed: requeue(shard, ["bad"], now=NOW),
    "delete": lambda shard, claimed: delete(shard, ["q1", "bad", "done1"]),
}

SCRIPTS = (
    *("enqueue", "claim", "finish", "fail", "extend", "release", "reap", "enqueue_due", "pull", "ack", "prune"),
    *("cancel", "requeue", "delete"),
)


@pytest.fixture(autouse=True)
def _memory_usage_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the memory usage for the whole test, so that the dropped reply is never the one to INFO."""
    monkeypatch.setattr(connection_pool, "INFO_MAX_AGE_SECONDS", 3600.0)


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[ReplyDroppingProxy]:
    async with run_proxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
async def behind_proxy(proxy: ReplyDroppingProxy) -> AsyncIterator[Shard]:
    shards = await Shards.connect(proxy.url)
    # The first call finds out that the server has no functions, so that a dropped reply is that of a script.
    await shards.all[0].run(script("find_ended"), "0")
    yield shards.all[0]
    await shards.close()


async def _prepare(shard: Shard) -> list[ClaimedJob]:
    """Write jobs in every state and return those that `w1` has claimed."""
    await complete_jobs(shard, "leased")
    await pull(shard, 1, lease_seconds=50, now=NOW)
    await complete_jobs(shard, "done1", "done2", "done3")
    await enqueue_jobs(shard, "bad")
    (bad,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(bad)], now=NOW)
    await enqueue_jobs(shard, "claimed1", "claimed2", retries=1)
    claimed = await claim_jobs(shard, 2, token="first")
    await enqueue_jobs(shard, "q1", "q2", "q3")
    await enqueue_jobs(shard, "later", due_at=NOW + DUE_IN_SECONDS)
    await reap(shard, now=NOW)
    return claimed


def _script_calls(server: ValkeyServer) -> int:
    stats = server.command("INFO", "commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_operation_whose_reply_is_lost_runs_once_and_can_be_repeated(
    plain_shard: Shard, behind_proxy: Shard, proxy: ReplyDroppingProxy, shared_server: ValkeyServer, operation: str
) -> None:
    claimed = await _prepare(plain_shard)
    for name in SCRIPTS:
        shared_server.command("SCRIPT", "LOAD", script(name).text)
    # Read memory usage and replicas first, so that the dropped reply is the script's.
    await behind_proxy.ensure_memory()
    before, calls = await dump_shard(plain_shard), _script_calls(shared_server)

    proxy.drop_replies()
    with pytest.raises(ShardUnavailable) as raised:
        await OPERATIONS[operation](behind_proxy, claimed)
    assert raised.value.outcome_unknown
    assert raised.value.shard_index == 0
    assert _script_calls(shared_server) - calls == 1
    after = await dump_shard(plain_shard)
    assert after != before

    await OPERATIONS[operation](behind_proxy, claimed)
    assert await dump_shard(plain_shard) == after
    assert proxy.dropped_replies == 1


async def test_retries_return_the_first_reply(behind_proxy: Shard, proxy: ReplyDroppingProxy) -> None:
    await behind_proxy.ensure_memory()
    proxy.drop_replies(2)
    assert await enqueue(behind_proxy, [new_job("a")], now=NOW, retry_seconds=5) == [EnqueueOutcome.REPEATED]
    proxy.drop_replies(2)
    (job,) = await claim(behind_proxy, "w1", ["default"], 5, now=NOW, retry_seconds=5)
    proxy.drop_replies()
    report = await finish(behind_proxy, "w1", [success_outcome(job)], now=NOW, retry_seconds=5)
    assert report.lost == ("a",)
    proxy.drop_replies(2)
    assert [result.job_id for result in await pull(behind_proxy, 5, now=NOW, retry_seconds=5)] == ["a"]
