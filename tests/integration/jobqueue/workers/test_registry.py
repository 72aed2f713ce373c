"""Workers in the registry: registration, heartbeats, clean exits and silent workers."""

from dataclasses import replace

from redis import Redis
from rq import Queue
from rq.worker import Worker

from jobqueue.maintenance.expiry import prune
from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.shard import Shard
from jobqueue.workers.messages import WorkerCommand, send_command
from jobqueue.workers.registry import (
    CLEAN_EXIT_TTL_SECONDS,
    MAX_ID_CHARACTERS,
    MAX_NAMED_JOBS,
    WorkerRecord,
    exited_cleanly,
    list_for_new_queues,
    list_workers,
    register,
    send_worker_heartbeat,
    unregister,
)
from tests.integration.jobqueue.queue_helpers import (
    claim_jobs,
    enqueue_jobs,
    key_ttl,
    shard_keys,
    worker_heartbeat,
    worker_record,
)

SILENT_SECONDS = 60
"""Time without a heartbeat after which `prune` removes a worker."""
HEARTBEAT = worker_heartbeat("busy", running=2, finished=10, failed=1, working_seconds=5.5)
RECORD = WorkerRecord(
    "w1",
    hostname="host",
    pid=42,
    queues=("high", "default"),
    slots=3,
    fleet="local:host",
    instance_id="i-1",
)


async def test_a_registered_worker_is_listed_with_its_record_and_heartbeat(shard: Shard) -> None:
    await register(shard, RECORD)
    await register(shard, worker_record("a0"))
    assert await send_worker_heartbeat(shard, "w1", HEARTBEAT)
    first, seen = await list_workers(shard)
    assert first.name == "a0"
    assert (seen.name, seen.hostname, seen.pid, seen.queues) == ("w1", "host", 42, ("high", "default"))
    assert (seen.state, seen.slots, seen.running, seen.finished, seen.failed) == ("busy", 3, 2, 10, 1)
    assert (seen.fleet, seen.instance_id, seen.native) == ("local:host", "i-1", True)
    assert seen.seconds_since_heartbeat is not None
    assert seen.seconds_since_heartbeat <= 30


async def test_a_worker_names_some_of_the_jobs_that_it_runs(shard: Shard) -> None:
    await register(shard, RECORD)
    running = [f"job-{number}" for number in range(MAX_NAMED_JOBS + 1)]
    await send_worker_heartbeat(shard, "w1", replace(HEARTBEAT, jobs=["x" * (MAX_ID_CHARACTERS + 1), *running]))
    assert [worker.jobs for worker in await list_workers(shard)] == [tuple(running[:MAX_NAMED_JOBS])]
    await send_worker_heartbeat(shard, "w1", HEARTBEAT)
    assert [worker.jobs for worker in await list_workers(shard)] == [()]


async def test_rq_lists_our_workers(plain_shard: Shard, redis_url: str) -> None:
    await register(plain_shard, RECORD)
    with Redis.from_url(redis_url) as connection:
        (worker,) = Worker.all(connection=connection)
        assert (worker.name, worker.hostname, worker.pid) == ("w1", "host", 42)
        assert worker.queue_names() == ["high", "default"]
        assert worker.get_state() == "idle"


async def test_rq_lists_a_worker_for_all_queues_under_each_of_them(plain_shard: Shard, redis_url: str) -> None:
    await enqueue_jobs(plain_shard, "a")
    await enqueue_jobs(plain_shard, "b", queue="reports")
    await register(plain_shard, worker_record("w1", queues=ALL_QUEUES))
    await enqueue_jobs(plain_shard, "c", queue="new")
    await list_for_new_queues(plain_shard, ["new"])
    with Redis.from_url(redis_url) as connection:
        for name in ("default", "reports", "new"):
            queue = Queue(name, connection=connection)
            assert [worker.name for worker in Worker.all(queue=queue)] == ["w1"]
            assert Worker.count(queue=queue) == 1
        (worker,) = Worker.all(connection=connection)
        assert worker.queue_names() == ["*"]
        await unregister(plain_shard, "w1", ALL_QUEUES)
        assert [Worker.count(queue=Queue(name, connection=connection)) for name in ("default", "new")] == [0, 0]
    assert [key for key in await shard_keys(plain_shard) if key.startswith("workers")] == []


async def test_an_unregistered_worker_leaves_only_its_clean_exit_record(shard: Shard) -> None:
    await register(shard, RECORD)
    await enqueue_jobs(shard, "a")
    await claim_jobs(shard)
    await send_command(shard, "w1", WorkerCommand("drain"))
    await unregister(shard, "w1", RECORD.queues)
    assert await list_workers(shard) == []
    assert [key for key in await shard_keys(shard) if "worker" in key or "w1" in key] == ["wm:left:w1"]
    assert 0 < await key_ttl(shard, "wm:left:w1") <= CLEAN_EXIT_TTL_SECONDS
    assert await exited_cleanly(shard, ["w1", "w2"]) == {"w1"}


async def test_a_silent_worker_is_removed_from_every_queue(shard: Shard) -> None:
    """Even from queues that never had a job."""
    await register(shard, RECORD)
    await register(shard, worker_record("alive"))
    (seconds, _), *_ = await shard.execute(("TIME",))
    await shard.execute(("ZADD", f"{shard.prefix}:wm:workers", int(seconds) - SILENT_SECONDS - 1, "w1"))
    await prune(shard)
    assert [worker.name for worker in await list_workers(shard)] == ["alive"]
    assert "workers:high" not in await shard_keys(shard)
    (members,) = await shard.execute(("SMEMBERS", f"{shard.prefix}:workers:default"))
    assert members == [f"{shard.prefix}:worker:alive".encode()]


async def test_a_removed_worker_is_told_to_register_again(shard: Shard) -> None:
    assert not await send_worker_heartbeat(shard, "w1", worker_heartbeat("idle"))
    assert await list_workers(shard) == []
    await register(shard, RECORD)
    assert await send_worker_heartbeat(shard, "w1", worker_heartbeat("idle"))
    # The record must outlive the worker's entry in the registry, because removing the worker reads its queues.
    assert await key_ttl(shard, "worker:w1") > SILENT_SECONDS
