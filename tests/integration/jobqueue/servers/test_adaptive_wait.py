"""Replicated writes: replies wait for a replica, on a real cluster whose replicas are silent, gone, or come back."""

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.enqueue import EnqueueOutcome, enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.pull import acknowledge, pull
from jobqueue.servers import adaptive_wait, unreplicated_master
from jobqueue.servers.adaptive_wait import DEFAULT_NODE_TIMEOUT_SECONDS, POLL_SECONDS
from jobqueue.servers.connection_pool import ServerPool
from jobqueue.servers.quorum import VIEW_COMMANDS, last_contact_with_majority
from jobqueue.servers.unreplicated_master import MAX_UNREAD_SECONDS
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from scaler.fleets.instances import Intent, LaunchRequest
from scaler.state.leader_election import LeaderElector
from scaler.state.operator_overrides import set_limits, set_paused
from scaler.state.store import ScalerStore
from tests.integration.jobqueue.queue_helpers import (
    complete_jobs,
    enqueue_jobs,
    master_port_of,
    new_job,
    queued_ids,
    replica_of,
    success_outcome,
)
from tests.waiting import until, until_async
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster
from workmanager.store_settings import NODE_TIMEOUT_SECONDS

TRUST_DELAY_SECONDS = 1.5 * NODE_TIMEOUT_SECONDS + 0.5
"""How long a master without replicas is not trusted if the majority cannot be asked."""


@pytest.fixture
async def shards(cluster: ValkeyCluster) -> AsyncIterator[Shards]:
    connected = await Shards.connect(cluster.url)
    yield connected
    await connected.close()


@pytest.fixture
def shard(shards: Shards) -> Shard:
    return shards.all[0]


@pytest.fixture
def master(cluster: ValkeyCluster, shards: Shards, shard: Shard) -> ValkeyServer:
    """The master of the shard."""
    port = master_port_of(shards, shard)
    return next(server for server in cluster.servers if server.port == port)


@pytest.fixture
def replica(cluster: ValkeyCluster, master: ValkeyServer) -> ValkeyServer:
    """The replica of the shard's master."""
    return replica_of(cluster, master.port)


@pytest.mark.usefixtures("long_replica_timeout")
async def test_nothing_is_acknowledged_while_the_replica_is_silent_not_even_a_repeat(
    cluster: ValkeyCluster, shard: Shard, replica: ValkeyServer
) -> None:
    """The repeat finds the job and writes nothing, so that WAIT alone would return at once."""
    await enqueue_jobs(shard, "a")
    other = await Shards.connect(cluster.url)
    replica.pause()
    try:
        first = asyncio.create_task(enqueue_jobs(shard, "b"))
        await until_async(lambda: _is_queued(shard, "b"))
        repeats = [enqueue_jobs(shard, "b"), enqueue_jobs(other.all[shard.index], "b")]
        results = await asyncio.gather(first, *repeats, return_exceptions=True)
    finally:
        replica.resume()
        await other.close()
    for result in results:
        assert isinstance(result, ShardUnavailable), result
        assert result.outcome_unknown
        assert "no replica" in str(result)
    assert await enqueue_jobs(shard, "b") == [EnqueueOutcome.REPEATED]
    assert await queued_ids(shard) == ["a", "b"]


async def test_writes_resume_once_redis_drops_a_silent_replica(shard: Shard, replica: ValkeyServer) -> None:
    await enqueue_jobs(shard, "a")
    replica.pause()
    try:
        async with asyncio.timeout(60):
            (outcome,) = await enqueue(shard, [new_job("b")], retry_seconds=60)
    finally:
        replica.resume()
    # WRITTEN if Redis drops the replica during the first try, REPEATED if later.
    assert outcome in (EnqueueOutcome.REPEATED, EnqueueOutcome.WRITTEN)


@pytest.mark.usefixtures("long_replica_timeout")
@pytest.mark.parametrize(
    "operation",
    [
        *("enqueue", "pull", "ack", "cancel", "requeue", "delete"),
        *("acquire leadership", "record intents", "set paused", "set limits"),
    ],
)
async def test_every_acknowledged_change_waits_for_the_replica(
    shard: Shard, replica: ValkeyServer, operation: str
) -> None:
    await complete_jobs(shard, "a", "b")
    await pull(shard, 1, lease_seconds=60)
    await enqueue_jobs(shard, "c")
    elector = LeaderElector(shard, "host:1")
    leadership = await elector.acquire()
    store = ScalerStore(shard, elector)
    intent = Intent("t-1", recorded_at=5.0, epoch=leadership.epoch, request=LaunchRequest(1, "pool", {}))
    replica.pause()
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "enqueue": lambda: enqueue_jobs(shard, "d"),
        "pull": lambda: pull(shard, 1),
        "ack": lambda: acknowledge(shard, ["b"]),
        "cancel": lambda: cancel(shard, ["c"]),
        "requeue": lambda: requeue(shard, ["c"]),
        "delete": lambda: delete(shard, ["c"]),
        "acquire leadership": elector.acquire,
        "record intents": lambda: store.record_intents(leadership.epoch, [intent], max_instances=9),
        "set paused": lambda: set_paused(shard, paused=True),
        "set limits": lambda: set_limits(shard, {"max_workers": 3}),
    }
    try:
        with pytest.raises(ShardUnavailable, match="no replica") as raised:
            await changes[operation]()
    finally:
        replica.resume()
    assert raised.value.outcome_unknown


@pytest.mark.usefixtures("long_replica_timeout")
async def test_claim_and_finish_do_not_wait_for_the_replica(shard: Shard, replica: ValkeyServer) -> None:
    """If a claim or finish is lost with its master, the job runs again, as at-least-once delivery allows."""
    await enqueue_jobs(shard, "a")
    replica.pause()
    try:
        # The replica stays silent for longer than this.
        async with asyncio.timeout(30):
            (job,) = await claim(shard, "w1", ["default"], 1)
            assert (await finish(shard, "w1", [success_outcome(job)])).lost == ()
    finally:
        replica.resume()


@pytest.mark.usefixtures("long_replica_timeout")
async def test_an_unreplicated_master_answers_at_once_after_the_trust_delay(
    shards: Shards, shard: Shard, master: ValkeyServer, replica: ValkeyServer
) -> None:
    loop = asyncio.get_running_loop()
    other = next(one for one in shards if master_port_of(shards, one) != master.port)
    await enqueue_jobs(shard, "a")
    await enqueue_jobs(other, "a")
    replica.kill()
    started = loop.time()
    delayed = asyncio.create_task(enqueue_jobs(shard, "b"))
    others = []
    while not delayed.done():
        others.append(await _enqueue_seconds(other))
        await asyncio.sleep(0.05)
    assert await delayed == [EnqueueOutcome.WRITTEN]
    assert MAX_UNREAD_SECONDS < loop.time() - started < DEFAULT_NODE_TIMEOUT_SECONDS
    assert statistics.median(others) < POLL_SECONDS, "healthy shards are not delayed"
    assert statistics.median([await _enqueue_seconds(shard) for _ in range(20)]) < POLL_SECONDS

    # Its replica comes back and must confirm from then on. When it is gone again, the trust delay starts again.
    await asyncio.to_thread(replica.start)
    await asyncio.to_thread(until, lambda: _has_online_replica(master))
    replica.command("CONFIG", "SET", "repl-timeout", 600)
    replica.pause()
    with pytest.raises(ShardUnavailable, match="no replica"):
        await enqueue_jobs(shard, "d")
    replica.kill()
    started = loop.time()
    assert await enqueue_jobs(shard, "d") == [EnqueueOutcome.REPEATED]
    assert loop.time() - started > MAX_UNREAD_SECONDS


async def test_a_replica_that_came_and_went_unseen_restarts_the_trust_delay(
    shard: Shard, master: ValkeyServer, replica: ValkeyServer
) -> None:
    loop = asyncio.get_running_loop()
    await enqueue_jobs(shard, "a")
    replica.kill()
    await enqueue_jobs(shard, "b")
    await asyncio.to_thread(replica.start)
    await asyncio.to_thread(until, lambda: _has_online_replica(master))
    replica.kill()
    await asyncio.to_thread(until, lambda: not _has_online_replica(master))
    started = loop.time()
    await enqueue_jobs(shard, "c")
    assert loop.time() - started > MAX_UNREAD_SECONDS


@pytest.mark.parametrize("forbidden", ["config", "cluster|nodes"])
async def test_trust_needs_the_majority_or_the_trust_delay(
    cluster: ValkeyCluster, replica: ValkeyServer, shard: Shard, forbidden: str
) -> None:
    """With CLUSTER NODES the majority decides, even if the node timeout is unreadable, which alone would take 23 s.

    Without it, only time helps.
    """
    for server in cluster.servers:
        server.command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", f"-{forbidden}")
    limited = await Shards.connect(cluster.url.replace("redis://", "redis://limited:secret@"))
    await enqueue_jobs(limited.all[shard.index], "a")
    replica.kill()
    started = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(DEFAULT_NODE_TIMEOUT_SECONDS):
            await enqueue(limited.all[shard.index], [new_job("b")], retry_seconds=10)
    finally:
        await limited.close()
    seconds = asyncio.get_running_loop().time() - started
    assert seconds >= (TRUST_DELAY_SECONDS if forbidden == "cluster|nodes" else MAX_UNREAD_SECONDS)


async def test_a_master_that_has_just_been_promoted_is_trusted_at_once(
    cluster: ValkeyCluster,
    shards: Shards,
    shard: Shard,
    master: ValkeyServer,
    replica: ValkeyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No server could replace it, so that nobody needs to have heard from it since, and no time needs to pass."""
    monkeypatch.setattr(unreplicated_master, "MAX_UNREAD_SECONDS", 600.0)
    monkeypatch.setattr(adaptive_wait, "trust_delay_seconds", lambda _: 600.0)
    await enqueue_jobs(shard, "a")
    others = [server for server in cluster.masters() if server is not master]
    await asyncio.to_thread(master.kill)
    await asyncio.to_thread(until, lambda: all(_calls_master(server, replica) for server in (replica, *others)))
    async with asyncio.timeout(30):
        # The first try finds the old master gone.
        await enqueue(shard, [new_job("b")], retry_seconds=20)


async def test_masters_without_recent_contact_do_not_vouch_for_a_silent_master(
    shards: Shards, master: ValkeyServer
) -> None:
    """They report it as alive for a node timeout after its last message, although a partition may have cut it off."""
    pools = shards.topology.masters()
    (own,) = (pool for pool in pools if pool.port == master.port)
    others = [pool for pool in pools if pool is not own]
    own_replies = await own.execute(*VIEW_COMMANDS)
    await until_async(lambda: _are_in_contact(own_replies, others))
    master.pause()
    paused_at = time.monotonic()
    try:
        while time.monotonic() < paused_at + 0.75 * NODE_TIMEOUT_SECONDS:
            # Messages that it sent before can stay unread for a moment.
            assert await last_contact_with_majority(own_replies, others) < paused_at + MAX_UNREAD_SECONDS
            await asyncio.sleep(0.1)
        await until_async(lambda: _is_suspected(own_replies, others))
    finally:
        master.resume()


async def test_a_master_without_the_majority_acknowledges_nothing(
    cluster: ValkeyCluster, shard: Shard, master: ValkeyServer, replica: ValkeyServer
) -> None:
    """Neither while it still accepts writes, nor after it was trusted without a replica."""
    await enqueue_jobs(shard, "a")
    replica.kill()
    await enqueue_jobs(shard, "b")
    await asyncio.to_thread(replica.start)
    await asyncio.to_thread(until, lambda: _has_online_replica(master))
    others = [server for server in cluster.servers if server is not master]
    for server in others:
        server.pause()
    errors: list[ShardUnavailable] = []
    try:
        while not errors or errors[-1].outcome_unknown:
            with pytest.raises(ShardUnavailable) as raised:
                await enqueue_jobs(shard, f"c-{len(errors)}")
            errors.append(raised.value)
    finally:
        for server in others:
            server.resume()
    assert errors[0].outcome_unknown
    assert re.search("cluster is down|majority partition", str(errors[-1]))


async def test_a_plain_redis_without_replica_answers_at_once(private_shard: Shard) -> None:
    assert statistics.median([await _enqueue_seconds(private_shard) for _ in range(20)]) < POLL_SECONDS


async def _enqueue_seconds(shard: Shard) -> float:
    """Measure one enqueue. While the master is not trusted, it takes `POLL_SECONDS` at least."""
    started = time.monotonic()
    await enqueue_jobs(shard, f"job-{started}")
    return time.monotonic() - started


def _calls_master(server: ValkeyServer, other: ValkeyServer) -> bool:
    """Return whether `server` knows `other` as a master with slots."""
    lines = [line.split() for line in server.command("CLUSTER", "NODES").splitlines()]
    return any(f":{other.port}@" in line[1] and "master" in line[2] and len(line) > 8 for line in lines)


def _has_online_replica(master: ValkeyServer) -> bool:
    """Return whether the master has a replica that has finished its copy."""
    return bool(master.command("INFO", "replication").get("slave0", {}).get("state") == "online")


async def _are_in_contact(own_replies: Sequence[object], others: Sequence[ServerPool]) -> bool:
    return await last_contact_with_majority(own_replies, others) > time.monotonic() - NODE_TIMEOUT_SECONDS


async def _is_suspected(own_replies: Sequence[object], others: Sequence[ServerPool]) -> bool:
    return await last_contact_with_majority(own_replies, others) == float("-inf")


async def _is_queued(shard: Shard, job_id: str) -> bool:
    return job_id in await queued_ids(shard)
