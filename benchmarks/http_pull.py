"""Rate of `POST /pullCompleted?top=100` on one manager: results/s, each handed out once."""

import hashlib
import itertools
from functools import partial

import orjson

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.http_load import WARM_UP_SECONDS, LoadGenerator, request
from benchmarks.harness.preload import finish_preloaded_jobs, preload_jobs
from benchmarks.harness.redis_servers import redis_server
from benchmarks.harness.workmanager_programs import running_manager

OURS = "workmanager"
CONNECTIONS = 4
VALUE = hashlib.sha512(b"a result").hexdigest()
TOP = 100
_EXPECTED_RATE = 40_000


def main() -> None:
    """Run the benchmark."""
    options = parse_options("http_pull", __doc__ or "")
    seconds = options.pick(2, 5)
    report = BenchmarkReport("http_pull", options.quick)
    report.print_machine()
    medians = compare(report, {OURS: partial(_measure, seconds)}, options.runs)
    report.add_aim("results/s", medians[OURS]["results_per_second"], least=20_000)
    report.print_tables()


def measure_pull_rate(port: int, seconds: float, max_results: int) -> tuple[float, set[str]]:
    """Pull results until the time is over, at most about `max_results`.

    Returns:
        results/s, and the ids of the pulled results.
    """
    answers: list[bytes] = []
    generator = LoadGenerator(port, CONNECTIONS, on_answer=answers.append)
    pull = request("POST", f"/pullCompleted?top={TOP}")
    try:
        load = generator.closed_loop(
            itertools.repeat(pull, max_results // TOP), warm_up_seconds=WARM_UP_SECONDS, seconds=seconds
        )
    finally:
        generator.close()
    # Parsed only now, so that parsing is not measured.
    ids = [result["Work ID"] for answer in answers for result in orjson.loads(answer)]
    assert len(ids) == len(answers) * TOP, "an answer was not full"
    assert len(set(ids)) == len(ids), "a result was pulled twice"
    return load.answers_per_second * TOP, set(ids)


def _measure(seconds: int) -> Figures:
    jobs = _EXPECTED_RATE * (seconds + 1)
    with redis_server() as server:
        preload_jobs(server.url, jobs, "noop")
        finish_preloaded_jobs(server.url, jobs, VALUE)
        server.wait_until_idle()
        with running_manager(server) as (program, port):
            program_cpu, redis_cpu = program.cpu_seconds, server.cpu_seconds()
            # A few results are left over, so that the feed is never empty.
            rate, ids = measure_pull_rate(port, seconds, jobs - CONNECTIONS * TOP)
            return {
                "results_per_second": rate,
                "server_us_per_result": (program.cpu_seconds - program_cpu) / len(ids) * 1e6,
                "redis_us_per_result": (server.cpu_seconds() - redis_cpu) / len(ids) * 1e6,
            }


if __name__ == "__main__":
    main()
