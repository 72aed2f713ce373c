"""A client that enqueues to one shard as fast as it can and prints the ids of the acknowledged jobs.

    python -m tests.integration.jobqueue.isolation.client URL HOST [--unreplicated]

It takes the first shard of the master at HOST. The first line of its output is the shard's prefix; each other line is
a job id. `--unreplicated` acknowledges writes without waiting for a replica, to show what that wait prevents.
"""

import asyncio
import itertools
import sys
from typing import Any

from redis.crc import key_slot

import jobqueue.sharding.shard
from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.servers.connection_pool import RedisCommand, ServerPool
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import new_job

BATCH_SIZE = 20


async def _execute_unreplicated(
    server: ServerPool, *commands: RedisCommand, touch_key: str, masters: object, timeout_seconds: float = 5.0
) -> list[Any]:
    return await server.execute(*commands, timeout_seconds=timeout_seconds)


async def main(url: str, host: str, *options: str) -> None:
    if "--unreplicated" in options:
        jobqueue.sharding.shard.execute_replicated = _execute_unreplicated
    shards = await Shards.connect(url)
    owners = shards.topology.masters_by_slot()
    shard = next(one for one in shards if owners[key_slot(one.prefix.encode())].startswith(f"{host}:"))
    sys.stdout.write(f"{shard.prefix}\n")
    for number in itertools.count():
        ids = [shards.new_id(shard) for _ in range(BATCH_SIZE)]
        try:
            await enqueue(shard, [new_job(job_id) for job_id in ids])
        except JobQueueError:
            await asyncio.sleep(0.02)
            continue
        sys.stdout.write("".join(f"{job_id}\n" for job_id in ids))
        if number % 10 == 0:
            sys.stdout.flush()


asyncio.run(main(*sys.argv[1:]))
