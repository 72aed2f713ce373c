"""p99 latency of `PUT /enqueue` at half of its highest rate while a worker drains a backlog at full speed.

Requests are sent at fixed times even if the manager does not keep up, and the latency counts from those times. The
worker runs at lower priority than the manager and Redis, as under `workmanager up`.
"""

from functools import partial

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import BenchmarkOptions, compare, parse_options
from benchmarks.harness.http_enqueue_load import CONNECTIONS, enqueue_requests, run_enqueue_load
from benchmarks.harness.http_load import LoadGenerator, repeat_forever
from benchmarks.harness.preload import preload_jobs
from benchmarks.harness.redis_servers import redis_server
from benchmarks.harness.workmanager_programs import (
    count_finished,
    count_queued,
    running_manager,
    running_worker,
    wait_for_idle_worker,
)
from scaler.fleets.local import WORKER_NICE

OURS = "workmanager"
_DRAIN_RATE = 25_000


def main() -> None:
    """Run the benchmark."""
    options = parse_options("enqueue_under_drain", __doc__ or "", quick_runs=1, full_runs=3)
    seconds = options.pick(4, 10)
    report = BenchmarkReport("enqueue_under_drain", options.quick)
    report.print_machine()
    highest = compare(report, {"highest rate": partial(_highest_rate, options)}, options.runs)["highest rate"]
    half = highest["answers_per_second"] / 2
    shares = (0.25, 0.5, 0.75) if options.quick else (0.1, 0.25, 0.5, 0.75)
    points = []
    for share in shares:
        name = f"at {share:.0%}"
        under = compare(report, {name: partial(_under_drain, 2 * half * share, seconds)}, options.runs)[name]
        points.append((2 * half * share, under["p99_ms"]))
        if share == 0.5:
            report.add_aim("p99 at half of the highest rate, ms", under["p99_ms"], most=50.0)
    report.add_curve("p99 while a worker drains", "PUT/s", "ms", points)
    report.print_tables()


def _highest_rate(options: BenchmarkOptions) -> Figures:
    with redis_server() as server, running_manager(server) as (_, port):
        return {"answers_per_second": run_enqueue_load(port, options.pick(3, 8)).answers_per_second}


def _under_drain(per_second: float, seconds: int) -> Figures:
    with redis_server() as server, running_manager(server) as (_, port):
        # More jobs than a worker can run in the time, so that it never waits.
        preload_jobs(server.url, _DRAIN_RATE * (seconds + 3), "noop")
        server.wait_until_idle()
        with running_worker(server, slots=1, nice=WORKER_NICE) as node:
            wait_for_idle_worker(server, node)
            generator = LoadGenerator(port, 4 * CONNECTIONS)
            before = count_finished(server)
            try:
                load = generator.open_loop(
                    repeat_forever(enqueue_requests()), per_second=per_second, warm_up_seconds=1.0, seconds=seconds
                )
            finally:
                generator.close()
            assert count_queued(server) > len(load.latencies), "the worker ran out of jobs to drain"
            return {
                "put_per_second": load.answers_per_second,
                "drained_per_second": (count_finished(server) - before) / (load.seconds + 1.0),
                "p50_ms": load.milliseconds(0.5),
                "p99_ms": load.milliseconds(0.99),
                "late_share": load.late / len(load.latencies),
            }


if __name__ == "__main__":
    main()
