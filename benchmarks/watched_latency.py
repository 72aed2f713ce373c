"""Latency in milliseconds from `PUT /enqueue` to the value, with and without events and logs, in turns.

With them, a client follows all changes of jobs (`GET /events`), and the manager logs each request.
"""

from functools import partial

from benchmarks.harness.benchmark_report import BenchmarkReport
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.latency import measure


def main() -> None:
    """Run the benchmark."""
    options = parse_options("watched_latency", __doc__ or "", full_runs=9)
    report = BenchmarkReport("watched_latency", options.quick)
    report.print_machine()
    jobs = options.pick(200, 500)
    plain, watched = "workmanager", "workmanager, events and log"
    contestants = {plain: partial(measure, jobs, []), watched: partial(measure, jobs, [], watched=True)}
    medians = compare(report, contestants, options.runs)
    report.add_aim("p50, times that without", medians[watched]["p50_ms"] / medians[plain]["p50_ms"], most=1.1)
    report.print_tables()


if __name__ == "__main__":
    main()
