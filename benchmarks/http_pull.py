"""`POST /pullCompleted?top=100` on one manager process: results/s, each handed out once."""

from __future__ import annotations

import hashlib
import itertools
from functools import partial

import orjson

from benchmarks.harness.comparison import compete, options
from benchmarks.harness.preload import complete, fill
from benchmarks.harness.http_load import WARM_UP_SECONDS, Generator, request
from benchmarks.harness.benchmark_report import Figures, Report
from benchmarks.harness.redis_servers import store
from benchmarks.harness.workmanager_programs import manager

OURS = "workmanager"
CONNECTIONS = 4
VALUE = hashlib.sha512(b"a result").hexdigest()
TOP = 100
_EXPECTED_RATE = 40_000


def main() -> None:
    """Runs it."""
    told = options("http_pull", __doc__ or "")
    seconds = told.pick(2, 5)
    report = Report("http_pull", told.quick)
    report.begin()
    medians = compete(report, {OURS: partial(_measure, seconds)}, told.runs)
    report.aim("results/s", medians[OURS]["results_per_second"], least=20_000)
    report.end()


def pull_rate(port: int, seconds: float, most: int) -> tuple[float, set[str]]:
    """Pulls until the time is over, but at most about `most` results.

    Returns:
        results/s, and the ids that were handed out.
    """
    answers: list[bytes] = []
    generator = Generator(port, CONNECTIONS, on_answer=answers.append)
    pull = request("POST", f"/pullCompleted?top={TOP}")
    try:
        load = generator.closed_loop(
            itertools.repeat(pull, most // TOP), warm_up_seconds=WARM_UP_SECONDS, seconds=seconds
        )
    finally:
        generator.close()
    # Read only now, so that reading takes no time from what is measured.
    ids = [result["Work ID"] for answer in answers for result in orjson.loads(answer)]
    assert len(ids) == len(answers) * TOP, "an answer was not full"
    assert len(set(ids)) == len(ids), "a result was handed out twice"
    return load.answers_per_second * TOP, set(ids)


def _measure(seconds: int) -> Figures:
    jobs = _EXPECTED_RATE * (seconds + 1)
    with store() as server:
        fill(server.url, jobs, "noop")
        complete(server.url, jobs, VALUE)
        server.settle()
        with manager(server) as (program, port):
            program_cpu, redis_cpu = program.cpu_seconds, server.cpu_seconds()
            # A few are left, so that the feed is never empty.
            rate, ids = pull_rate(port, seconds, jobs - CONNECTIONS * TOP)
            return {
                "results_per_second": rate,
                "server_us_per_result": (program.cpu_seconds - program_cpu) / len(ids) * 1e6,
                "redis_us_per_result": (server.cpu_seconds() - redis_cpu) / len(ids) * 1e6,
            }


if __name__ == "__main__":
    main()
