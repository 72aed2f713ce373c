"""`PUT /enqueue` at half of the highest rate while a worker drains at full speed: the 99th percentile of its latency.

The requests leave at their times whether the manager keeps up or not, and the latency counts from those times. The
worker stands back for the manager and Redis, as those do that `workmanager up` starts.
"""

from __future__ import annotations

from functools import partial

from benchmarks.harness.comparison import Options, compete, options
from benchmarks.harness.preload import fill
from benchmarks.harness.http_enqueue_load import CONNECTIONS, load_enqueues, submissions
from benchmarks.harness.http_load import Generator, endlessly
from benchmarks.harness.benchmark_report import Figures, Report
from benchmarks.harness.redis_servers import store
from benchmarks.harness.workmanager_programs import await_idle_worker, manager, our_finished, our_queued, worker
from scaler.fleets.local import NICE

OURS = "workmanager"
_DRAIN_RATE = 25_000


def main() -> None:
    """Runs it."""
    told = options("enqueue_under_drain", __doc__ or "", quick_runs=1, full_runs=3)
    seconds = told.pick(4, 10)
    report = Report("enqueue_under_drain", told.quick)
    report.begin()
    highest = compete(report, {"highest rate": partial(_highest_rate, told)}, told.runs)["highest rate"]
    half = highest["answers_per_second"] / 2
    shares = (0.25, 0.5, 0.75) if told.quick else (0.1, 0.25, 0.5, 0.75)
    points = []
    for share in shares:
        name = f"at {share:.0%}"
        under = compete(report, {name: partial(_under_drain, 2 * half * share, seconds)}, told.runs)[name]
        points.append((2 * half * share, under["p99_ms"]))
        if share == 0.5:
            report.aim("p99 at half of the highest rate, ms", under["p99_ms"], most=50.0)
    report.curve("p99 while a worker drains", "PUT/s", "ms", points)
    report.end()


def _highest_rate(told: Options) -> Figures:
    with store() as server, manager(server) as (_, port):
        return {"answers_per_second": load_enqueues(port, told.pick(3, 8)).answers_per_second}


def _under_drain(per_second: float, seconds: int) -> Figures:
    with store() as server, manager(server) as (_, port):
        # More than a worker can do in the time, so that it never waits.
        fill(server.url, _DRAIN_RATE * (seconds + 3), "noop")
        server.settle()
        with worker(server, slots=1, nice=NICE) as node:
            await_idle_worker(server, node)
            generator = Generator(port, 4 * CONNECTIONS)
            before = our_finished(server)
            try:
                load = generator.open_loop(
                    endlessly(submissions()), per_second=per_second, warm_up_seconds=1.0, seconds=seconds
                )
            finally:
                generator.close()
            assert our_queued(server) > len(load.latencies), "the worker had nothing left to drain"
            return {
                "put_per_second": load.answers_per_second,
                "drained_per_second": (our_finished(server) - before) / (load.seconds + 1.0),
                "p50_ms": load.milliseconds(0.5),
                "p99_ms": load.milliseconds(0.99),
                "late_share": load.late / len(load.latencies),
            }


if __name__ == "__main__":
    main()
