"""Requests (`PUT /enqueue`, 64 bytes) per processor second of a manager with one and with two processes.

Each process has 64 connections.
"""

from functools import partial

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import BenchmarkOptions, compare, parse_options
from benchmarks.harness.http_enqueue_load import CONNECTIONS, run_enqueue_load
from benchmarks.harness.redis_servers import redis_server
from benchmarks.harness.workmanager_programs import running_manager

ONE, TWO = "1 process", "2 processes"


def main() -> None:
    """Run the benchmark."""
    options = parse_options("manager_processes", __doc__ or "")
    report = BenchmarkReport("manager_processes", options.quick)
    report.print_machine()
    contestants = {ONE: partial(_measure, options, 1), TWO: partial(_measure, options, 2)}
    medians = compare(report, contestants, options.runs)
    per_second = {name: figures["requests_per_cpu_second"] for name, figures in medians.items()}
    report.add_aim(
        "requests per processor second, of those of one process", per_second[TWO] / per_second[ONE], least=0.95
    )
    report.print_tables()


def _measure(options: BenchmarkOptions, processes: int) -> Figures:
    with redis_server() as server, running_manager(server, processes=processes) as (program, port):
        before = program.cpu_seconds
        load = run_enqueue_load(port, options.pick(3, 8), connections=processes * CONNECTIONS)
        seconds = program.cpu_seconds - before
        return {
            "requests_per_cpu_second": load.answers / seconds,
            "answers_per_second": load.answers_per_second,
            "p99_ms": load.milliseconds(0.99),
        }


if __name__ == "__main__":
    main()
