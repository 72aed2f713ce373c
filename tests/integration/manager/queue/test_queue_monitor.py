"""Which queues the monitor calls served."""

import time

from jobqueue import keys
from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.queue_monitor import QueueMonitor
from scaler.state.leader_election import MAX_LEASE_SECONDS
from workmanager.local.valkey import ValkeyServer


async def test_nobody_launches_workers_by_a_lease_that_ends_far_ahead(
    redis_url: str, shared_server: ValkeyServer
) -> None:
    shards = await Shards.connect(redis_url)
    monitor = QueueMonitor(shards, ShardBreaker(), ALL_QUEUES, launches_workers=False)
    leader = keys.scaler(shards.all[0].prefix, "leader")
    unserved = []
    for seconds in (MAX_LEASE_SECONDS / 2, 2 * MAX_LEASE_SECONDS):
        shared_server.command("HSET", leader, "until", str(time.time() + seconds), "epoch", 1, "address", "host:1")
        unserved.append(list(await monitor.unserved(["default"])))
    assert unserved == [[], ["default"]]
    await shards.close()
