"""Processor time of Redis for a thousand idle worker nodes, in percent of a core.

Each worker is simulated by the loops that an idle one runs on its own connections (claimer, command listener,
heartbeat), without executors. Five processes hold two hundred workers each.
"""

import asyncio
import os
import sys
import time
from contextlib import ExitStack
from functools import partial

import uvloop

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.measured_programs import running_program, wait_until
from benchmarks.harness.redis_servers import BenchmarkRedis, redis_server
from jobqueue import keys
from jobqueue.model import ALL_QUEUES, LEASE_SECONDS
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord
from worker_node.shard_loops.capacity import Capacity
from worker_node.shard_loops.claimer import Claimer
from worker_node.shard_loops.command_listener import listen_for_commands
from worker_node.shard_loops.heartbeat import Heartbeater
from worker_node.shard_loops.job_times import JobTimes
from worker_node.shard_loops.lease_renewer import LeaseRenewer

OURS = "workmanager"
WORKERS = 1000
_PROCESSES = 5
_START_SECONDS = 5.0


def main() -> None:
    """Run the benchmark, or with `hold` as first argument a share of the simulated worker nodes."""
    if sys.argv[1:2] == ["hold"]:
        _hold(sys.argv[2], int(sys.argv[3]))
        return
    options = parse_options("idle_fleet", __doc__ or "", quick_runs=1, full_runs=3)
    report = BenchmarkReport("idle_fleet", options.quick)
    report.print_machine()
    medians = compare(report, {OURS: partial(_measure, options.pick(20, 60))}, options.runs)
    report.add_aim("percent of a core in Redis", medians[OURS]["redis_percent"], most=5.0)
    report.print_tables()


def _measure(seconds: int) -> Figures:
    with redis_server() as server, ExitStack() as fleet:
        for number in range(_PROCESSES):
            command = [sys.executable, "-m", "benchmarks.idle_fleet", "hold", server.url, str(WORKERS // _PROCESSES)]
            fleet.enter_context(running_program(command, server.directory / f"fleet-{number}.log"))
        wait_until(
            lambda: server.client.scard(keys.workers("rq")) == WORKERS,
            seconds=60,
            wanted="all workers to be registered",
        )
        time.sleep(_START_SECONDS)
        cpu, commands, started_at = server.cpu_seconds(), _commands(server), time.perf_counter()
        time.sleep(seconds)
        passed = time.perf_counter() - started_at
        assert server.client.scard(keys.workers("rq")) == WORKERS
        return {
            "redis_percent": (server.cpu_seconds() - cpu) / passed * 100,
            "commands_per_second": (_commands(server) - commands) / passed,
            "connections": float(server.masters[0].info("clients")["connected_clients"]),
        }


def _commands(server: BenchmarkRedis) -> int:
    return int(server.masters[0].info("stats")["total_commands_processed"])


def _hold(url: str, workers: int) -> None:
    uvloop.run(_hold_all(url, workers))


async def _hold_all(url: str, workers: int) -> None:
    # Started over a few seconds, like real machines.
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(_idle_worker(url, f"idle-{os.getpid()}-{number}"))
            await asyncio.sleep(_START_SECONDS / workers)


async def _idle_worker(url: str, name: str) -> None:
    shards = await Shards.connect(url)
    record = WorkerRecord(name, "idle", os.getpid(), ALL_QUEUES, slots=2)
    async with asyncio.TaskGroup() as group:
        for shard in shards:
            claimer = Claimer(
                shard,
                name,
                record.queues,
                lease_seconds=LEASE_SECONDS,
                capacity=Capacity(lambda: record.slots, record.slots),
                on_claimed=_fail,
                on_command=_fail,
            )
            leases = LeaseRenewer(
                shard,
                name,
                lease_seconds=LEASE_SECONDS,
                held_leases=lambda _: [],
                on_lost=_fail,
                on_cancelled=_fail,
            )
            heartbeater = Heartbeater(
                shard, record, leases, JobTimes(shard), read_heartbeat=lambda: WorkerHeartbeat("idle", 0, 0, 0, 0.0)
            )
            group.create_task(claimer.run())
            group.create_task(heartbeater.run())
            group.create_task(listen_for_commands(shard, name, _fail))


def _fail(what: object) -> None:
    raise AssertionError(f"an idle worker node got {what!r}")


if __name__ == "__main__":
    main()
