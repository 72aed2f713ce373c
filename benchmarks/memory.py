"""What a 64-byte job takes in Redis: queued, and finished with its SHA-512 value."""

from __future__ import annotations

import itertools
from functools import partial

from benchmarks.harness.comparison import compete, options
from benchmarks.harness.http_enqueue_load import submissions
from benchmarks.harness.http_load import Generator
from benchmarks.harness.measured_programs import await_true
from benchmarks.harness.benchmark_report import Figures, Report
from benchmarks.harness.redis_servers import store
from benchmarks.harness.workmanager_programs import manager, our_finished, our_queued, worker

OURS = "workmanager"


def main() -> None:
    """Runs it."""
    told = options("memory", __doc__ or "", quick_runs=1, full_runs=3)
    report = Report("memory", told.quick)
    report.begin()
    medians = compete(report, {OURS: partial(_measure, told.pick(30_000, 100_000))}, told.runs)
    report.aim("bytes queued", medians[OURS]["queued_bytes"], most=600)
    report.aim("bytes finished", medians[OURS]["finished_bytes"], most=1900)
    report.end()


def _measure(jobs: int) -> Figures:
    with store() as server:
        with manager(server) as (_, port):
            empty = server.memory_bytes()
            generator = Generator(port, 64)
            generator.closed_loop(
                itertools.islice(itertools.cycle(submissions()), jobs), warm_up_seconds=0.0, seconds=600.0
            )
            generator.close()
        server.settle()
        assert our_queued(server) == jobs
        queued = server.memory_bytes()
        with worker(server, slots=1) as node:
            await_true(lambda: our_finished(server) == jobs, seconds=300, wanted="the end of all jobs", program=node)
        server.settle()
        return {"queued_bytes": (queued - empty) / jobs, "finished_bytes": (server.memory_bytes() - empty) / jobs}


if __name__ == "__main__":
    main()
