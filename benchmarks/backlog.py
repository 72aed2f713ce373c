"""Rates of PUT, batch, worker and pull with a million jobs queued, compared with those at 10,000.

Measured between rewrites of the append-only file, which start when the file has doubled; batches also during one.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from statistics import harmonic_mean

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.http_enqueue_load import run_enqueue_load
from benchmarks.harness.preload import finish_preloaded_jobs, preload_jobs
from benchmarks.harness.redis_servers import BenchmarkRedis, redis_server
from benchmarks.harness.workmanager_programs import count_finished, count_queued, running_manager, running_worker
from benchmarks.http_batch import measure_batch_rate
from benchmarks.http_pull import TOP, VALUE, measure_pull_rate
from benchmarks.worker_noop import measure_drain_rate

SMALL = 10_000
# A quick run has time to enqueue only this many.
_LARGE_QUICK, _LARGE_FULL = 150_000, 1_000_000
_RESULTS, _PUT, _BATCHES, _DRAINS = 90_000, 60_000, 60, 4
_MAX_SECONDS = 60.0
_IN_REWRITE = "batch_in_rewrite"


def main() -> None:
    """Run the benchmark."""
    options = parse_options("backlog", __doc__ or "", quick_runs=1, full_runs=7)
    large = options.pick(_LARGE_QUICK, _LARGE_FULL)
    sizes = (SMALL, large) if options.quick else (SMALL, int(math.sqrt(SMALL * large)), large)
    report = BenchmarkReport("backlog", options.quick)
    report.print_machine()
    medians = compare(report, {_name(jobs): partial(_measure, jobs) for jobs in sizes}, options.runs)
    for figure in medians[_name(SMALL)]:
        points = [(float(jobs), medians[_name(jobs)][figure]) for jobs in sizes]
        report.add_curve(figure, "jobs queued", "1/s", points)
        if figure == _IN_REWRITE:
            continue
        report.add_aim(f"{figure} at {large:,} of that at {SMALL:,}", points[-1][1] / points[0][1], least=0.9)
    report.print_tables()


def _name(jobs: int) -> str:
    return f"{jobs:,} queued"


def _measure(jobs: int) -> Figures:
    # Each part gets a fresh server, so that only its own jobs have used the memory.
    return {name: part(jobs) for name, part in _PARTS.items()}


@contextmanager
def _preloaded_server(jobs: int, finished: int = 0) -> Iterator[BenchmarkRedis]:
    """A server with `jobs` queued jobs and a just rewritten append-only file, so that no part doubles its size."""
    with redis_server() as server:
        preload_jobs(server.url, jobs + finished, "noop")
        finish_preloaded_jobs(server.url, finished, VALUE)
        server.wait_until_idle()
        server.start_aof_rewrite()
        server.wait_until_idle()
        yield server


def _put(jobs: int) -> float:
    with _preloaded_server(jobs) as server, running_manager(server) as (_, port):
        return run_enqueue_load(port, _MAX_SECONDS, max_requests=_PUT).answers_per_second


def _batch(jobs: int, *, in_rewrite: bool = False) -> float:
    with _preloaded_server(jobs) as server, running_manager(server) as (_, port):
        if in_rewrite:
            server.start_aof_rewrite()
        return measure_batch_rate(port, _MAX_SECONDS, max_requests=_BATCHES)[0]


def _run(jobs: int) -> float:
    """Repeat the drain, because the small queue lasts only a quarter of a second."""
    with _preloaded_server(jobs) as server:
        return harmonic_mean([_drain_once(server, jobs) for _ in range(_DRAINS)])


def _drain_once(server: BenchmarkRedis, jobs: int) -> float:
    preload_jobs(server.url, jobs - count_queued(server), "noop")
    before = count_finished(server)
    figures = measure_drain_rate(
        server, lambda: running_worker(server, slots=1), SMALL, lambda: count_finished(server) - before
    )
    return figures["jobs_per_second"]


def _pull(jobs: int) -> float:
    with _preloaded_server(jobs, finished=_RESULTS) as server, running_manager(server) as (_, port):
        return measure_pull_rate(port, _MAX_SECONDS, _RESULTS - 2 * TOP)[0]


_PARTS: Mapping[str, Callable[[int], float]] = {
    "put": _put,
    "batch": _batch,
    _IN_REWRITE: partial(_batch, in_rewrite=True),
    "run": _run,
    "pull": _pull,
}


if __name__ == "__main__":
    main()
