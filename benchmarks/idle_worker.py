"""Processor time of an idle worker node and of Redis, in percent of a core."""

import time
from functools import partial

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.redis_servers import redis_server
from benchmarks.harness.workmanager_programs import running_worker, wait_for_idle_worker

OURS = "workmanager"
SLOTS = 2
_EXECUTOR_START_SECONDS = 3.0


def main() -> None:
    """Run the benchmark."""
    options = parse_options("idle_worker", __doc__ or "", quick_runs=2, full_runs=3)
    report = BenchmarkReport("idle_worker", options.quick)
    report.print_machine()
    medians = compare(report, {OURS: partial(_measure, options.pick(20, 60))}, options.runs)
    report.add_aim("percent of a core", medians[OURS]["worker_percent"], most=1.0)
    report.print_tables()


def _measure(seconds: int) -> Figures:
    with redis_server() as server, running_worker(server, slots=SLOTS) as node:
        wait_for_idle_worker(server, node)
        time.sleep(_EXECUTOR_START_SECONDS)
        worker_cpu, redis_cpu, started_at = node.cpu_seconds, server.cpu_seconds(), time.perf_counter()
        time.sleep(seconds)
        passed = time.perf_counter() - started_at
        return {
            "worker_percent": (node.cpu_seconds - worker_cpu) / passed * 100,
            "redis_percent": (server.cpu_seconds() - redis_cpu) / passed * 100,
        }


if __name__ == "__main__":
    main()
