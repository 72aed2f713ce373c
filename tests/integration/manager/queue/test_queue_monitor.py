"""Which queues the monitor calls served."""

import time

from jobqueue import keys
from jobqueue.audit import Author
from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.queue_monitor import QueueMonitor
from scaler.state.leader_election import MAX_LEASE_SECONDS
from workmanager.local.valkey import ValkeyServer

AUTHOR = Author("tester", "127.0.0.1", "request")


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


async def test_a_check_of_a_thousand_queues_takes_few_commands_and_knows_those_without_a_worker(
    private_server: ValkeyServer,
) -> None:
    shards = await Shards.connect(private_server.url)
    prefix, names = shards.all[0].prefix, [f"queue-{number}" for number in range(1000)]
    private_server.command("SADD", keys.queues(prefix), *(keys.queue(prefix, name) for name in names))
    served = names[10:]
    for name in served:
        private_server.command("SADD", keys.workers_of_queue(prefix, name), "worker")
    monitor = QueueMonitor(shards, ShardBreaker(), ALL_QUEUES, launches_workers=False)
    commands = []
    for _ in range(2):
        before = _commands(private_server)
        await monitor.pause("queue-999", AUTHOR)  # and check
        commands.append(_commands(private_server) - before)
    assert commands[0] > 2000, "at first, the jobs of each are counted"
    assert commands[1] < 500
    assert set(await monitor.lately_unserved(names)) == set(names[:10])
    await shards.close()


def _commands(server: ValkeyServer) -> int:
    return int(server.command("INFO", "stats")["total_commands_processed"])
