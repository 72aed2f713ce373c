"""Short words for what the tests of the queue do over and over, and a look at the records beneath."""

import json
from base64 import b64encode
from typing import Any

from redis.crc import key_slot

from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import EnqueueResult, enqueue
from jobqueue.lifecycle.finish import Failed, Finished, FinishReport, finish
from jobqueue.maintenance.periodic import expire_results
from jobqueue.model import ClaimedJob, FailureReason, NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards

NOW = 1_900_000_000.0
"""The present, as most tests inject it; beyond the machine's, so that nothing lapses by itself."""


def new_job(job_id: str, **fields: Any) -> NewJob:
    """A job that does nothing."""
    return NewJob(id=job_id, function="noop", data=b'["worker_node.functions.noop", null, [], {}]', **fields)


async def enqueue_jobs(shard: Shard, *job_ids: str, now: float = NOW, **fields: Any) -> list[EnqueueResult]:
    """Enqueues jobs that share their fields."""
    return await enqueue(shard, [new_job(job_id, **fields) for job_id in job_ids], now=now)


async def claim_jobs(
    shard: Shard, count: int = 1, *queues: str, worker: str = "w1", now: float = NOW, **options: Any
) -> list[ClaimedJob]:
    """Claims from `queues`, by default from `default`."""
    return await claim(shard, worker, queues or ("default",), count, now=now, **options)


def success_outcome(
    job: ClaimedJob, value: object = "done", *, function: str = "noop", recorded: bool = False
) -> Finished:
    """The outcome of a job that returned `value`."""
    return Finished(job, function, 0.5, b64encode(json.dumps(value).encode()), recorded)


def failed_outcome(
    job: ClaimedJob, reason: FailureReason = FailureReason.EXCEPTION, trace: str = "Traceback\nValueError: boom"
) -> Failed:
    """The outcome of a job that raised."""
    return Failed(job, "noop", 0.5, reason, trace)


async def complete_jobs(shard: Shard, *job_ids: str, now: float = NOW, **fields: Any) -> FinishReport:
    """Takes jobs their whole way, each with its id as its result, in this order."""
    await enqueue_jobs(shard, *job_ids, now=now, **fields)
    jobs = await claim_jobs(shard, len(job_ids), fields.get("queue", "default"), now=now)
    assert [job.id for job in jobs] == list(job_ids)
    return await finish(shard, "w1", [success_outcome(job, job.id) for job in jobs], now=now)


async def queued_ids(shard: Shard, queue: str = "default") -> list[str]:
    """The ids in a queue, the next one first."""
    (ids,) = await shard.execute(("LRANGE", f"{shard.prefix}:queue:{queue}", 0, -1))
    return [job_id.decode() for job_id in ids]


async def sorted_set(shard: Shard, name: str) -> dict[str, float]:
    """A sorted set of the shard, with its scores."""
    (flat,) = await shard.execute(("ZRANGE", f"{shard.prefix}:{name}", 0, -1, "WITHSCORES"))
    return {member.decode(): float(score) for member, score in zip(flat[::2], flat[1::2], strict=True)}


async def job_fields(shard: Shard, job_id: str) -> dict[str, str]:
    """A job's hash."""
    (flat,) = await shard.execute(("HGETALL", f"{shard.prefix}:job:{job_id}"))
    return {name.decode(): value.decode(errors="replace") for name, value in zip(flat[::2], flat[1::2], strict=True)}


async def job_status(shard: Shard, job_id: str) -> str | None:
    """A job's status."""
    return (await job_fields(shard, job_id)).get("status")


async def key_ttl(shard: Shard, name: str) -> int:
    """Seconds until a key of the shard expires: -1 never, -2 it is not there. See `nearly`."""
    (seconds,) = await shard.execute(("TTL", f"{shard.prefix}:{name}"))
    return int(seconds)


async def results_kept_at(shard: Shard, now: float) -> set[str]:
    """The jobs that are left with their results after the managers' care at that time."""
    await expire_results(shard, now=now)
    keys = await shard_keys(shard)
    kept = {key.removeprefix("results:") for key in keys if key.startswith("results:")}
    assert all(f"job:{job_id}" in keys for job_id in kept)
    return kept


def nearly(seconds: int) -> range:
    """What is left of a time to live that was `seconds` a moment ago."""
    return range(seconds - 20, seconds + 1)


async def shard_keys(shard: Shard) -> set[str]:
    """Every key of the shard that holds something, without the prefix."""
    (keys,) = await shard.execute(("KEYS", f"{shard.prefix}:*"))
    return {key.decode().removeprefix(f"{shard.prefix}:") for key in keys} - {"wm:mark"}


async def dump_shard(shard: Shard) -> dict[str, tuple[bytes, bool]]:
    """Everything that the shard holds, byte by byte, and which keys expire."""
    keys = sorted(await shard_keys(shard))
    commands: list[tuple[str, ...]] = []
    for key in keys:
        commands += [("DUMP", f"{shard.prefix}:{key}"), ("TTL", f"{shard.prefix}:{key}")]
    answers = await shard.execute(*commands) if commands else []
    return {key: (answers[2 * n], answers[2 * n + 1] >= 0) for n, key in enumerate(keys)}


def master_port_of(shards: Shards, shard: Shard) -> int:
    """The port of the master that has the shard."""
    return int(shards.topology.masters_by_slot()[key_slot(shard.prefix.encode())].rpartition(":")[2])
