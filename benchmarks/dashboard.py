"""The dashboard of a system with 1,000,000 jobs, 200 queues and 1,000 instances, while 50 pages are open.

A row for each page: how long its answer takes, and the manager's processor time for it. Then what the manager and Redis
need without visitors and with the open pages, and `PUT /enqueue` with and without them, in turns.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import BenchmarkOptions, compare, parse_options
from benchmarks.harness.http_enqueue_load import run_enqueue_load
from benchmarks.harness.http_load import Connection, percentile, request
from benchmarks.harness.large_system import QUEUES, failed_job, waiting_job
from benchmarks.harness.measured_programs import MeasuredProgram, running_program, wait_until
from benchmarks.harness.open_pages import open_pages
from benchmarks.harness.redis_servers import BenchmarkRedis, redis_server
from benchmarks.harness.workmanager_programs import running_manager
from manager.http import dashboard_paths as paths

OPEN_PAGES = 50
NOBODY, PAGES_OPEN = "no page open", f"{OPEN_PAGES} pages open"
_SETTLE_SECONDS = 3.0
_BROWSER = b"Accept: text/html\r\nAccept-Encoding: gzip\r\n"


def main() -> None:
    """Run the benchmark."""
    options = parse_options("dashboard", __doc__ or "", quick_runs=1, full_runs=3)
    report = BenchmarkReport("dashboard", options.quick)
    report.print_machine()
    jobs = options.pick(100_000, 1_000_000)
    with redis_server() as server, _filled(server, jobs):
        _compare_pages(report, options, server, jobs)
        shares = compare(report, _turns(server, partial(_shares, server, options.pick(5, 20))), options.runs)
        for name, field, most in (("the manager", "manager_percent", 2.0), ("Redis", "redis_percent", 1.0)):
            more = shares[PAGES_OPEN][field] - shares[NOBODY][field]
            report.add_aim(f"open pages, percent of a core of {name}", more, most=most)
        rates = compare(report, _turns(server, partial(_put, options.pick(2, 5))), options.pick(2, 7))
        with_pages, without = rates[PAGES_OPEN], rates[NOBODY]
        rate = with_pages["answers_per_second"] / without["answers_per_second"]
        report.add_aim("PUT's rate with open pages of that without", rate, least=0.95)
        report.add_aim("PUT's p99 with open pages of that without", with_pages["p99_ms"] / without["p99_ms"], most=1.1)
    report.print_tables()


def _pages(jobs: int) -> tuple[str, ...]:
    queue = QUEUES[7]
    return (
        paths.HOME,
        paths.QUEUES,
        f"{paths.QUEUES}?name=team-1",
        paths.WORKERS,
        paths.SCALER,
        paths.JOBS,
        *(f"{paths.JOBS}?status={status}" for status in ("queued", "finished", "failed", "scheduled")),
        f"{paths.JOBS}?status=queued&queue={queue}",
        f"{paths.JOBS}?status=queued&function=sha512",
        f"{paths.JOBS}?status=finished&function=sha512",
        f"{paths.JOBS}?label=order:1",
        f"{paths.JOBS}/{waiting_job(jobs)}",
        f"{paths.JOBS}/{failed_job(jobs)}",
        paths.FAILURES,
        f"{paths.FAILURES}?queue={queue}",
        *(paths.SCHEDULES, paths.WORKFLOWS, paths.CALLBACKS, paths.LIMITS, paths.KEYS, paths.AUDIT),
    )


def _compare_pages(report: BenchmarkReport, options: BenchmarkOptions, server: BenchmarkRedis, jobs: int) -> None:
    with running_manager(server) as (manager, port), open_pages(port, OPEN_PAGES):
        time.sleep(_SETTLE_SECONDS)
        contestants = {path: partial(_ask, manager, port, path, options.pick(20, 100)) for path in _pages(jobs)}
        medians = compare(report, contestants, 1)
    slowest = max(medians, key=lambda path: medians[path]["p99_ms"])
    report.add_aim(f"slowest page ({slowest}), p99, ms", medians[slowest]["p99_ms"], most=100.0)
    busiest = max(medians, key=lambda path: medians[path]["manager_cpu_ms"])
    report.add_aim(f"busiest page ({busiest}), manager's processor ms", medians[busiest]["manager_cpu_ms"], most=50.0)


def _ask(manager: MeasuredProgram, port: int, path: str, answers: int) -> Figures:
    connection = Connection(port)
    message = request("GET", path).replace(b"\r\n\r\n", b"\r\n" + _BROWSER + b"\r\n")
    size = len(connection.exchange(message))
    times, cpu = [], manager.cpu_seconds
    for _ in range(answers):
        began = time.perf_counter()
        connection.exchange(message)
        times.append(time.perf_counter() - began)
    cpu = manager.cpu_seconds - cpu
    connection.socket.close()
    return {
        "p50_ms": percentile(times, 0.5) * 1000,
        "p99_ms": percentile(times, 0.99) * 1000,
        "manager_cpu_ms": cpu / answers * 1000,
        "kib": size / 1024,
    }


def _shares(server: BenchmarkRedis, seconds: float, manager: MeasuredProgram, port: int) -> Figures:
    del port
    manager_cpu, redis_cpu, began = manager.cpu_seconds, server.cpu_seconds(), time.perf_counter()
    time.sleep(seconds)
    manager_cpu, redis_cpu = manager.cpu_seconds - manager_cpu, server.cpu_seconds() - redis_cpu
    passed = time.perf_counter() - began
    return {"manager_percent": manager_cpu / passed * 100, "redis_percent": redis_cpu / passed * 100}


def _put(seconds: float, manager: MeasuredProgram, port: int) -> Figures:
    del manager
    load = run_enqueue_load(port, seconds)
    return {
        "answers_per_second": load.answers_per_second,
        "p50_ms": load.milliseconds(0.5),
        "p99_ms": load.milliseconds(0.99),
    }


def _turns(
    server: BenchmarkRedis, measure: Callable[[MeasuredProgram, int], Figures]
) -> Mapping[str, Callable[[], Figures]]:
    """Return what measures a new manager without and with open pages: one that had some reads on for a while."""

    def without_pages() -> Figures:
        with running_manager(server) as (manager, port):
            time.sleep(_SETTLE_SECONDS)
            return measure(manager, port)

    def with_pages() -> Figures:
        with running_manager(server) as (manager, port), open_pages(port, OPEN_PAGES):
            time.sleep(_SETTLE_SECONDS)
            return measure(manager, port)

    return {NOBODY: without_pages, PAGES_OPEN: with_pages}


@contextlib.contextmanager
def _filled(server: BenchmarkRedis, jobs: int) -> Iterator[None]:
    ready = server.directory / "filled"
    command = [sys.executable, "-m", "benchmarks.harness.large_system", server.url, str(jobs), str(ready)]
    with running_program(command, server.directory / "system.log") as program:
        wait_until(ready.exists, seconds=900, wanted="a large system", program=program, poll_seconds=0.1)
        server.wait_until_idle()
        yield


if __name__ == "__main__":
    main()
