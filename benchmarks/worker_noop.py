"""Jobs that do nothing, run by one worker node with one slot, beside the peers' workers: jobs/s, results kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from benchmarks.harness.comparison import compete, options
from benchmarks.harness.preload import fill
from benchmarks.harness.peers import Peer, peers
from benchmarks.harness.measured_programs import Program, await_true, run, running
from benchmarks.harness.benchmark_report import Figures, Report
from benchmarks.harness.redis_servers import Store, store
from benchmarks.harness.workmanager_programs import our_finished, worker

OURS = "workmanager"
_OUR_RATE = 20_000
# Measured between these shares of the jobs: a worker that starts or has little left is not at full speed.
_FROM, _TO = 0.15, 0.95


def main() -> None:
    """Runs it."""
    told = options("worker_noop", __doc__ or "")
    seconds = told.pick(2, 5)
    everybody = peers()
    for peer in everybody:
        peer.environment.ensure()
    report = Report("worker_noop", told.quick)
    report.begin()
    contestants: dict[str, Callable[[], Figures]] = {OURS: partial(_measure_ours, _OUR_RATE * seconds)}
    contestants |= {peer.name: partial(_measure_peer, peer, peer.rate * seconds) for peer in everybody}
    medians = compete(report, contestants, told.runs)
    rates = {name: figures["jobs_per_second"] for name, figures in medians.items()}
    python = max(rate for name, rate in rates.items() if name not in (OURS, "bullmq"))
    report.aim("times BullMQ", rates[OURS] / rates["bullmq"], least=1.5)
    report.aim("times the best Python peer", rates[OURS] / python, least=3.0)
    report.aim("times RQ's SimpleWorker", rates[OURS] / rates["rq SimpleWorker"], least=40.0)
    report.end()


def _measure_ours(jobs: int) -> Figures:
    with store() as server:
        fill(server.url, jobs, "noop")
        return drain_rate(server, lambda: worker(server, slots=1), jobs, lambda: our_finished(server))


def _measure_peer(peer: Peer, jobs: int) -> Figures:
    with store() as server:
        run(peer.fill(server.url, jobs), environ=peer.environ(server.url))
        work = partial(
            running, peer.work(server.url), server.directory / "worker.log", environ=peer.environ(server.url)
        )
        return drain_rate(server, work, jobs, lambda: peer.finished(server.masters[0]))


def drain_rate(
    server: Store, work: Callable[[], AbstractContextManager[Program]], jobs: int, finished: Callable[[], int]
) -> Figures:
    """Works off a filled queue and measures the middle of it.

    Returns:
        jobs/s, and microseconds of the worker's and of Redis' processor time per job.
    """
    server.settle()
    with work() as program:
        begun = await_true(lambda: _at_least(finished, jobs * _FROM), seconds=60, wanted="first jobs", program=program)
        at, worker_cpu, redis_cpu = time.perf_counter(), program.cpu_seconds, server.cpu_seconds()
        ended = await_true(lambda: _at_least(finished, jobs * _TO), seconds=600, wanted="all jobs", program=program)
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
