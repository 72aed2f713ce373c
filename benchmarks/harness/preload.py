"""Preloads the queue with queued or finished jobs through `jobqueue` itself, which is faster than over HTTP."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable

from jobqueue.functions import BUILT_IN
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import Finished, finish
from jobqueue.model import NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards

_BATCH = 500
_WORKER = "preload"
_Verb = Callable[[Shards, Shard, int], Awaitable[None]]


def preload_jobs(url: str, jobs: int, function: str, **kwargs: object) -> None:
    """Enqueue `jobs` jobs that call a function with `kwargs`, spread evenly over the shards."""
    data = json.dumps([BUILT_IN.get(function, function), None, [], kwargs]).encode()
    asyncio.run(_on_all_shards(url, jobs, lambda shards, shard, count: _enqueue(shards, shard, count, function, data)))


def finish_preloaded_jobs(url: str, jobs: int, value: str) -> None:
    """Claim `jobs` queued jobs as one worker and finish them with the result `value`."""
    asyncio.run(_on_all_shards(url, jobs, lambda _, shard, count: _finish(shard, count, value)))


async def _on_all_shards(url: str, jobs: int, verb: _Verb) -> None:
    shards = await Shards.connect(url)
    try:
        for shard in shards:
            share = (jobs - shard.index - 1) // len(shards) + 1
            for start in range(0, share, _BATCH):
                await verb(shards, shard, min(_BATCH, share - start))
    finally:
        await shards.close()


async def _enqueue(shards: Shards, shard: Shard, count: int, function: str, data: bytes) -> None:
    await enqueue(shard, [NewJob(shards.new_id(shard), function, data) for _ in range(count)])


async def _finish(shard: Shard, count: int, value: str) -> None:
    encoded = b64encode(json.dumps(value).encode())
    claimed = await claim(shard, _WORKER, ("default",), count)
    await finish(shard, _WORKER, [Finished(job, "noop", 0.0, encoded) for job in claimed])
