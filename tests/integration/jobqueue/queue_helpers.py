"""Helpers of the queue's tests: enqueue, claim and finish jobs in one call, and read the records in Redis."""

import json
from base64 import b64encode
from typing import Any

from redis.crc import key_slot

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import EnqueueResult, enqueue
from jobqueue.lifecycle.finish import Failed, Finished, FinishReport, Retried, Stopped, finish
from jobqueue.maintenance.expiry import expire_results
from jobqueue.model import LEASE_SECONDS, FailureReason, NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

NOW = 1_900_000_000.0
"""The time that most tests pass as `now`. It is after the machine's time, so Redis expires nothing by itself."""

LEASE_EXPIRED = NOW + LEASE_SECONDS + 1
"""A time at which leases taken at `NOW` have expired."""

RUN_SECONDS = 0.5
"""Run time that the outcomes of these helpers report."""


def new_job(job_id: str, **fields: Any) -> NewJob:
    """Build a job that does nothing."""
    return NewJob(id=job_id, function="noop", data=b'["worker_node.functions.noop", null, [], {}]', **fields)


async def enqueue_jobs(shard: Shard, *job_ids: str, now: float = NOW, **fields: Any) -> list[EnqueueResult]:
    """Enqueue jobs that share their fields."""
    return await enqueue(shard, [new_job(job_id, **fields) for job_id in job_ids], now=now)


async def claim_jobs(
    shard: Shard, count: int = 1, *queues: str, worker: str = "w1", now: float = NOW, **options: Any
) -> list[ClaimedJob]:
    """Claim from `queues`, by default from `default`."""
    return await claim(shard, worker, queues or ("default",), count, now=now, **options)


def success_outcome(
    job: ClaimedJob, value: object = "done", *, function: str = "noop", has_execution_record: bool = False
) -> Finished:
    """Build the outcome of a job that returned `value`."""
    result = b64encode(json.dumps(value).encode())
    return Finished(job, function, RUN_SECONDS, result, has_execution_record)


def failed_outcome(
    job: ClaimedJob, reason: FailureReason = FailureReason.EXCEPTION, traceback: str = "Traceback\nValueError: boom"
) -> Failed:
    """Build the outcome of a job that raised."""
    return Failed(job, "noop", RUN_SECONDS, reason, traceback)


def retried_outcome(
    job: ClaimedJob, max_retries: int, intervals: tuple[int, ...] = (), *, at_front: bool = False
) -> Retried:
    """Build the outcome of a job that returned `rq.Retry`."""
    return Retried(job, "noop", RUN_SECONDS, max_retries, intervals, at_front, b64encode(b"null"))


def stopped_outcome(job: ClaimedJob) -> Stopped:
    """Build the outcome of a job that was cancelled while it ran."""
    return Stopped(job, "noop", RUN_SECONDS)


async def complete_jobs(shard: Shard, *job_ids: str, now: float = NOW, **fields: Any) -> FinishReport:
    """Enqueue, claim and finish jobs in this order, each with its id as its result."""
    await enqueue_jobs(shard, *job_ids, now=now, **fields)
    jobs = await claim_jobs(shard, len(job_ids), fields.get("queue", "default"), now=now)
    assert [job.id for job in jobs] == list(job_ids)
    return await finish(shard, "w1", [success_outcome(job, job.id) for job in jobs], now=now)


def worker_record(name: str = "w1", *, queues: tuple[str, ...] = ("default",), slots: int = 1) -> WorkerRecord:
    """Build the registration of a worker."""
    return WorkerRecord(name, hostname="host", pid=1, queues=queues, slots=slots)


def worker_heartbeat(
    state: str = "idle", *, running: int = 0, finished: int = 0, failed: int = 0, working_seconds: float = 0.0
) -> WorkerHeartbeat:
    """Build the heartbeat of a worker."""
    return WorkerHeartbeat(state, running, finished, failed, working_seconds)


async def queued_ids(shard: Shard, queue: str = "default") -> list[str]:
    """Return the ids in a queue, next in line first."""
    (ids,) = await shard.execute(("LRANGE", f"{shard.prefix}:queue:{queue}", 0, -1))
    return [job_id.decode() for job_id in ids]


async def sorted_set(shard: Shard, name: str) -> dict[str, float]:
    """Return the members of a sorted set with their scores."""
    (flat,) = await shard.execute(("ZRANGE", f"{shard.prefix}:{name}", 0, -1, "WITHSCORES"))
    return {member.decode(): float(score) for member, score in zip(flat[::2], flat[1::2], strict=True)}


async def job_fields(shard: Shard, job_id: str) -> dict[str, str]:
    """Return a job's hash."""
    (flat,) = await shard.execute(("HGETALL", f"{shard.prefix}:job:{job_id}"))
    return {name.decode(): value.decode(errors="replace") for name, value in zip(flat[::2], flat[1::2], strict=True)}


async def job_status(shard: Shard, job_id: str) -> str | None:
    """Return a job's status; None if there is no such job."""
    return (await job_fields(shard, job_id)).get("status")


async def key_ttl(shard: Shard, name: str) -> int:
    """Return the seconds until a key expires: -1 never, -2 there is no such key. Compare with `nearly`."""
    (seconds,) = await shard.execute(("TTL", f"{shard.prefix}:{name}"))
    return int(seconds)


async def results_kept_at(shard: Shard, now: float) -> set[str]:
    """Expire results as managers do at time `now`, and return the ids of the jobs whose results are kept."""
    await expire_results(shard, now=now)
    keys = await shard_keys(shard)
    kept = {key.removeprefix("results:") for key in keys if key.startswith("results:")}
    assert all(f"job:{job_id}" in keys for job_id in kept)
    return kept


def nearly(seconds: int) -> range:
    """Return the range of a time to live that was set to `seconds` a moment ago."""
    return range(seconds - 20, seconds + 1)


async def shard_keys(shard: Shard) -> set[str]:
    """Return all keys of the shard without the prefix, except the one that exists only for WAIT."""
    (keys,) = await shard.execute(("KEYS", f"{shard.prefix}:*"))
    return {key.decode().removeprefix(f"{shard.prefix}:") for key in keys} - {"wm:mark"}


async def dump_shard(shard: Shard) -> dict[str, tuple[bytes, bool]]:
    """Return each key's serialized value and whether the key expires, to compare the shard before and after."""
    keys = sorted(await shard_keys(shard))
    commands: list[tuple[str, ...]] = []
    for key in keys:
        commands += [("DUMP", f"{shard.prefix}:{key}"), ("TTL", f"{shard.prefix}:{key}")]
    replies = await shard.execute(*commands) if commands else []
    return {key: (replies[2 * n], replies[2 * n + 1] >= 0) for n, key in enumerate(keys)}


def replica_of(cluster: ValkeyCluster, master_port: int) -> ValkeyServer:
    """Return the replica of the master with that port."""

    def is_replica_of_master(server: ValkeyServer) -> bool:
        role, *rest = server.command("ROLE")
        return bool(role == "slave" and int(rest[1]) == master_port)

    return next(filter(is_replica_of_master, cluster.servers))


def master_port_of(shards: Shards, shard: Shard) -> int:
    """Return the port of the master that serves the shard."""
    return int(shards.topology.masters_by_slot()[key_slot(shard.prefix.encode())].rpartition(":")[2])
