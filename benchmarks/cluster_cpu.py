"""Processor time of the Redis masters per job (PUT, run, pull): a six-node cluster compared with one server.

One server with a replica is measured too, to show the share of replication.
"""

import itertools
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.http_enqueue_load import CONNECTIONS, enqueue_requests
from benchmarks.harness.http_load import LoadGenerator, request
from benchmarks.harness.measured_programs import wait_until
from benchmarks.harness.redis_servers import BenchmarkRedis, redis_cluster, redis_server, replicated_redis
from benchmarks.harness.workmanager_programs import count_finished, running_manager, running_worker

CLUSTER, SINGLE, REPLICATED = "six-node cluster", "one server", "one server with a replica"
_TOP = 100
_POLL_SECONDS = 0.05


def main() -> None:
    """Run the benchmark."""
    options = parse_options("cluster_cpu", __doc__ or "", quick_runs=1, full_runs=3)
    jobs = options.pick(20_000, 60_000)
    report = BenchmarkReport("cluster_cpu", options.quick)
    report.print_machine()
    medians = compare(
        report,
        {
            CLUSTER: partial(_measure, redis_cluster, jobs),
            SINGLE: partial(_measure, redis_server, jobs),
            REPLICATED: partial(_measure, replicated_redis, jobs),
        },
        options.runs,
    )
    ratio = medians[CLUSTER]["masters_us_per_job"] / medians[SINGLE]["masters_us_per_job"]
    report.add_aim("times one server's", ratio, most=1.2)
    report.print_tables()


def _measure(start: Callable[[], AbstractContextManager[BenchmarkRedis]], jobs: int) -> Figures:
    with start() as server, running_manager(server) as (_, port):
        idle = server.cpu_seconds()
        _load(port, itertools.islice(itertools.cycle(enqueue_requests()), jobs), CONNECTIONS)
        stored = server.cpu_seconds()
        with running_worker(server, slots=1) as node:
            wait_until(
                lambda: count_finished(server) == jobs,
                seconds=300,
                wanted="the end of all jobs",
                program=node,
                # Each poll sends a command to every shard, which is measured too.
                poll_seconds=_POLL_SECONDS,
            )
            finished = server.cpu_seconds()
        before_pull = server.cpu_seconds()
        _load(port, itertools.repeat(request("POST", f"/pullCompleted?top={_TOP}"), jobs // _TOP), 4)
        pulled = server.cpu_seconds()
        parts = {"put": stored - idle, "run": finished - stored, "pull": pulled - before_pull}
        return {
            "masters_us_per_job": sum(parts.values()) / jobs * 1e6,
            **{f"{name}_us_per_job": seconds / jobs * 1e6 for name, seconds in parts.items()},
        }


def _load(port: int, requests: Iterable[bytes], connections: int) -> None:
    generator = LoadGenerator(port, connections)
    try:
        generator.closed_loop(requests, warm_up_seconds=0.0, seconds=600.0)
    finally:
        generator.close()


if __name__ == "__main__":
    main()
