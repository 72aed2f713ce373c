"""Preloads the queue with queued or finished jobs through `jobqueue` itself, which is faster than over HTTP."""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from jobqueue.functions import BUILT_IN
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.dependencies import register
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import Finished, finish
from jobqueue.model import Dependency, NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards

_BATCH = 500
_WORKER = "preload"
_Verb = Callable[[Shards, Shard, int], Awaitable[None]]


def preload_jobs(
    url: str, jobs: int, function: str, options: Callable[[int], Mapping[str, Any]] = lambda _: {}, **kwargs: object
) -> None:
    """Enqueue `jobs` jobs that call a function with `kwargs`, spread evenly over the shards.

    Args:
        options: returns fields of the `NewJob` with a number, which counts from 0 in each batch.
    """
    data = json.dumps([BUILT_IN.get(function, function), None, [], kwargs]).encode()

    async def enqueue_some(shards: Shards, shard: Shard, count: int) -> None:
        await enqueue(shard, [NewJob(shards.new_id(shard), function, data, **options(n)) for n in range(count)])

    asyncio.run(_on_all_shards(url, jobs, enqueue_some))


def preload_joins(url: str, groups: int, width: int) -> float:
    """Enqueue `groups` times `width` jobs that do nothing, and one that waits for them; return the seconds it took."""
    data = json.dumps([BUILT_IN["noop"], None, [], {}]).encode()

    async def enqueue_some(shards: Shards, shard: Shard, count: int) -> None:
        parents = [[NewJob(shards.new_id(shard), "noop", data) for _ in range(width)] for _ in range(count // width)]
        await enqueue(shard, [job for group in parents for job in group])
        dependencies = [tuple(Dependency(job.id) for job in group) for group in parents]
        joins = [NewJob(shards.new_id(shard), "noop", data, depends_on=each) for each in dependencies]
        await enqueue(shard, joins)
        await register(shards, shard, [job.id for job in joins])

    started = time.perf_counter()
    asyncio.run(_on_all_shards(url, groups * width, enqueue_some))
    return time.perf_counter() - started


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


async def _finish(shard: Shard, count: int, value: str) -> None:
    encoded = b64encode(json.dumps(value).encode())
    claimed = await claim(shard, _WORKER, ("default",), count)
    await finish(shard, _WORKER, [Finished(job, "noop", 0.0, encoded) for job in claimed])
