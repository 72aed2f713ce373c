"""The masters' processor time per job on a six-node cluster, beside one Redis: jobs in by PUT, run, pulled.

One Redis with a replica stands beside them, to show what replication takes of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from benchmarks.harness.comparison import compete, options
from benchmarks.harness.http_enqueue_load import CONNECTIONS, submissions
from benchmarks.harness.http_load import Generator, request
from benchmarks.harness.measured_programs import await_true
from benchmarks.harness.benchmark_report import Figures, Report
from benchmarks.harness.redis_servers import Store, cluster_store, replicated_store, store
from benchmarks.harness.workmanager_programs import manager, our_finished, worker

CLUSTER, SINGLE, REPLICATED = "six-node cluster", "one server", "one server with a replica"
_TOP = 100
_LOOK_SECONDS = 0.05


def main() -> None:
    """Runs it."""
    told = options("cluster_cpu", __doc__ or "", quick_runs=1, full_runs=3)
    jobs = told.pick(20_000, 60_000)
    report = Report("cluster_cpu", told.quick)
    report.begin()
    medians = compete(
        report,
        {
            CLUSTER: partial(_measure, cluster_store, jobs),
            SINGLE: partial(_measure, store, jobs),
            REPLICATED: partial(_measure, replicated_store, jobs),
        },
        told.runs,
    )
    ratio = medians[CLUSTER]["masters_us_per_job"] / medians[SINGLE]["masters_us_per_job"]
    report.aim("times one server's", ratio, most=1.2)
    report.end()


def _measure(start: Callable[[], AbstractContextManager[Store]], jobs: int) -> Figures:
    with start() as server, manager(server) as (_, port):
        idle = server.cpu_seconds()
        _load(port, itertools.islice(itertools.cycle(submissions()), jobs), CONNECTIONS)
        stored = server.cpu_seconds()
        with worker(server, slots=1) as node:
            await_true(
                lambda: our_finished(server) == jobs,
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
    generator = Generator(port, connections)
    try:
        generator.closed_loop(requests, warm_up_seconds=0.0, seconds=600.0)
    finally:
        generator.close()


if __name__ == "__main__":
    main()
