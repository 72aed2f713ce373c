"""CPU jobs of about 10 ms on a worker node with two slots, compared with two plain processes that do the same."""

import multiprocessing
import time
from base64 import b64encode
from functools import partial
from multiprocessing.synchronize import Barrier

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.measured_programs import wait_until
from benchmarks.harness.preload import preload_jobs
from benchmarks.harness.redis_servers import redis_server
from benchmarks.harness.workmanager_programs import count_finished, running_worker, wait_for_idle_worker
from worker_node.functions import sha512

OURS, PLAIN = "workmanager", "two plain processes"
SLOTS = 2
_JOB_SECONDS = 0.010
_DATA = bytes(64)


def main() -> None:
    """Run the benchmark."""
    options = parse_options("cpu_slots", __doc__ or "", quick_runs=3, full_runs=7)
    jobs = options.pick(800, 2000)
    iterations = _calibrate()
    report = BenchmarkReport("cpu_slots", options.quick)
    report.print_machine()
    medians = compare(
        report,
        {OURS: partial(_measure_ours, jobs, iterations), PLAIN: partial(_measure_plain, jobs, iterations)},
        options.runs,
    )
    share = medians[OURS]["jobs_per_second"] / medians[PLAIN]["jobs_per_second"]
    report.add_aim("of two plain processes", share, least=0.97)
    report.print_tables()


def _calibrate() -> int:
    """Return the number of SHA-512 iterations that take 10 ms on this machine."""
    iterations = 20_000
    seconds = min(_timed(iterations) for _ in range(20))
    return int(iterations * _JOB_SECONDS / seconds)


def _timed(iterations: int) -> float:
    started_at = time.perf_counter()
    sha512(data=_DATA, iterations=iterations)
    return time.perf_counter() - started_at


def _measure_ours(jobs: int, iterations: int) -> Figures:
    # From an idle, warm worker to the last recorded job, so that enqueueing and finishing count.
    with redis_server() as server, running_worker(server, slots=SLOTS) as node:
        wait_for_idle_worker(server, node)
        time.sleep(0.5)
        worker_cpu, redis_cpu = node.cpu_seconds, server.cpu_seconds()
        started_at = time.perf_counter()
        preload_jobs(server.url, jobs, "sha512", data=b64encode(_DATA).decode(), iterations=iterations)
        # Polling takes cores from the jobs: 3 % of them at every 5 ms, still 0.5 % at every 50 ms.
        time.sleep(max(0.0, jobs / SLOTS * _JOB_SECONDS - (time.perf_counter() - started_at)))
        wait_until(
            lambda: count_finished(server) == jobs,
            seconds=120,
            wanted="the end of all jobs",
            program=node,
            poll_seconds=0.01,
        )
        seconds = time.perf_counter() - started_at
        return {
            "jobs_per_second": jobs / seconds,
            "worker_ms_per_job": (node.cpu_seconds - worker_cpu) / jobs * 1e3,
            "redis_ms_per_job": (server.cpu_seconds() - redis_cpu) / jobs * 1e3,
        }


def _measure_plain(jobs: int, iterations: int) -> Figures:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(SLOTS + 1)
    processes = [
        context.Process(target=_run_plain_jobs, args=(barrier, jobs // SLOTS, iterations)) for _ in range(SLOTS)
    ]
    for process in processes:
        process.start()
    barrier.wait(timeout=60)
    started_at = time.perf_counter()
    barrier.wait(timeout=120)
    seconds = time.perf_counter() - started_at
    for process in processes:
        process.join()
    return {"jobs_per_second": jobs / seconds}


def _run_plain_jobs(barrier: Barrier, jobs: int, iterations: int) -> None:
    barrier.wait(timeout=60)
    for _ in range(jobs):
        sha512(data=_DATA, iterations=iterations)
    # The work ends here. The process ends later, because the interpreter takes time to shut down.
    barrier.wait(timeout=120)


if __name__ == "__main__":
    main()
