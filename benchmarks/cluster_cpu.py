"""The masters' processor time per job on a six-node cluster, beside one Redis: jobs in by PUT, run, pulled.

One Redis with a replica stands beside them, to show what replication takes of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
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
_LOOK_SECONDS = 0.05


def main() -> None:
    """Runs it."""
    told = parse_options("cluster_cpu", __doc__ or "", quick_runs=1, full_runs=3)
    jobs = told.pick(20_000, 60_000)
    report = BenchmarkReport("cluster_cpu", told.quick)
    report.print_machine()
    medians = compare(
        report,
        {
            CLUSTER: partial(_measure, redis_cluster, jobs),
            SINGLE: partial(_measure, redis_server, jobs),
            REPLICATED: partial(_measure, replicated_redis, jobs),
        },
        told.runs,
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
                # Each look is a command for every shard, which counts too.
                poll_seconds=_LOOK_SECONDS,
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


def _load(port: int, requests: itertools.islice[bytes] | itertools.repeat[bytes], connections: int) -> None:
    generator = LoadGenerator(port, connections)
    try:
        generator.closed_loop(requests, warm_up_seconds=0.0, seconds=600.0)
    finally:
        generator.close()


if __name__ == "__main__":
    main()
