"""An answer that is lost after the server ran the script: nothing runs twice behind the caller's back, the caller is
told that the outcome is unknown, and repeating is harmless for every verb."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.claim import claim, release
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.enqueue import EnqueueOutcome, enqueue
from jobqueue.lifecycle.finish import Stopped, finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap
from jobqueue.lifecycle.pull import acknowledge, pull
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.model import ClaimedJob
from jobqueue.servers import connection_pool
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    complete_jobs,
    dump_shard,
    enqueue_jobs,
    failed_outcome,
    new_job,
    success_outcome,
)
from tests.integration.jobqueue.reply_dropping_proxy import ReplyDroppingProxy, run_proxy
from workmanager.local.valkey import ValkeyServer

Act = Callable[[Shard, list[ClaimedJob]], Awaitable[object]]


async def _claim(shard: Shard, held: list[ClaimedJob]) -> object:
    return await claim(shard, "w2", ["default"], 2, token="t", now=NOW, retry_seconds=0.0)


async def _release(shard: Shard, held: list[ClaimedJob]) -> object:
    return await release(shard, held, now=NOW, retry_seconds=0.0)


VERBS: dict[str, Act] = {
    "enqueue": lambda shard, held: enqueue(shard, [new_job("new"), new_job("new2", queue="x")], now=NOW),
    "claim": _claim,
    "finish": lambda shard, held: finish(shard, "w1", [success_outcome(job) for job in held], now=NOW),
    "fail": lambda shard, held: finish(shard, "w1", [failed_outcome(job) for job in held], now=NOW),
    "stop": lambda shard, held: finish(shard, "w1", [Stopped(job, "noop", 0.1) for job in held], now=NOW),
    "extend": lambda shard, held: extend(shard, "w1", [LeaseUpdate(job, NOW) for job in held], now=NOW),
    "release": _release,
    "reap": lambda shard, held: reap(shard, now=NOW + 21),
    "enqueue_due": lambda shard, held: enqueue_due(shard, "default", "me", now=NOW + 60),
    "pull": lambda shard, held: pull(shard, 2, token="t", now=NOW),
    "pull on a lease": lambda shard, held: pull(shard, 2, token="t", lease_seconds=9, now=NOW),
    "ack": lambda shard, held: acknowledge(shard, ["leased"], now=NOW),
    "prune": lambda shard, held: shard.run(script("prune"), repr(NOW + 100), 2_592_000, 1000, "default"),
    "cancel": lambda shard, held: cancel(shard, ["q1", "later"], now=NOW),
    "requeue": lambda shard, held: requeue(shard, ["bad"], now=NOW),
    "delete": lambda shard, held: delete(shard, ["q1", "bad", "done1"]),
}

SCRIPTS = (
    *("enqueue", "claim", "finish", "fail", "extend", "release", "reap", "enqueue_due", "pull", "ack", "prune"),
    *("cancel", "requeue", "delete"),
)


@pytest.fixture(autouse=True)
def _long_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server says of its memory is not asked for again: that could be the answer that is lost."""
    monkeypatch.setattr(connection_pool, "INFO_MAX_AGE_SECONDS", 3600.0)


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[ReplyDroppingProxy]:
    async with run_proxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
async def behind_proxy(proxy: ReplyDroppingProxy) -> AsyncIterator[Shard]:
    shards = await Shards.connect(proxy.url)
    yield shards.all[0]
    await shards.close()


async def _prepare(shard: Shard) -> list[ClaimedJob]:
    """A job in each state; returns those that `w1` holds."""
    await complete_jobs(shard, "leased")
    await pull(shard, 1, lease_seconds=50, now=NOW)
    await complete_jobs(shard, "done1", "done2", "done3")
    await enqueue_jobs(shard, "bad")
    (bad,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(bad)], now=NOW)
    await enqueue_jobs(shard, "held1", "held2", retries=1)
    held = await claim_jobs(shard, 2, token="held")
    await enqueue_jobs(shard, "q1", "q2", "q3")
    await enqueue_jobs(shard, "later", due_at=NOW + 30)
    await reap(shard, now=NOW)
    return held


def _script_calls(server: ValkeyServer) -> int:
    stats = server.command("INFO", "commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_whose_reply_is_lost_runs_once_and_can_be_repeated(
    plain_shard: Shard, behind_proxy: Shard, proxy: ReplyDroppingProxy, shared_server: ValkeyServer, verb: str
) -> None:
    held = await _prepare(plain_shard)
    for name in SCRIPTS:
        shared_server.command("SCRIPT", "LOAD", script(name).text)
    # Asked before: else it is the question for memory and replicas that loses its answer.
    await behind_proxy.ensure_memory()
    before, calls = await dump_shard(plain_shard), _script_calls(shared_server)

    proxy.drop_replies()
    with pytest.raises(ShardUnavailable) as raised:
        await VERBS[verb](behind_proxy, held)
    assert raised.value.outcome_unknown
    assert raised.value.shard_index == 0
    assert _script_calls(shared_server) - calls == 1
    after = await dump_shard(plain_shard)
    assert after != before

    await VERBS[verb](behind_proxy, held)
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
