"""Rate of no-op jobs by how well they are isolated, one slot: jobs/s; beside RQ's worker, which forks for each job."""

from collections.abc import Callable
from functools import partial

from benchmarks.harness import noop_function
from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.peers import forking_rq
from benchmarks.harness.preload import preload_jobs
from benchmarks.harness.redis_servers import redis_server
from benchmarks.harness.workmanager_programs import count_finished, running_worker
from benchmarks.worker_noop import measure_drain_rate, measure_peer

BUILT_IN, OPERATORS, ISOLATED = "built-in function", "operator's function", "isolation: job"
_MODULE = noop_function.__name__
_RATES = {BUILT_IN: 20_000, OPERATORS: 15_000, ISOLATED: 500}


def main() -> None:
    """Run the benchmark."""
    options = parse_options("isolation", __doc__ or "")
    seconds = options.pick(3, 8)
    rq = forking_rq()
    rq.environment.ensure()
    report = BenchmarkReport("isolation", options.quick)
    report.print_machine()
    contestants: dict[str, Callable[[], Figures]] = {
        BUILT_IN: partial(_measure, "noop", _RATES[BUILT_IN] * seconds),
        OPERATORS: partial(_measure, f"{_MODULE}.noop", _RATES[OPERATORS] * seconds),
        ISOLATED: partial(_measure, f"{_MODULE}.noop", _RATES[ISOLATED] * seconds, "job"),
        rq.name: partial(measure_peer, rq, rq.expected_rate * seconds),
    }
    medians = compare(report, contestants, options.runs)
    rates = {name: figures["jobs_per_second"] for name, figures in medians.items()}
    report.add_aim("isolated, times RQ's Worker", rates[ISOLATED] / rates[rq.name], least=10.0)
    report.print_tables()


def _measure(function: str, jobs: int, isolation: str = "none") -> Figures:
    with redis_server() as server:
        preload_jobs(server.url, jobs, function)
        return measure_drain_rate(
            server,
            lambda: running_worker(server, slots=1, FUNCTIONS=_MODULE, ISOLATION=isolation),
            jobs,
            lambda: count_finished(server),
        )


if __name__ == "__main__":
    main()
