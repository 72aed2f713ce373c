"""The Redis users of all roles may do everything that their programs do, and nothing else."""

import asyncio
import contextlib
import json

import pytest
import redis

from jobqueue.acl import CLUSTER_PREFIX
from jobqueue.audit import Author, read_audit, trim_audit
from jobqueue.callbacks.outbox import (
    Attempt,
    Report,
    claim_callbacks,
    has_due,
    is_waiting_for,
    report_callbacks,
    retry_callbacks,
)
from jobqueue.callbacks.outbox import (
    Outcome as CallbackOutcome,
)
from jobqueue.errors import NotPermitted
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.callback_listing import dead_callbacks, view_callback
from jobqueue.inspection.counters import read_counts
from jobqueue.inspection.job_states import read_statuses
from jobqueue.inspection.job_views import view_jobs
from jobqueue.inspection.listing import list_jobs
from jobqueue.keys import LAYOUT as LAYOUT_KEY
from jobqueue.keys import pubsub
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.control import CancelResult, cancel, delete, requeue, requeue_failed
from jobqueue.lifecycle.dependents import enqueue_dependents
from jobqueue.lifecycle.enqueue import EnqueueOutcome
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.lifecycle.leases import LeaseUpdate, extend, reap, reap_rq_executions
from jobqueue.lifecycle.pull import acknowledge, pull, wait_for_results
from jobqueue.lifecycle.running_job import read_job_record, save_meta
from jobqueue.maintenance.expiry import prune
from jobqueue.maintenance.periodic import Maintenance, enqueue_due
from jobqueue.maintenance.rq_wakeups import wake_for_rq_jobs
from jobqueue.maintenance.sweep import sweep
from jobqueue.model import ALL_QUEUES, Status
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.manager_heartbeat import seconds_since_manager_heartbeat, send_manager_heartbeat
from jobqueue.workers.messages import WakeUp, WorkerCommand, drain_worker, pass_wake_up, wait_for_message
from jobqueue.workers.queue_service import pause_queue, read_workers_of_queues, resume_queue
from jobqueue.workers.registry import list_workers, register, send_worker_heartbeat, unregister
from scaler.fleets.instances import Intent, LaunchRequest
from scaler.state.leader_election import LeaderElector, read_leadership
from scaler.state.operator_overrides import set_paused
from scaler.state.store import ScalerStore, StateUpdate
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    retried_outcome,
    stopped_outcome,
    success_outcome,
    worker_heartbeat,
    worker_record,
)
from tests.tls_redis import TlsServer, names_of

RECORD = worker_record("w1")
AUTHOR = Author("env-1", "192.0.2.1", "abc")
DENIED = "no permissions|not allowed|can.t run this command|can.t access|No permissions"


async def test_the_job_lifecycle_is_permitted(shard: Shard, workers_shard: Shard) -> None:
    assert await enqueue_jobs(shard, "a", "b", "c", "d", "e", "f", retries=1) == [EnqueueOutcome.WRITTEN] * 6
    await register(workers_shard, RECORD)
    assert await send_worker_heartbeat(workers_shard, "w1", worker_heartbeat("busy", running=1))
    a, b, c, d, e = await claim_jobs(workers_shard, 5)
    assert not (await extend(workers_shard, "w1", [LeaseUpdate(a, NOW - 5)], now=NOW)).lost
    await save_meta(workers_shard, a, b'{"x": 1}')
    assert await read_job_record(workers_shard, "a")
    outcomes: list[Outcome] = [
        success_outcome(a, "a", has_execution_record=True),
        success_outcome(b, "b"),
        failed_outcome(c),
        stopped_outcome(d),
        retried_outcome(e, max_retries=3, intervals=(0,)),
    ]
    assert (await finish(workers_shard, "w1", outcomes, now=NOW)).lost == ()
    f, *rest = await claim_jobs(workers_shard, 3)
    assert await release(workers_shard, [f, *rest], now=NOW) == len(rest) + 1
    assert [result.job_id for result in await pull(shard, 1, lease_seconds=5, now=NOW)] == ["b"]
    assert await acknowledge(shard, ["b"], now=NOW) == 1
    assert [result.job_id for result in await pull(shard, 1, order="oldest", now=NOW)] == ["a"]
    assert await cancel(shard, ["f"], now=NOW) == [CancelResult("canceled")]
    assert await requeue(shard, ["d"], now=NOW) == ["queued"]
    assert await delete(shard, ["d", "a"]) == ["deleted", "deleted"]
    await unregister(workers_shard, "w1", ["default"])


async def test_callbacks_are_permitted(shard: Shard, workers_shard: Shard) -> None:
    asked = {"url": "https://example.com/", "host": "example.com:443", "events": ["finished", "failed", "canceled"]}
    await enqueue_jobs(shard, "a", "b", "c", callback=json.dumps(asked))
    a, b = await claim_jobs(workers_shard, 2)
    assert (await finish(workers_shard, "w1", [success_outcome(a), failed_outcome(b)], now=NOW)).lost == ()
    assert await cancel(shard, ["c"], now=NOW) == [CancelResult("canceled")]
    assert await has_due(shard)
    entries = await claim_callbacks(shard, "token", 10, 8)
    attempt = Attempt("", 1, 500)
    reports = [Report(entry.id, entry.token, CallbackOutcome.DEAD, attempt, 0, host_works=False) for entry in entries]
    assert await report_callbacks(shard, reports) == []
    assert len(await dead_callbacks(shard, 0, (0, ""), 10)) == 3
    assert await retry_callbacks(shard, [entries[0].id]) == [True]
    assert await view_callback(shard, entries[0].id) is not None
    assert await is_waiting_for(shard, "example.com:443")
    # The end of a job that was told of before.
    assert await requeue(shard, ["b"], now=NOW) == ["queued"]
    (b,) = await claim_jobs(workers_shard)
    assert (await finish(workers_shard, "w1", [success_outcome(b)], now=NOW)).lost == ()


async def test_recovery_after_lost_and_failed_jobs_is_permitted(shard: Shard, workers_shard: Shard) -> None:
    await enqueue_jobs(shard, "lost", "failed", "running")
    lost, failed, running = await claim_jobs(workers_shard, 3)
    await finish(workers_shard, "w1", [failed_outcome(failed)], now=NOW)
    assert await requeue_failed(shard, "default", now=NOW) == 1
    await reap(shard, now=NOW)
    assert {job.job_id for job in await reap(shard, now=LEASE_EXPIRED)} == {lost.id, running.id}
    (running, *_) = await claim_jobs(workers_shard, 1)
    assert (await cancel(shard, [running.id], now=NOW))[0].outcome == "stopping"
    await enqueue_jobs(shard, "later", due_at=NOW + 1)
    assert await enqueue_due(shard, "default", "me", now=NOW + 2) >= 1
    assert await reap_rq_executions(shard, "default", now=NOW) == []
    await prune(shard, now=NOW)
    await shard.execute(("SADD", f"{shard.prefix}:job:later:dependents", "child"))
    await shard.execute(("HSET", f"{shard.prefix}:job:child", "status", "deferred", "origin", "default"))
    await workers_shard.execute(("HSET", f"{shard.prefix}:wm:rq-parents", "later", "finished"))
    assert await enqueue_dependents(workers_shard) == 1
    await sweep(shard, "default", part=0)


@pytest.mark.parametrize("status", ["queued", "scheduled", "deferred"])
async def test_mending_a_status_that_an_rq_client_has_overwritten_is_permitted(
    shard: Shard, workers_shard: Shard, status: str
) -> None:
    overwrite = ("HSET", f"{shard.prefix}:job:a", "status", status, "ended_at", "")
    await enqueue_jobs(shard, "a")
    (job,) = await claim_jobs(workers_shard)
    await shard.execute(overwrite)
    assert await release(workers_shard, [job], now=NOW) == 1
    await shard.execute(overwrite)
    (job,) = await claim_jobs(workers_shard)
    await finish(workers_shard, "w1", [failed_outcome(job)], now=NOW)
    await shard.execute(overwrite)
    assert await sweep(shard, "default", part=0, now=NOW) == 0
    assert await read_statuses(shard, ["a"]) == ["failed"]


async def test_a_worker_may_read_the_manager_heartbeat(shard: Shard, workers_shard: Shard) -> None:
    await send_manager_heartbeat(shard)
    assert (await seconds_since_manager_heartbeat(workers_shard) or 0) < 30


async def test_waiting_and_waking_are_permitted(shard: Shard, workers_shard: Shard) -> None:
    await register(workers_shard, RECORD)
    await drain_worker(shard, "w1", AUTHOR)
    assert await wait_for_message(workers_shard, "w1", ["default"], for_work=True, seconds=1) == WorkerCommand("drain")
    await pass_wake_up(workers_shard, WakeUp("default"))
    assert await wait_for_message(workers_shard, "w1", ["default"], for_work=True, seconds=1) == WakeUp("default")
    await enqueue_jobs(shard, "a", queue="reports")
    for seconds in (1, 0.1):
        assert await wait_for_message(workers_shard, "w1", ALL_QUEUES, for_work=True, seconds=seconds) == WakeUp("*")
    await pause_queue(shard, "reports", AUTHOR)
    assert [entry.action for entry in await read_audit(shard, 9)] == ["queue_paused", "worker_drained"]
    assert await claim_jobs(workers_shard, 1, *ALL_QUEUES) == []
    await resume_queue(shard, "reports")
    assert len(await claim_jobs(workers_shard, 1, *ALL_QUEUES)) == 1
    assert (await read_workers_of_queues(shard, ["default", "none"])).served == {"default"}
    await wait_for_results(shard, 0.01)


async def test_a_manager_may_read_all_views(managers: Shards, shard: Shard, workers_shard: Shard) -> None:
    await enqueue_jobs(shard, "seen")
    await register(workers_shard, RECORD)
    functions = FunctionRegistry.discover(())
    assert (await view_jobs(shard, ["seen"], functions))[0] is not None
    assert await read_statuses(shard, ["seen"]) == ["queued"]
    assert await find_shard(managers, "seen") is shard
    assert [worker.name for worker in await list_workers(shard)] == ["w1"]
    assert (await read_counts(shard)).total.queued
    assert (await list_jobs(managers, functions, status=Status.QUEUED)).jobs


async def test_a_manager_may_maintain_the_queue_and_scale(managers: Shards, shard: Shard) -> None:
    elector = LeaderElector(shard, "host:1")
    leadership = await elector.acquire()
    store = ScalerStore(shard, elector)
    intent = Intent("t-1", recorded_at=5.0, epoch=leadership.epoch, request=LaunchRequest(1, "pool", {}))
    assert await store.record_intents(leadership.epoch, [intent], max_instances=9)
    await store.save(leadership.epoch, StateUpdate(documents={"learned": {}}))
    assert (await store.read()).intents
    assert await store.read_document("learned") == {}
    assert await store.recently_terminated() == set()
    await set_paused(shard, AUTHOR, paused=True)
    await trim_audit(shard)
    assert await read_leadership(shard)
    await shard.execute(("DEL", f"{shard.prefix}:wm:probe"))
    await elector.release()
    maintenance = asyncio.create_task(Maintenance(managers, lease_seconds=20).run())
    wake_ups = asyncio.create_task(wake_for_rq_jobs(shard))
    done, _ = await asyncio.wait((maintenance, wake_ups), timeout=0.5)
    assert not done
    for task in (maintenance, wake_ups):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    # TLS connections that were cancelled while waiting for a reply take a moment to close.
    await asyncio.sleep(0.2)


async def test_managers_alone_hear_commands_of_rq_clients(shard: Shard, workers_shard: Shard) -> None:
    pattern = pubsub(CLUSTER_PREFIX, "*")
    async with shard.subscription(pattern) as messages:
        await cancel_on_plain_rq_worker(shard)
        channel, content = await anext(messages)
        assert channel.decode() == pubsub(shard.prefix, "theirs")
        assert json.loads(content)["command"] == "stop-job"
    with pytest.raises(NotPermitted):
        async with workers_shard.subscription(pattern):
            pass


async def cancel_on_plain_rq_worker(shard: Shard) -> None:
    await shard.execute(
        ("HSET", f"{shard.prefix}:job:a", "status", "started", "origin", "default", "worker_name", "theirs")
    )
    assert (await cancel(shard, ["a"]))[0].outcome == "stopping"


@pytest.mark.parametrize("role", ["manager", "worker", "operator", "replica", "administrator"])
@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "CONFIG SET maxmemory 1",
        "CONFIG REWRITE",
        "DEBUG SLEEP 0",
        "SHUTDOWN",
        "REPLICAOF NO ONE",
        "MONITOR",
        "MODULE LIST",
        "ACL LIST",
        "ACL SETUSER default on nopass",
        "FUNCTION FLUSH",
        "EVAL return 0",
        "EVALSHA 0000000000000000000000000000000000000000 0",
        "SCRIPT LOAD x",
        "SCRIPT FLUSH",
        "CLIENT KILL TYPE normal",
        "SWAPDB 0 1",
        "MIGRATE 127.0.0.1 1 x 0 1",
        "SET other 1",
        "SET {rq:0}else 1",
    ],
)
def test_no_role_may_run_dangerous_commands(master: TlsServer, role: str, command: str) -> None:
    with master.client(role) as client, pytest.raises(redis.ResponseError, match=DENIED):
        client.execute_command(*command.split())


@pytest.mark.parametrize(
    ("role", "command"),
    [
        ("worker", "INFO"),
        ("worker", "CONFIG GET masterauth"),
        ("worker", f"SET {LAYOUT_KEY} x"),
        ("worker", "SET {rq:0}:suspended 1"),
        ("worker", "HGETALL {rq:0}:wm:scaler:launches"),
        ("worker", "GET {rq:0}:wm:scaler:learned"),
        ("worker", "SMEMBERS {rq:0}:workers"),
        *(("worker", f"HGETALL {{rq:0}}:wm:{name}") for name in ("keys", "schedule:a", "operation:a", "workflow:a")),
        *(("worker", f"HSET {{rq:0}}:wm:{name} a b") for name in ("keys", "paused", "schedule:a", "scaler:instances")),
        ("worker", "XREVRANGE {rq:0}:wm:audit + -"),
        ("worker", "XADD {rq:0}:wm:audit * a b"),
        *(("worker", command) for command in ("SCAN 0", "CLUSTER NODES", "CLIENT LIST", "SUBSCRIBE x", "BGREWRITEAOF")),
        ("manager", "ACL WHOAMI"),
        ("manager", "CONFIG SET save x"),
        ("worker", "LRANGE {rq:0}:wm:pull:x 0 -1"),
        ("worker", "CLUSTER FAILOVER"),
        ("worker", "PUBLISH {rq:0}:pubsub:x y"),
        ("manager", "CLUSTER FAILOVER"),
        ("manager", "CLUSTER RESET"),
        ("manager", "PUBLISH other y"),
        ("administrator", "GET {rq:0}:job:a"),
        ("administrator", f"GET {LAYOUT_KEY}"),
        ("operator", "DEL {rq:0}:job:a"),
        *((role, "FUNCTION LOAD x") for role in ("manager", "worker", "operator", "replica")),
        ("administrator", "FCALL x 0"),
        ("operator", "FCALL x 0"),
        ("replica", f"GET {LAYOUT_KEY}"),
        ("replica", "INFO"),
    ],
)
def test_a_role_may_not_run_commands_of_others(master: TlsServer, role: str, command: str) -> None:
    with master.client(role) as client, pytest.raises(redis.ResponseError, match=DENIED):
        client.execute_command(*command.split())


@pytest.mark.parametrize("role", ["manager", "worker"])
def test_a_function_has_only_its_callers_permissions(master: TlsServer, role: str) -> None:
    """Redis checks the commands inside the function, even if their keys are not among its KEYS."""
    code = "redis.register_function('any', function(KEYS, ARGV) return redis.call(unpack(ARGV)) end)"
    with master.client("administrator") as administrator:
        administrator.function_load(f"#!lua name=any\n{code}", replace=True)
    with master.client(role) as client:
        for call in ("FLUSHALL", "GET other", "DEL other"):
            with pytest.raises(redis.ResponseError, match=DENIED):
                client.fcall("any", 1, "{rq:0}", *call.split())


def test_replicas_have_the_functions(tls_servers: tuple[TlsServer, TlsServer], managers: Shards) -> None:
    with tls_servers[0].client("administrator") as master, tls_servers[1].client("administrator") as replica:
        loaded = names_of(master.function_list("wm_*"))
        assert len(loaded) > 50
        assert names_of(replica.function_list("wm_*")) == loaded


def test_an_operator_may_read_and_make_backups(master: TlsServer, managers: Shards) -> None:
    with master.client("operator") as client:
        assert client.get(LAYOUT_KEY)
        assert client.bgsave()
        assert client.slowlog_get() is not None


def test_commands_without_a_login_are_rejected(master: TlsServer) -> None:
    with master.client(None) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
