"""Jobs that do nothing, run by one worker node with one slot, beside the peers' workers: jobs/s, results kept."""

from __future__ import annotations

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
# Measured between these shares of the jobs: a worker that starts or has little left is not at full speed.
_FROM, _TO = 0.15, 0.95


def main() -> None:
    """Runs it."""
    told = parse_options("worker_noop", __doc__ or "")
    seconds = told.pick(2, 5)
    everybody = all_peers()
    for peer in everybody:
        peer.environment.ensure()
    report = BenchmarkReport("worker_noop", told.quick)
    report.print_machine()
    contestants: dict[str, Callable[[], Figures]] = {OURS: partial(_measure_ours, _OUR_RATE * seconds)}
    contestants |= {peer.name: partial(_measure_peer, peer, peer.expected_rate * seconds) for peer in everybody}
    medians = compare(report, contestants, told.runs)
    rates = {name: figures["jobs_per_second"] for name, figures in medians.items()}
    python = max(rate for name, rate in rates.items() if name not in (OURS, "bullmq"))
    report.add_aim("times BullMQ", rates[OURS] / rates["bullmq"], least=1.5)
    report.add_aim("times the best Python peer", rates[OURS] / python, least=3.0)
    report.add_aim("times RQ's SimpleWorker", rates[OURS] / rates["rq SimpleWorker"], least=40.0)
    report.print_tables()


def _measure_ours(jobs: int) -> Figures:
    with redis_server() as server:
        preload_jobs(server.url, jobs, "noop")
        return measure_drain_rate(server, lambda: running_worker(server, slots=1), jobs, lambda: count_finished(server))


def _measure_peer(peer: Peer, jobs: int) -> Figures:
    with redis_server() as server:
        run_to_end(peer.fill_command(server.url, jobs), environ=peer.environ(server.url))
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
    """Works off a filled queue and measures the middle of it.

    Returns:
        jobs/s, and microseconds of the worker's and of Redis' processor time per job.
    """
    server.wait_until_idle()
    with work() as program:
        begun = wait_until(lambda: _at_least(finished, jobs * _FROM), seconds=60, wanted="first jobs", program=program)
        at, worker_cpu, redis_cpu = time.perf_counter(), program.cpu_seconds, server.cpu_seconds()
        ended = wait_until(lambda: _at_least(finished, jobs * _TO), seconds=600, wanted="all jobs", program=program)
        seconds, done = time.perf_counter() - at, ended - begun
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
