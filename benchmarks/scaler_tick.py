"""Cost of one scaler round with 1,000 EC2 instances: with 1,000 queued jobs and with a million.

The rounds are real, on a real Redis with 1,000 worker records. EC2 is a server that gives the same answer to every
call. The scaler is paused, so that it decides in every round but changes nothing.
"""

import asyncio
import contextlib
import os
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.preload import preload_jobs
from benchmarks.harness.redis_servers import BenchmarkRedis, redis_server
from jobqueue import keys
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat
from scaler.fleets.ec2.capacity_pools import Ec2Plan
from scaler.fleets.ec2.fleet import Ec2Fleet
from scaler.loop import ScalerLoop
from scaler.metrics import ScalerMetrics
from scaler.policy import Limits
from scaler.state.operator_overrides import set_paused

INSTANCES = 1000
FEW, MANY = 1_000, 1_000_000
ROUNDS, DESCRIBE_ROUNDS = 40, 5
_IDS = [f"i-{number:017x}" for number in range(INSTANCES)]


def main() -> None:
    """Run the benchmark."""
    options = parse_options("scaler_tick", __doc__ or "", quick_runs=1, full_runs=3)
    report = BenchmarkReport("scaler_tick", options.quick)
    report.print_machine()
    many = options.pick(100_000, MANY)
    contestants = {f"{jobs:,} queued": partial(_measure, jobs) for jobs in (FEW, many)}
    medians = compare(report, contestants, options.runs)
    few, most = medians[f"{FEW:,} queued"], medians[f"{many:,} queued"]
    report.add_aim(f"round at {many:,}, processor ms", most["round_cpu_ms"], most=200)
    report.add_aim(f"Redis commands at {many:,} of those at {FEW:,}", most["commands"] / few["commands"], most=1.01)
    report.print_tables()


def _measure(jobs: int) -> Figures:
    with redis_server() as server, _ec2() as endpoint:
        preload_jobs(server.url, jobs, "noop")
        server.wait_until_idle()
        return asyncio.run(_rounds(server, endpoint))


async def _rounds(server: BenchmarkRedis, endpoint: str) -> Figures:
    shards = await Shards.connect(server.url)
    state = shards.all[0]
    for number, id_ in enumerate(_IDS):
        await register(state, WorkerRecord(id_, "host", number, ("default",), 1, "ec2:benchmark", id_))
        await send_worker_heartbeat(state, id_, WorkerHeartbeat("busy", 1, 0, 0, 0.0))
    await set_paused(state, paused=True)
    os.environ.update(AWS_ENDPOINT_URL=endpoint, AWS_DEFAULT_REGION="eu-west-1")
    os.environ.update(AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none")
    fleet = Ec2Fleet.connect(Ec2Plan("benchmark", "workers"))
    limits = Limits(min_workers=0, max_workers=2 * INSTANCES, min_billed_seconds=60.0, min_idle_seconds=0.0)
    loop = ScalerLoop(shards, fleet, limits, "benchmark:0", ScalerMetrics(CollectorRegistry()))
    await _record_heartbeats(state)
    await loop.run_round()
    await loop.run_round()
    await _record_heartbeats(state)
    redis_before, commands_before = server.cpu_seconds(), _commands(server)
    processor, wall = await _run_rounds(loop, ROUNDS)
    redis_seconds, commands = server.cpu_seconds() - redis_before, _commands(server) - commands_before
    fleet.profile = replace(fleet.profile, idle_poll_seconds=0.0)
    await _record_heartbeats(state)
    with_look, _ = await _run_rounds(loop, DESCRIBE_ROUNDS)
    await shards.close()
    return {
        "round_cpu_ms": processor * 1000,
        "round_p50_ms": wall * 1000,
        "round_with_look_cpu_ms": with_look * 1000,
        "redis_cpu_ms": redis_seconds / ROUNDS * 1000,
        "commands": round(commands / ROUNDS),
    }


async def _run_rounds(loop: ScalerLoop, rounds: int) -> tuple[float, float]:
    """Run rounds; return this process's processor seconds per round and the median duration of a round."""
    before, times = time.process_time(), []
    for _ in range(rounds):
        started_at = time.perf_counter()
        assert await loop.run_round() is not None
        times.append(time.perf_counter() - started_at)
    return (time.process_time() - before) / rounds, statistics.median(times)


async def _record_heartbeats(state: Shard) -> None:
    """Record a heartbeat of every worker now."""
    now = int(time.time())
    await state.execute(("ZADD", keys.heartbeats(state.prefix), *(word for id_ in _IDS for word in (now, id_))))


def _commands(server: BenchmarkRedis) -> int:
    return int(server.masters[0].info("stats")["total_commands_processed"])


@contextlib.contextmanager
def _ec2() -> Iterator[str]:
    """Run a server that answers every DescribeInstances call with all instances; yield its URL."""
    answer = _describe_answer().encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _describe_answer() -> str:
    tags = {"workmanager:cluster": "benchmark", "workmanager:role": "worker", "workmanager:intent": "0" * 32}
    tag_set = "".join(f"<item><key>{key}</key><value>{value}</value></item>" for key, value in tags.items())
    instances = "".join(
        f"<item><instanceId>{id_}</instanceId><imageId>ami-0123456789abcdef0</imageId>"
        "<instanceState><code>16</code><name>running</name></instanceState>"
        "<privateDnsName>ip-10-0-0-1.ec2.internal</privateDnsName><reason/><amiLaunchIndex>0</amiLaunchIndex>"
        "<instanceType>m7i.large</instanceType><launchTime>2026-01-01T00:00:00.000Z</launchTime>"
        "<placement><availabilityZone>eu-west-1a</availabilityZone><tenancy>default</tenancy></placement>"
        "<subnetId>subnet-0123456789abcdef0</subnetId><vpcId>vpc-0123456789abcdef0</vpcId>"
        f"<instanceLifecycle>spot</instanceLifecycle><tagSet>{tag_set}</tagSet></item>"
        for id_ in _IDS
    )
    return (
        '<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>0</requestId>'
        f"<reservationSet><item><reservationId>r-0</reservationId><instancesSet>{instances}</instancesSet></item>"
        "</reservationSet></DescribeInstancesResponse>"
    )


if __name__ == "__main__":
    main()
