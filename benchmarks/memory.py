"""Redis memory per 64-byte job: queued, and finished with its SHA-512 value."""

import itertools
from functools import partial

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.http_enqueue_load import enqueue_requests
from benchmarks.harness.http_load import LoadGenerator
from benchmarks.harness.measured_programs import wait_until
from benchmarks.harness.redis_servers import redis_server
from benchmarks.harness.workmanager_programs import count_finished, count_queued, running_manager, running_worker

OURS = "workmanager"


def main() -> None:
    """Run the benchmark."""
    options = parse_options("memory", __doc__ or "", quick_runs=1, full_runs=3)
    report = BenchmarkReport("memory", options.quick)
    report.print_machine()
    medians = compare(report, {OURS: partial(_measure, options.pick(30_000, 100_000))}, options.runs)
    report.add_aim("bytes queued", medians[OURS]["queued_bytes"], most=600)
    report.add_aim("bytes finished", medians[OURS]["finished_bytes"], most=1900)
    report.print_tables()


def _measure(jobs: int) -> Figures:
    with redis_server() as server:
        with running_manager(server) as (_, port):
            empty = server.memory_bytes()
            generator = LoadGenerator(port, 64)
            generator.closed_loop(
                itertools.islice(itertools.cycle(enqueue_requests()), jobs), warm_up_seconds=0.0, seconds=600.0
            )
            generator.close()
        server.wait_until_idle()
        assert count_queued(server) == jobs
        queued = server.memory_bytes()
        with running_worker(server, slots=1) as node:
            wait_until(lambda: count_finished(server) == jobs, seconds=300, wanted="the end of all jobs", program=node)
        server.wait_until_idle()
        return {"queued_bytes": (queued - empty) / jobs, "finished_bytes": (server.memory_bytes() - empty) / jobs}


if __name__ == "__main__":
    main()
