"""Rate of no-op jobs on one worker node with one slot, compared with the peers' workers: jobs/s, results kept."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.measured_programs import MeasuredProgram, run_to_end, running_program, wait_until
from benchmarks.harness.peers import Peer, all_peers
from benchmarks.harness.preload import preload_jobs
from benchmarks.harness.redis_servers import BenchmarkRedis, redis_server
from benchmarks.harness.workmanager_programs import count_finished, running_worker

OURS = "workmanager"
_OUR_RATE = 20_000
# Measured between these shares of the jobs, because a worker is not at full speed at its start and near the end.
_MEASURED_FROM, _MEASURED_TO = 0.15, 0.95


def main() -> None:
    """Run the benchmark."""
    options = parse_options("worker_noop", __doc__ or "")
    seconds = options.pick(2, 5)
    peers = all_peers()
    for peer in peers:
        peer.environment.ensure()
    report = BenchmarkReport("worker_noop", options.quick)
    report.print_machine()
    contestants: dict[str, Callable[[], Figures]] = {OURS: partial(_measure_ours, _OUR_RATE * seconds)}
    contestants |= {peer.name: partial(measure_peer, peer, peer.expected_rate * seconds) for peer in peers}
    medians = compare(report, contestants, options.runs)
    rates = {name: figures["jobs_per_second"] for name, figures in medians.items()}
    best_python = max(rate for name, rate in rates.items() if name not in (OURS, "bullmq"))
    report.add_aim("times BullMQ", rates[OURS] / rates["bullmq"], least=1.5)
    report.add_aim("times the best Python peer", rates[OURS] / best_python, least=3.0)
    report.add_aim("times RQ's SimpleWorker", rates[OURS] / rates["rq SimpleWorker"], least=40.0)
    report.print_tables()


def _measure_ours(jobs: int) -> Figures:
    with redis_server() as server:
        preload_jobs(server.url, jobs, "noop")
        return measure_drain_rate(server, lambda: running_worker(server, slots=1), jobs, lambda: count_finished(server))


def measure_peer(peer: Peer, jobs: int) -> Figures:
    """Measure a peer's worker on a fresh server."""
    with redis_server() as server:
        run_to_end(peer.app_command("fill", server.url, jobs), environ=peer.environ(server.url))
        work = partial(
            running_program,
            peer.worker_command(server.url),
            server.directory / "worker.log",
            environ=peer.environ(server.url),
        )
        return measure_drain_rate(server, work, jobs, lambda: peer.count_finished(server.masters[0]))


def measure_drain_rate(
    server: BenchmarkRedis,
    work: Callable[[], AbstractContextManager[MeasuredProgram]],
    jobs: int,
    finished: Callable[[], int],
) -> Figures:
    """Run a worker on a preloaded queue and measure the middle part.

    Returns:
        jobs/s, and the processor time of the worker and of Redis per job, in microseconds.
    """
    server.wait_until_idle()
    with work() as program:
        first = wait_until(
            lambda: _at_least(finished, jobs * _MEASURED_FROM), seconds=60, wanted="first jobs", program=program
        )
        at, worker_cpu, redis_cpu = time.perf_counter(), program.cpu_seconds, server.cpu_seconds()
        last = wait_until(
            lambda: _at_least(finished, jobs * _MEASURED_TO), seconds=600, wanted="all jobs", program=program
        )
        seconds, done = time.perf_counter() - at, last - first
        return {
            "jobs_per_second": done / seconds,
            "worker_us_per_job": (program.cpu_seconds - worker_cpu) / done * 1e6,
            "redis_us_per_job": (server.cpu_seconds() - redis_cpu) / done * 1e6,
        }


def _at_least(finished: Callable[[], int], jobs: float) -> int:
    count = finished()
    return count if count >= jobs else 0


if __name__ == "__main__":
    main()
