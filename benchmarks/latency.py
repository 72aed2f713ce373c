"""Latency in milliseconds from `PUT /enqueue` to the value, one job at a time on an idle worker; beside the peers.

Each peer's own client submits a job that does nothing, and waits for its result.
"""

import contextlib
import hashlib
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from secrets import token_bytes

import orjson

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.http_load import Connection, percentile, request
from benchmarks.harness.measured_programs import run_to_end, running_program
from benchmarks.harness.peers import Peer, waited_for_peers
from benchmarks.harness.redis_servers import BenchmarkRedis, redis_server
from benchmarks.harness.workmanager_programs import running_manager, running_worker, wait_for_idle_worker

OURS = "workmanager"
_PULL = request("POST", "/pullCompleted?top=1&wait=10")
_WARM_UP = 20
_FOLLOW = "import sys, urllib.request; print(sum(1 for _ in urllib.request.urlopen(sys.argv[1])))"


def main() -> None:
    """Run the benchmark."""
    options = parse_options("latency", __doc__ or "", full_runs=3)
    jobs = options.pick(200, 1000)
    peers = waited_for_peers()
    for peer in peers:
        peer.environment.ensure()
    report = BenchmarkReport("latency", options.quick)
    report.print_machine()
    all_latencies: list[float] = []
    contestants: dict[str, Callable[[], Figures]] = {OURS: partial(measure, jobs, all_latencies)}
    contestants |= {peer.name: partial(_measure_peer, peer, jobs) for peer in peers}
    medians = compare(report, contestants, options.runs)
    ordered = sorted(all_latencies)
    shares = [number / 100 for number in range(1, 100)] + [0.995, 0.999]
    report.add_curve(
        "latency", "ms from PUT to value", "share of jobs", [(percentile(ordered, s) * 1000, s) for s in shares]
    )
    report.add_aim("p50, ms", medians[OURS]["p50_ms"], most=5.0)
    report.add_aim("p99, ms", medians[OURS]["p99_ms"], most=25.0)
    for figure in ("p50_ms", "p99_ms"):
        fastest = min(medians[peer.name][figure] for peer in peers)
        report.add_aim(f"{figure[:3]}, times the fastest peer's", medians[OURS][figure] / fastest, most=1.0)
    report.print_tables()


def measure(jobs: int, all_latencies: list[float], *, watched: bool = False) -> Figures:
    """Return the latency of so many jobs, and add each to `all_latencies`.

    Args:
        watched: a client follows `GET /events`, and the manager logs each request.
    """
    with (
        redis_server() as server,
        running_manager(server, access_log=watched) as (_, port),
        running_worker(server, slots=1) as node,
        _follower(server, port) if watched else contextlib.nullcontext(),
    ):
        wait_for_idle_worker(server, node)
        submitter, consumer = Connection(port), Connection(port)
        latencies = []
        for _ in range(jobs):
            # Random, so that the worker is idle and at no particular point of its loops.
            time.sleep(random.uniform(0.005, 0.050))
            latencies.append(_one_job(submitter, consumer))
        all_latencies += latencies[_WARM_UP:]
        return _figures(latencies)


def _measure_peer(peer: Peer, jobs: int) -> Figures:
    with redis_server() as server:
        environ = peer.environ(server.url)
        with running_program(peer.worker_command(server.url), server.directory / "worker.log", environ=environ):
            return _figures(json.loads(run_to_end(peer.app_command("latency", server.url, jobs), environ=environ)))


def _figures(latencies: Sequence[float]) -> Figures:
    counted = latencies[_WARM_UP:]
    return {
        "p50_ms": percentile(counted, 0.5) * 1000,
        "p99_ms": percentile(counted, 0.99) * 1000,
        "max_ms": max(counted) * 1000,
    }


@contextlib.contextmanager
def _follower(server: BenchmarkRedis, port: int) -> Iterator[None]:
    """Follow all changes in another process."""
    command = [sys.executable, "-c", _FOLLOW, f"http://127.0.0.1:{port}/events"]
    with running_program(command, server.directory / "follower.log"):
        yield


def _one_job(submitter: Connection, consumer: Connection) -> float:
    data = token_bytes(64)
    started_at = time.perf_counter()
    work_id = orjson.loads(submitter.exchange(request("PUT", "/enqueue?iterations=1", data)))["Work ID"]
    results = orjson.loads(consumer.exchange(_PULL))
    seconds = time.perf_counter() - started_at
    assert results == [{"Work ID": work_id, "Value": hashlib.sha512(data).hexdigest()}], results
    return seconds


if __name__ == "__main__":
    main()
