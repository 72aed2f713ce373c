"""A Redis whose memory is full accepts no new jobs, and everything that frees memory keeps working."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis

from jobqueue.audit import Author, read_audit
from jobqueue.errors import QueueFull
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.control import CancelResult, cancel, delete, requeue
from jobqueue.lifecycle.enqueue import EnqueueOutcome
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap, rescue
from jobqueue.lifecycle.pull import acknowledge, pull
from jobqueue.lifecycle.running_job import save_meta
from jobqueue.maintenance.expiry import prune
from jobqueue.maintenance.periodic import enqueue_due
from jobqueue.maintenance.sweep import sweep
from jobqueue.servers.connection_pool import INFO_MAX_AGE_SECONDS
from jobqueue.sharding.shard import MEMORY_LIMIT_SHARE, Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.fence import fence_worker, hold_workers, release_workers
from jobqueue.workers.manager_heartbeat import seconds_since_manager_heartbeat, send_manager_heartbeat
from jobqueue.workers.messages import WorkerCommand, drain_worker, wait_for_message
from jobqueue.workers.queue_service import pause_queue, resume_queue
from jobqueue.workers.registry import (
    exited_cleanly,
    list_workers,
    register,
    send_worker_heartbeat,
    unregister,
)
from scaler.fleets.instances import Instance, Intent, LaunchRequest
from scaler.state.leader_election import LeaderElector
from scaler.state.operator_overrides import set_limits, set_paused
from scaler.state.store import ScalerStore, StateUpdate
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    complete_jobs,
    dump_shard,
    enqueue_jobs,
    failed_outcome,
    job_status,
    queued_ids,
    sorted_set,
    stopped_outcome,
    success_outcome,
    worker_heartbeat,
    worker_record,
)
from workmanager.local.valkey import ValkeyServer

PULL_LEASE_SECONDS = 5.0


def _set_share_used(server: ValkeyServer, share: float) -> None:
    # Compared with this, the buffers of connections, which vary, are less than 0.5 %.
    server.command("SETRANGE", "ballast", 32_000_000, "x")
    used = server.command("INFO", "memory")["used_memory"]
    server.command("CONFIG", "SET", "maxmemory", int(used / share))


@pytest.fixture
async def full(private_server: ValkeyServer) -> AsyncIterator[Shard]:
    """A shard with jobs in many states, on a server that uses more than its `maxmemory`."""
    shards = await Shards.connect(private_server.url)
    (shard,) = shards
    await complete_jobs(shard, "done", "leased")
    await pull(shard, 1, lease_seconds=PULL_LEASE_SECONDS, now=NOW)
    await enqueue_jobs(shard, "bad")
    (bad,) = await claim_jobs(shard)
    await finish(shard, "w1", [failed_outcome(bad)], now=NOW)
    await enqueue_jobs(shard, "a", "b", "c", "d", "e", "f", retries=1)
    await enqueue_jobs(shard, "later", due_at=NOW + 1)
    await register(shard, worker_record("w1"))
    await reap(shard, now=NOW)
    private_server.command("CONFIG", "SET", "maxmemory", 1_000_000)
    with pytest.raises(redis.OutOfMemoryError):
        private_server.command("SET", "x", 1)
    yield shard
    await shards.close()


@pytest.mark.parametrize(
    ("share", "accepted"), [(MEMORY_LIMIT_SHARE - 0.05, True), (MEMORY_LIMIT_SHARE + 0.005, False), (0.95, False)]
)
async def test_new_jobs_are_refused_above_the_memory_limit_share(
    private_server: ValkeyServer, share: float, accepted: bool
) -> None:
    shards = await Shards.connect(private_server.url)
    _set_share_used(private_server, share)
    # The memory usage that was read when the layout was written is used for this long.
    await asyncio.sleep(INFO_MAX_AGE_SECONDS)
    if accepted:
        assert await enqueue_jobs(shards.all[0], "a") == [EnqueueOutcome.WRITTEN]
    else:
        with pytest.raises(QueueFull, match=r"9\d% of its memory"):
            await enqueue_jobs(shards.all[0], "a")
    await shards.close()


async def test_an_enqueue_that_hits_the_limit_writes_nothing(
    private_server: ValkeyServer, private_shard: Shard
) -> None:
    """The memory usage that was read a moment before was still below the limit."""
    await enqueue_jobs(private_shard, "a")
    private_server.command("CONFIG", "SET", "maxmemory", 1_000_000)
    before = await dump_shard(private_shard)
    with pytest.raises(QueueFull):
        await enqueue_jobs(private_shard, "b", "c")
    assert await dump_shard(private_shard) == before


async def test_jobs_are_claimed_finished_and_released_when_memory_is_full(full: Shard) -> None:
    a, b, c, d = await claim_jobs(full, 4)
    assert (await extend(full, "w1", [LeaseUpdate(a, NOW - 5)], now=NOW)).lost == ()
    await save_meta(full, a, b'{"x": 1}')
    outcomes: list[Outcome] = [success_outcome(a), failed_outcome(b), failed_outcome(b), stopped_outcome(c)]
    report = await finish(full, "w1", outcomes, now=NOW)
    assert (report.lost, report.retried) == (("b",), ("b",))
    assert [await job_status(full, id_) for id_ in "abc"] == ["finished", "queued", "stopped"]
    assert await release(full, [d], now=NOW) == 1
    assert (await queued_ids(full))[0] == "d"


@pytest.mark.parametrize("operation", ["extend", "fail", "stop", "release", "meta", "cancel", "reap"])
async def test_each_operation_works_as_the_first_call_when_memory_is_full(full: Shard, operation: str) -> None:
    (job,) = await claim_jobs(full)
    match operation:
        case "extend":
            assert not (await extend(full, "w1", [LeaseUpdate(job, NOW - 5)], now=NOW)).lost
        case "fail":
            assert (await finish(full, "w1", [failed_outcome(job)], now=NOW)).retried == ("a",)
        case "stop":
            assert (await finish(full, "w1", [stopped_outcome(job)], now=NOW)).lost == ()
        case "release":
            assert await release(full, [job], now=NOW) == 1
        case "meta":
            await save_meta(full, job, b"{}")
        case "cancel":
            assert await cancel(full, ["a"], now=NOW) == [CancelResult("stopping")]
        case "reap":
            assert [lost.outcome for lost in await reap(full, now=LEASE_EXPIRED)] == ["queued"]


async def test_results_are_pulled_when_memory_is_full(full: Shard) -> None:
    assert [result.job_id for result in await pull(full, 1, lease_seconds=PULL_LEASE_SECONDS, now=NOW)] == ["done"]
    assert await acknowledge(full, ["done"], now=NOW) == 1
    assert (await prune(full, now=NOW + PULL_LEASE_SECONDS + 1))[0] == 1
    assert [result.job_id for result in await pull(full, 1, now=NOW)] == ["leased"]


async def test_reap_records_a_new_master_when_memory_is_full(full: Shard) -> None:
    await full.execute(("HDEL", f"{full.prefix}:wm:master", "run_id"))
    assert await reap(full, now=NOW) == []
    assert await full.execute(("HEXISTS", f"{full.prefix}:wm:master", "run_id")) == [1]


@pytest.mark.parametrize("swept", [True, False])
async def test_ends_that_an_rq_client_has_overwritten_are_restored_when_memory_is_full(
    full: Shard, private_server: ValkeyServer, swept: bool
) -> None:
    private_server.command("CONFIG", "SET", "maxmemory", 0)
    for id_ in ("bad", "done"):
        private_server.command("HSET", f"rq:job:{id_}", "status", "queued", "ended_at", "")
    private_server.command("CONFIG", "SET", "maxmemory", 1_000_000)
    if swept:
        assert await sweep(full, "default", part=0, now=NOW) == 0
    else:
        assert await rescue(full, 0, now=NOW) == (0, [])
    assert [await job_status(full, id_) for id_ in ("bad", "done")] == ["failed", "finished"]


async def test_control_operations_and_due_jobs_work_when_memory_is_full(full: Shard) -> None:
    assert await cancel(full, ["f"], now=NOW) == [CancelResult("canceled")]
    assert await requeue(full, ["bad"], now=NOW) == ["queued"]
    assert await delete(full, ["e"]) == ["deleted"]
    assert await enqueue_due(full, "default", "me", now=NOW + 2) == 1
    assert await queued_ids(full) == ["a", "b", "c", "d", "bad", "later"]
    assert await sorted_set(full, "scheduled:default") == {}


async def test_workers_register_and_stay_listed_when_memory_is_full(full: Shard) -> None:
    assert await send_worker_heartbeat(full, "w1", worker_heartbeat("busy", running=1))
    await register(full, worker_record("w2"))
    assert [worker.name for worker in await list_workers(full)] == ["w1", "w2"]
    await send_manager_heartbeat(full)
    assert await seconds_since_manager_heartbeat(full) is not None


async def test_operators_changes_are_made_and_noted_when_memory_is_full(full: Shard) -> None:
    author = Author("env-1", "192.0.2.1", "abc")
    await pause_queue(full, "default", author)
    await resume_queue(full, "default", author)
    await set_limits(full, {"max_workers": 9}, author)
    await set_paused(full, author, paused=True)
    for _ in range(2):
        await drain_worker(full, "w1", author)
    told = await wait_for_message(full, "w1", (), for_work=False, seconds=0.1)
    assert told == WorkerCommand("drain")
    assert await wait_for_message(full, "w1", (), for_work=False, seconds=0.1) is None  # told once
    actions = [entry.action for entry in await read_audit(full, 9)]
    assert actions == [
        "worker_drained",
        "worker_drained",
        "scaler_paused",
        "scaler_limited",
        "queue_resumed",
        "queue_paused",
    ]


async def test_the_scaler_keeps_working_when_memory_is_full(full: Shard) -> None:
    """Without new workers, the jobs that fill the memory would stay."""
    elector = LeaderElector(full, "host:1")
    leadership = await elector.acquire()
    assert leadership.is_leader
    store = ScalerStore(full, elector)
    intent = Intent("t-1", recorded_at=1.0, epoch=leadership.epoch, request=LaunchRequest(1))
    assert await store.record_intents(leadership.epoch, [intent], max_instances=1)
    launched = Instance("i-1", launched_at=1.0)
    await store.save(leadership.epoch, StateUpdate([launched], completed_intents=["t-1"], decision={"launch": 1}))
    assert set((await store.read()).instances) == {"i-1"}
    await register(full, worker_record("i-1", queues=("other",)))
    assert await hold_workers(full, ["i-1"], "t-2") == {"i-1"}
    await release_workers(full, ["i-1"], "t-2")
    await fence_worker(full, "i-1")
    await unregister(full, "i-1", ("default",))
    assert await exited_cleanly(full, ["i-1"]) == {"i-1"}
