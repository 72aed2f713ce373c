"""Answers that wait until what they tell survives: on real clusters whose replicas are silent, gone, or come back."""

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
    success_outcome,
)
from tests.waiting import until, until_async
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster
from workmanager.store_settings import NODE_TIMEOUT_SECONDS

HOLD_SECONDS = 1.5 * NODE_TIMEOUT_SECONDS + 0.5


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
    """The shard's."""
    port = master_port_of(shards, shard)
    return next(server for server in cluster.servers if server.port == port)


@pytest.fixture
def replica(cluster: ValkeyCluster, master: ValkeyServer) -> ValkeyServer:
    """The shard's."""

    def follows(server: ValkeyServer) -> bool:
        role, *rest = server.command("ROLE")
        return role == "slave" and int(rest[1]) == master.port

    return next(filter(follows, cluster.servers))


@pytest.mark.usefixtures("long_replica_timeout")
async def test_nothing_is_acknowledged_while_the_replica_is_silent_not_even_a_repeat(
    cluster: ValkeyCluster, shard: Shard, replica: ValkeyServer
) -> None:
    """The repeat finds the job and writes nothing: WAIT by itself would be content with that."""
    await enqueue_jobs(shard, "a")
    other = await Shards.connect(cluster.url)
    replica.pause()
    try:
        first = asyncio.create_task(enqueue_jobs(shard, "b"))
        await until_async(lambda: _is_waiting(shard, "b"))
        repeats = [enqueue_jobs(shard, "b"), enqueue_jobs(other.all[shard.index], "b")]
        answers = await asyncio.gather(first, *repeats, return_exceptions=True)
    finally:
        replica.resume()
        await other.close()
    for answer in answers:
        assert isinstance(answer, ShardUnavailable), answer
        assert answer.outcome_unknown
        assert "no replica" in str(answer)
    assert await enqueue_jobs(shard, "b") == [EnqueueOutcome.REPEATED]
    assert await queued_ids(shard) == ["a", "b"]


async def test_writes_resume_once_redis_drops_a_silent_replica(shard: Shard, replica: ValkeyServer) -> None:
    await enqueue_jobs(shard, "a")
    replica.pause()
    try:
        async with asyncio.timeout(60):
            (answer,) = await enqueue(shard, [new_job("b")], retry_seconds=60)
    finally:
        replica.resume()
    # Which one depends on whether the replica was given up during the first try.
    assert answer in (EnqueueOutcome.REPEATED, EnqueueOutcome.WRITTEN)


@pytest.mark.usefixtures("long_replica_timeout")
@pytest.mark.parametrize(
    "verb", ["enqueue", "pull", "ack", "cancel", "requeue", "delete", "lead", "intend", "pause", "limit"]
)
async def test_every_acknowledged_change_waits_for_the_replica(shard: Shard, replica: ValkeyServer, verb: str) -> None:
    await complete_jobs(shard, "a", "b")
    await pull(shard, 1, lease_seconds=60)
    await enqueue_jobs(shard, "c")
    candidate = LeaderElector(shard, "host:1")
    leadership = await candidate.acquire()
    ledger, order = ScalerStore(shard, candidate), LaunchRequest(1, "kind", {})
    replica.pause()
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "enqueue": lambda: enqueue_jobs(shard, "d"),
        "pull": lambda: pull(shard, 1),
        "ack": lambda: acknowledge(shard, ["b"]),
        "cancel": lambda: cancel(shard, ["c"]),
        "requeue": lambda: requeue(shard, ["c"]),
        "delete": lambda: delete(shard, ["c"]),
        "lead": candidate.acquire,
        "intend": lambda: ledger.record_intents(
            leadership.epoch, [Intent("t-1", 5.0, leadership.epoch, order)], max_instances=9
        ),
        "pause": lambda: set_paused(shard, paused=True),
        "limit": lambda: set_limits(shard, {"max_workers": 3}),
    }
    try:
        with pytest.raises(ShardUnavailable, match="no replica") as raised:
            await changes[verb]()
    finally:
        replica.resume()
    assert raised.value.outcome_unknown


@pytest.mark.usefixtures("long_replica_timeout")
async def test_claim_and_finish_do_not_wait_for_the_replica(shard: Shard, replica: ValkeyServer) -> None:
    """A claim or a finish that is lost with its master makes the job run once more, which is promised."""
    await enqueue_jobs(shard, "a")
    replica.pause()
    try:
        # The replica says nothing for longer than that.
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
    begun = loop.time()
    held = asyncio.create_task(enqueue_jobs(shard, "b"))
    others = []
    while not held.done():
        others.append(await _seconds_of_a_put(other))
        await asyncio.sleep(0.05)
    assert await held == [EnqueueOutcome.WRITTEN]
    assert MAX_UNREAD_SECONDS < loop.time() - begun < DEFAULT_NODE_TIMEOUT_SECONDS
    assert statistics.median(others) < POLL_SECONDS, "healthy shards are not held up"
    assert statistics.median([await _seconds_of_a_put(shard) for _ in range(20)]) < POLL_SECONDS

    # Its replica comes back: from then on it must confirm, and when it is gone again, all begins anew.
    await asyncio.to_thread(replica.start)
    await asyncio.to_thread(until, lambda: _linked(master))
    replica.command("CONFIG", "SET", "repl-timeout", 600)
    replica.pause()
    with pytest.raises(ShardUnavailable, match="no replica"):
        await enqueue_jobs(shard, "d")
    replica.kill()
    begun = loop.time()
    assert await enqueue_jobs(shard, "d") == [EnqueueOutcome.REPEATED]
    assert loop.time() - begun > MAX_UNREAD_SECONDS


async def test_a_replica_that_came_and_went_unseen_restarts_the_trust_delay(
    shard: Shard, master: ValkeyServer, replica: ValkeyServer
) -> None:
    loop = asyncio.get_running_loop()
    await enqueue_jobs(shard, "a")
    replica.kill()
    await enqueue_jobs(shard, "b")
    await asyncio.to_thread(replica.start)
    await asyncio.to_thread(until, lambda: _linked(master))
    replica.kill()
    await asyncio.to_thread(until, lambda: not _linked(master))
    begun = loop.time()
    await enqueue_jobs(shard, "c")
    assert loop.time() - begun > MAX_UNREAD_SECONDS


@pytest.mark.parametrize("forbidden", ["config", "cluster|nodes"])
async def test_trust_needs_the_majority_or_the_trust_delay(
    cluster: ValkeyCluster, replica: ValkeyServer, shard: Shard, forbidden: str
) -> None:
    """Servers that do not tell their node timeout would be believed after 23 s; those that say nothing, by time."""
    for server in cluster.servers:
        server.command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", f"-{forbidden}")
    limited = await Shards.connect(cluster.url.replace("redis://", "redis://limited:secret@"))
    await enqueue_jobs(limited.all[shard.index], "a")
    replica.kill()
    begun = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(DEFAULT_NODE_TIMEOUT_SECONDS):
            await enqueue(limited.all[shard.index], [new_job("b")], retry_seconds=10)
    finally:
        await limited.close()
    took = asyncio.get_running_loop().time() - begun
    assert took >= (HOLD_SECONDS if forbidden == "cluster|nodes" else MAX_UNREAD_SECONDS)


async def test_masters_without_recent_contact_do_not_vouch_for_a_silent_master(
    shards: Shards, master: ValkeyServer
) -> None:
    """They call it alive for two seconds after it has fallen silent: it may have lost its replica by being cut off."""
    nodes = shards.topology.masters()
    (own,) = (node for node in nodes if node.port == master.port)
    others = [node for node in nodes if node is not own]
    census = await own.execute(*VIEW_COMMANDS)
    await until_async(lambda: _are_in_touch(census, others))
    master.pause()
    begun = time.monotonic()
    try:
        while time.monotonic() < begun + 0.75 * NODE_TIMEOUT_SECONDS:
            # What it sent before may have lain unread for a moment.
            assert await last_contact_with_majority(census, others) < begun + MAX_UNREAD_SECONDS
            await asyncio.sleep(0.1)
        await until_async(lambda: _is_suspected(census, others))
    finally:
        master.resume()


async def test_a_master_without_the_majority_acknowledges_nothing(
    cluster: ValkeyCluster, shard: Shard, master: ValkeyServer, replica: ValkeyServer
) -> None:
    """Also not while it takes writes still, and not after it has been believed."""
    await enqueue_jobs(shard, "a")
    replica.kill()
    await enqueue_jobs(shard, "b")
    await asyncio.to_thread(replica.start)
    await asyncio.to_thread(until, lambda: _linked(master))
    others = [server for server in cluster.servers if server is not master]
    for server in others:
        server.pause()
    refusals: list[ShardUnavailable] = []
    try:
        while not refusals or refusals[-1].outcome_unknown:
            with pytest.raises(ShardUnavailable) as raised:
                await enqueue_jobs(shard, f"c-{len(refusals)}")
            refusals.append(raised.value)
    finally:
        for server in others:
            server.resume()
    assert refusals[0].outcome_unknown
    assert re.search("cluster is down|majority partition", str(refusals[-1]))


async def test_a_plain_redis_without_replica_answers_at_once(private_shard: Shard) -> None:
    assert statistics.median([await _seconds_of_a_put(private_shard) for _ in range(20)]) < POLL_SECONDS


async def _seconds_of_a_put(shard: Shard) -> float:
    """How long a job's answer takes: one that is held waits for `LOOK_SECONDS` at the least."""
    begun = time.monotonic()
    await enqueue_jobs(shard, f"job-{begun}")
    return time.monotonic() - begun


def _linked(master: ValkeyServer) -> bool:
    """Whether the master has a replica that has everything."""
    return bool(master.command("INFO", "replication").get("slave0", {}).get("state") == "online")


async def _are_in_touch(census: Sequence[object], others: Sequence[ServerPool]) -> bool:
    return await last_contact_with_majority(census, others) > time.monotonic() - NODE_TIMEOUT_SECONDS


async def _is_suspected(census: Sequence[object], others: Sequence[ServerPool]) -> bool:
    return await last_contact_with_majority(census, others) == float("-inf")


async def _is_waiting(shard: Shard, job_id: str) -> bool:
    return job_id in await queued_ids(shard)
