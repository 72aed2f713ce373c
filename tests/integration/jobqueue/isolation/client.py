"""A client beside a master: enqueues to its first shard as fast as it can, and prints what was acknowledged.

    python -m tests.integration.jobqueue.isolation.client URL HOST [--unconfirmed]

The first line is the shard's prefix, each other one the id of a job. `--unconfirmed` leaves the confirmation out,
which shows what it is for.
"""

import asyncio
import itertools
import sys
from typing import Any

from redis.crc import key_slot

import jobqueue.sharding.shards
from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.servers.connection_pool import RedisCommand, ServerPool
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import new_job

BATCH = 20


async def _unconfirmed(
    node: ServerPool, *commands: RedisCommand, touch_key: str, masters: object, timeout_seconds: float = 5.0
) -> list[Any]:
    return await node.execute(*commands, timeout_seconds=timeout_seconds)


async def main(url: str, host: str, *options: str) -> None:
    if "--unconfirmed" in options:
        jobqueue.sharding.shards.execute_replicated = _unconfirmed
    shards = await Shards.connect(url)
    owners = shards.topology.masters_by_slot()
    shard = next(one for one in shards if owners[key_slot(one.prefix.encode())].startswith(f"{host}:"))
    sys.stdout.write(f"{shard.prefix}\n")
    for number in itertools.count():
        ids = [shards.new_id(shard) for _ in range(BATCH)]
        try:
            await enqueue(shard, [new_job(job_id) for job_id in ids])
        except JobQueueError:
            await asyncio.sleep(0.02)
            continue
        sys.stdout.write("".join(f"{job_id}\n" for job_id in ids))
        if number % 10 == 0:
            sys.stdout.flush()


asyncio.run(main(*sys.argv[1:]))
